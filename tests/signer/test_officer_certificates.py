"""The demonstration's authority: certificates for officers after a second person's approval, and revocation lists."""

import base64
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from core.digests import sm3_hex
from core.errors import TreasuryError
from demo import world
from parties.models import User
from seals.certificates import parse_certificate, validate_chain
from seals.models import Certificate, OfficerCertificate
from seals.pki import authority_certificates, build_csr
from seals.revocation import parse_crl
from seals.suites import get_suite
from tests.signer.scene import tampering


def requested(username, *, suite_id="sm2-sm3", key=None, status="approved", by="gk-kz", csr=None, spki=None):
    key = key or get_suite(suite_id).generate_private_key()
    return OfficerCertificate.objects.create(
        person=User.objects.get(username=username).person,
        adm_div_code=world.REGION,
        suite_id=suite_id,
        spki_sm3=sm3_hex(spki or key.spki),
        csr=(csr or build_csr(key, "anybody")).decode(),
        status=status,
        requested_by="测试",
        requested_at=timezone.now(),
        decided_by_id=User.objects.get(username=by).person_id if by else None,
    )


def refused(asked, row, **more):
    with pytest.raises(TreasuryError) as found:
        asked.ask("issue_officer_certificate", request_id=str(row if isinstance(row, str) else row.pk), **more)
    return found.value.code


@pytest.mark.parametrize("suite_id", ["sm2-sm3", "ecdsa-p256-sha256"])
def test_an_approved_request_gets_a_certificate_that_names_its_person(asked, keys, suite_id):
    row = requested("gk-yz", suite_id=suite_id)
    certificate = parse_certificate(asked.ask("issue_officer_certificate", request_id=str(row.pk), days=30)["pem"])

    validate_chain(certificate, authority_certificates(keys), timezone.now())
    assert sm3_hex(certificate.spki) == row.spki_sm3
    assert f"OU={row.person_id}" in certificate.subject and row.person.name in certificate.subject
    assert certificate.valid_to - certificate.valid_from == timedelta(days=30)
    row.refresh_from_db()
    assert (row.status, row.pem) == ("approved", "")  # keeping it is the caller's business


@pytest.mark.parametrize("status", ["requested", "refused"])
def test_a_request_nobody_approved_gets_none(asked, status):
    assert refused(asked, requested("gk-yz", status=status)) == "certificate_not_approved"
    assert refused(asked, str(uuid4())) == "certificate_not_approved"


def test_nobody_approves_his_own_request(asked):
    assert refused(asked, requested("gk-yz", by=None)) == "decided_by_holder"
    row = requested("gk-yz")
    with tampering("seals_officercertificate") as cursor:
        cursor.execute("ALTER TABLE seals_officercertificate DROP CONSTRAINT officer_certificate_decided_by_another")
        cursor.execute("UPDATE seals_officercertificate SET decided_by_id = person_id WHERE id = %s", [row.pk])
    assert refused(asked, row) == "decided_by_holder"
    with tampering("seals_officercertificate") as cursor:
        cursor.execute("UPDATE seals_officercertificate SET decided_by_id = NULL WHERE id = %s", [row.pk])
        cursor.execute(
            "ALTER TABLE seals_officercertificate ADD CONSTRAINT officer_certificate_decided_by_another"
            " CHECK (decided_by_id IS NULL OR decided_by_id <> person_id)"
        )


def test_a_key_of_somebody_else_gets_none(asked):
    key = get_suite("sm2-sm3").generate_private_key()
    requested("gk-kz", key=key, by="gk-yz")
    with tampering("seals_officercertificate"):
        second = requested("gk-yz", key=key)
    assert refused(asked, second) == "key_of_another_person"


def test_a_request_without_proof_of_the_key_gets_none(asked):
    key, other = (get_suite("sm2-sm3").generate_private_key() for _ in range(2))
    good = base64.b64decode("".join(build_csr(key, "x").decode().splitlines()[1:-1]))
    broken = bytes([*good[:-1], good[-1] ^ 1])
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(broken) + b"-----END CERTIFICATE REQUEST-----\n"
    assert refused(asked, requested("gk-yz", key=key, csr=pem)) == "csr_refused"
    assert refused(asked, requested("gk-yz", key=other, csr=build_csr(key, "x"))) == "csr_differs"


@pytest.mark.parametrize("days", [0, -1, 5 * 366 + 1])
def test_no_certificate_outlives_five_years(asked, days):
    assert refused(asked, requested("gk-yz"), days=days) == "validity_not_allowed"


def test_the_list_names_every_revoked_certificate_of_its_authority_and_its_number_grows(asked, keys):
    sm2 = Certificate.objects.get(organisation_code="UNIT-205001")
    with tampering("seals_certificate"):
        Certificate.objects.filter(pk=sm2.pk).update(status="revoked", revoked_at=timezone.now(), revoke_reason="更换")
    row = requested("gk-sh")
    officer = parse_certificate(asked.ask("issue_officer_certificate", request_id=str(row.pk))["pem"])
    OfficerCertificate.objects.filter(pk=row.pk).update(
        status="revoked", pem=officer.pem, serial_hex=officer.serial_hex, certificate_sm3=sm3_hex(officer.der),
        valid_from=officer.valid_from, valid_to=officer.valid_to, revoked_at=timezone.now(), revoke_reason="遗失",
    )  # fmt: skip

    lists = [parse_crl(base64.b64decode(asked.ask("issue_crl", suite_id="sm2-sm3")["crl"])) for _ in range(3)]

    assert set(lists[0].entries) == {sm2.serial_hex, officer.serial_hex}
    numbers = [crl.number for crl in lists]
    assert numbers == sorted(set(numbers)) and numbers[0] > 10**12
    other = parse_crl(base64.b64decode(asked.ask("issue_crl", suite_id="ecdsa-p256-sha256")["crl"]))
    assert not other.entries
    authority = parse_certificate((keys / "ca" / "sm2-sm3" / "sub" / "cert.pem").read_bytes())
    assert get_suite("sm2-sm3").verify(authority.public_key, lists[0].tbs, lists[0].signature)


def test_an_authority_that_is_not_here_issues_nothing(asked):
    with pytest.raises(TreasuryError) as found:
        asked.ask("issue_crl", suite_id="rsa-sha1")
    assert found.value.code == "no_signing_key"
