"""The register as configuration: certificates are added and revoked, never edited; facts are read only.

Only who may make seals (制章人) and what goes where on a voucher (签章位置) are changed here. Seals, officers'
certificates and revocation lists are taken in on their own pages, where they are verified.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from core.admin import ReadOnlyAdmin
from parties.duties import Post
from seals.errors import CertificateRefused, SealError
from seals.models import (
    Certificate,
    ESeal,
    OfficerCertificate,
    RevocationList,
    SealKind,
    SealMaker,
    SealPosition,
    SealUse,
    SignatureProfile,
    Stamp,
    Statement,
    StatementSignature,
    StepSignature,
    TrustedAuthority,
)
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


class SealPositionForm(forms.ModelForm):
    """A position must leave its voucher type in an order that sealing can walk."""

    post = forms.ChoiceField(label="办理岗位", required=False, choices=[("", "对方（不由本系统办理）"), *Post.choices])

    class Meta:
        model = SealPosition
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        needed = ("adm_div_code", "fiscal_year", "voucher_type", "flag", "ordinal", "kind")
        if any(data.get(name) is None for name in needed):
            return data
        where = {name: data[name] for name in needed[:4]}
        beside = list(SealPosition.objects.filter(**where).exclude(pk=self.instance.pk))
        rows = [(row.ordinal, row.kind, row.post) for row in beside]
        rows.append((data["ordinal"], data["kind"], data.get("post") or ""))
        if problem := order_problem(rows):
            raise ValidationError(problem)
        return data


def order_problem(rows: list[tuple[int, str, str]]) -> str:
    """Why these positions (ordinal, kind, post) of one type cannot be affixed in order; empty if they can.

    The signature is what makes a voucher sealed and sends it: it stands in the last step. A step is one person's act.
    """
    signatures = [ordinal for ordinal, kind, _post in rows if kind == SealKind.SIGNATURE]
    ours = any(post for _ordinal, _kind, post in rows)
    if len(signatures) > 1:
        return "一种凭证只能有一个签名位置。"
    if ours and not signatures:
        return "请先加签名位置：没有签名的凭证不能发出。"
    if signatures and signatures[0] != max(ordinal for ordinal, _kind, _post in rows):
        return "签名须在最后一个次序：签名之后就发出了。"
    for ordinal in {ordinal for ordinal, _kind, _post in rows}:
        posts = {post for other, _kind, post in rows if other == ordinal and post}
        if len(posts) > 1:
            return f"次序 {ordinal} 由一个岗位一次办完，不能分给两个岗位。"
    return ""


@admin.register(SealPosition)
class SealPositionAdmin(admin.ModelAdmin):
    form = SealPositionForm
    list_display = ("voucher_type", "flag", "ordinal", "position", "name", "kind", "post", "required", "fiscal_year")
    list_filter = ("fiscal_year", "voucher_type", "flag")
    actions = None  # no deletion of many at once: each is looked at by itself

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A signature goes last: without it the other positions of its type could never be sent."""
        if obj is None or obj.kind != SealKind.SIGNATURE:
            return super().has_delete_permission(request, obj)
        beside = SealPosition.objects.filter(
            adm_div_code=obj.adm_div_code, fiscal_year=obj.fiscal_year, voucher_type=obj.voucher_type, flag=obj.flag
        )
        return not beside.exclude(pk=obj.pk).exists() and super().has_delete_permission(request, obj)


@admin.register(SealMaker)
class SealMakerAdmin(NoDelete):
    """Admitted by a registered certificate; withdrawn by 准入, and the certificate stays."""

    list_display = ("name", "certificate", "active")
    list_filter = ("active",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("certificate",) if obj else ()


@admin.register(ESeal)
class ESealAdmin(ReadOnlyAdmin):
    list_display = ("es_id", "name", "organisation_code", "kind", "person", "valid_from", "valid_to", "status")
    list_filter = ("status", "kind")
    search_fields = ("es_id", "name", "organisation_code")
    exclude = ("der", "svg")


@admin.register(RevocationList)
class RevocationListAdmin(ReadOnlyAdmin):
    list_display = ("authority", "number", "this_update", "next_update", "received_at")
    exclude = ("der",)


@admin.register(OfficerCertificate)
class OfficerCertificateAdmin(ReadOnlyAdmin):
    list_display = ("person", "serial_hex", "suite_id", "valid_to", "status", "requested_by", "decided_by")
    list_filter = ("status", "suite_id")
    search_fields = ("person__name", "person__staff_no", "=serial_hex", "=spki_sm3")


@admin.register(Statement)
class StatementAdmin(ReadOnlyAdmin):
    list_display = ("action", "person", "nonce", "expires_at", "used_at")
    list_filter = ("action",)
    search_fields = ("=nonce", "person__name")


@admin.register(StatementSignature)
class StatementSignatureAdmin(ReadOnlyAdmin):
    list_display = ("at", "statement", "certificate")
    search_fields = ("=statement__nonce", "=certificate__serial_hex")
    exclude = ("signature",)


@admin.register(StepSignature)
class StepSignatureAdmin(ReadOnlyAdmin):
    list_display = ("at", "action", "post", "document_id", "revision")
    list_filter = ("action",)
    search_fields = ("=document_id", "=signature_sm3")


@admin.register(Stamp)
class StampAdmin(ReadOnlyAdmin):
    list_display = ("at", "voucher_id", "position", "ordinal", "seal", "person_id")
    list_filter = ("position",)
    search_fields = ("=voucher_id",)
    exclude = ("der",)
