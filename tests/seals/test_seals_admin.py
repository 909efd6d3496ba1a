"""The register in Django's admin: add by PEM, revoke by reason, everything else read only."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.urls import reverse

from seals.models import Certificate, SealUse
from seals.pki import OrganisationSpec, authority_certificates, make_demo_pki
from seals.services import SealUseFacts, record_seal_uses, register_authority

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)


@pytest.fixture
def fresh_pem(registered, tmp_path):
    """A certificate of a trusted authority that is not registered yet."""
    make_demo_pki(tmp_path, [OrganisationSpec("BANK-C", "丙银行", "sm2-sm3")], START, END)
    for authority in authority_certificates(tmp_path):
        register_authority(authority)
    return (tmp_path / "BANK-C" / "cert.pem").read_text()


def post(admin_client, url, **fields):
    return admin_client.post(url, fields, follow=True)


def test_certificate_is_added_by_its_pem(admin_client, fresh_pem):
    add = reverse("admin:seals_certificate_add")
    assert admin_client.get(add).status_code == 200

    answer = post(admin_client, add, organisation_code="BANK-C", pem=fresh_pem)

    row = Certificate.objects.get(organisation_code="BANK-C")
    assert answer.status_code == 200
    assert (row.suite_id, row.subject) == ("sm2-sm3", "CN=丙银行,OU=BANK-C,O=Guoku demo,C=CN")


@pytest.mark.parametrize("pem", ["junk", "", "-----BEGIN CERTIFICATE-----\n证书\n-----END CERTIFICATE-----"])
def test_bad_pem_shows_its_reason_and_adds_nothing(admin_client, registered, pem):
    answer = post(admin_client, reverse("admin:seals_certificate_add"), organisation_code="BANK-C", pem=pem)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["pem"]
    assert Certificate.objects.count() == 3


def test_certificate_of_another_party_is_not_added_again(admin_client, registered):
    answer = post(
        admin_client,
        reverse("admin:seals_certificate_add"),
        organisation_code="BANK-B",
        pem=registered["BANK-A"].pem,
    )
    assert "其他机构" in str(answer.context["adminform"].form.errors["pem"])


def test_certificate_is_revoked_by_a_reason_once_and_never_edited(admin_client, registered):
    change = reverse("admin:seals_certificate_change", args=[registered["BANK-A"].pk])
    assert admin_client.get(change).status_code == 200
    assert post(admin_client, change, revoke_reason=" ").context["adminform"].form.errors

    post(admin_client, change, revoke_reason="UKey 遗失", organisation_code="BANK-B", pem="x")

    row = Certificate.objects.get(pk=registered["BANK-A"].pk)
    assert (row.status, row.revoke_reason, row.organisation_code) == ("revoked", "UKey 遗失", "BANK-A")
    assert post(admin_client, change, revoke_reason="again").context["adminform"].form.errors
    assert Certificate.objects.get(pk=row.pk).revoke_reason == "UKey 遗失"


def test_seal_uses_can_only_be_read(admin_client, registered):
    facts = SealUseFacts("990100000", 2026, "BANK-A", uuid4(), "yh_zzz", registered["BANK-A"].pk, b"text")
    record_seal_uses([facts], now=datetime(2026, 11, 23, 4, tzinfo=UTC))
    use = SealUse.objects.get()
    assert admin_client.get(reverse("admin:seals_sealuse_changelist")).status_code == 200
    assert admin_client.get(reverse("admin:seals_sealuse_change", args=[use.pk])).status_code == 200
    assert admin_client.get(reverse("admin:seals_sealuse_add")).status_code == 403
    assert admin_client.post(reverse("admin:seals_sealuse_delete", args=[use.pk]), {"post": "yes"}).status_code == 403
    assert SealUse.objects.count() == 1
    for page in ("certificate", "signatureprofile", "trustedauthority"):
        assert admin_client.get(reverse(f"admin:seals_{page}_changelist")).status_code == 200
