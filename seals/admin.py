"""The register as configuration: certificates are added and revoked, never edited; seal uses are read only."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from seals.errors import CertificateRefused, SealError
from seals.models import Certificate, SealUse, SignatureProfile, TrustedAuthority
from seals.services import register_certificate, revoke_certificate


class RegisterCertificateForm(forms.ModelForm):
    """A PEM and whose it is; everything else is read from the certificate."""

    class Meta:
        model = Certificate
        fields = ("organisation_code", "pem")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                with transaction.atomic():
                    self.instance = register_certificate(
                        pem=cleaned["pem"], organisation_code=cleaned["organisation_code"]
                    )
            except CertificateRefused as refusal:
                raise ValidationError({"pem": refusal.message}, code=refusal.code) from refusal
        return cleaned

    def _post_clean(self) -> None:
        """The service has made the row; there is no instance for the form to build."""

    def save(self, commit: bool = True) -> Certificate:
        row: Certificate = self.instance
        return row

    def save_m2m(self) -> None:
        """No many-to-many fields."""


class RevokeCertificateForm(forms.ModelForm):
    """The only change: a reason, which revokes."""

    class Meta:
        model = Certificate
        fields = ("revoke_reason",)
        help_texts = {"revoke_reason": "填写原因并保存即吊销；吊销后不能恢复。"}

    def clean_revoke_reason(self) -> str:
        reason: str = self.cleaned_data["revoke_reason"].strip()
        if not reason:
            raise ValidationError("请填写吊销原因。")
        if Certificate.objects.filter(pk=self.instance.pk, status=Certificate.Status.REVOKED).exists():
            raise ValidationError("该证书已吊销。", code="certificate_already_revoked")
        return reason

    def _post_clean(self) -> None:
        """The service revokes under lock; the form must not touch the instance first."""


class NoDelete(admin.ModelAdmin):
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Certificate)
class CertificateAdmin(NoDelete):
    list_display = ("organisation_code", "serial_hex", "suite_id", "valid_from", "valid_to", "status")
    list_filter = ("status", "suite_id")
    search_fields = ("organisation_code", "serial_hex", "subject")
    readonly_on_change = (
        "organisation_code", "suite_id", "serial_hex", "subject", "issuer", "valid_from", "valid_to", "status",
        "revoked_at", "pem",
    )  # fmt: skip

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = RevokeCertificateForm if obj else RegisterCertificateForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.readonly_on_change, "revoke_reason") if obj else ("organisation_code", "pem")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_on_change if obj else ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            try:
                revoke_certificate(certificate_id=obj.pk, reason=form.cleaned_data["revoke_reason"], now=timezone.now())
            except SealError as refusal:  # somebody else was quicker: the row is as they left it
                self.message_user(request, refusal.message, level="ERROR")


@admin.register(SignatureProfile)
class SignatureProfileAdmin(admin.ModelAdmin):
    list_display = ("organisation_code", "suite_id", "valid_from", "valid_to")
    list_filter = ("suite_id",)
    search_fields = ("organisation_code",)


@admin.register(TrustedAuthority)
class TrustedAuthorityAdmin(NoDelete):
    list_display = ("subject", "suite_id", "valid_from", "valid_to", "active")
    readonly_fields = ("suite_id", "subject", "fingerprint_sm3", "pem", "valid_from", "valid_to")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(SealUse)
class SealUseAdmin(NoDelete):
    list_display = ("at", "organisation_code", "position", "voucher_id", "person_id", "certificate")
    list_filter = ("organisation_code", "position")
    search_fields = ("=voucher_id",)
    date_hierarchy = "at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
