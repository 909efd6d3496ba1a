"""Keys, register, signing and verifying voucher texts, on the real database."""

import base64
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, InternalError, connection, transaction

from core.digests import sm3_hex
from seals.errors import (
    CertificateAlreadyRegistered,
    CertificateAlreadyRevoked,
    CertificateNotRegistered,
    CertificateUnknownIssuer,
    KeyNotUsable,
    NoSigningKey,
)
from seals.models import Certificate, SealUse, SignatureProfile, TrustedAuthority
from seals.pki import OrganisationSpec, make_demo_pki
from seals.services import (
    SealUseFacts,
    certificate_ids,
    import_demo_pki,
    record_seal_uses,
    register_certificate,
    revoke_certificate,
)
from seals.suites import get_suite
from seals.verifying import TextToVerify, verify_texts
from signer.keystore import private_key_for
from tests import acts

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
NOON, TODAY = datetime(2026, 11, 23, 4, tzinfo=UTC), date(2026, 11, 23)
TEXT = base64.b64encode("<?xml version='1.0' encoding='GBK'?>".encode("gbk"))


def signed_by(organisation_code, text=TEXT):
    key = private_key_for(organisation_code)
    value = key.sign(text)
    return TextToVerify(organisation_code, text, base64.b64encode(value).decode(), key.certificate.serial_hex)


def use_of(certificate, text=TEXT, *, organisation_code="BANK-A", position="yh_zzz"):
    return SealUseFacts("990100000", 2026, organisation_code, uuid4(), position, certificate.pk, text)


def verdict(item, *, at=NOON, on=TODAY):
    (found,) = verify_texts([item], at=at, on=on)
    return found


@pytest.mark.parametrize("code", ["FIN-990100000", "BANK-A", "BANK-B"])
def test_signed_text_verifies_under_its_own_certificate(registered, code):
    assert verdict(signed_by(code)) == verdict(signed_by(code))
    found = verdict(signed_by(code))
    assert (found.ok, found.reason_code, found.certificate_id) == (True, None, registered[code].pk)


def test_signature_is_of_the_base64_text_and_not_of_what_it_decodes_to(registered):
    item = signed_by("BANK-A")
    assert verdict(item).ok
    assert not verdict(replace(item, text=base64.b64decode(TEXT))).ok


def reason(item, **when):
    found = verdict(item, **when)
    assert found.ok is False
    assert found.detail
    return found.reason_code


def test_missing_signature(registered):
    assert reason(replace(signed_by("BANK-A"), signature_b64="")) == "signature_missing"


@pytest.mark.parametrize("serial", ["", "00", "deadbeef", "not hexadecimal", "' OR 1=1 --"])
def test_unknown_certificate(registered, serial):
    assert reason(replace(signed_by("BANK-A"), serial_hex=serial)) == "certificate_unknown"


def test_certificate_of_another_party(registered):
    assert reason(replace(signed_by("BANK-A"), organisation_code="BANK-B")) == "certificate_of_other_party"
    assert reason(replace(signed_by("BANK-A"), organisation_code="NOBODY")) == "certificate_of_other_party"


def test_revoked_certificate_is_refused_from_that_instant_on(registered):
    item = signed_by("BANK-A")

    revoke_certificate(certificate_id=registered["BANK-A"].pk, reason="UKey 遗失", now=NOON)

    assert reason(item) == "certificate_revoked"
    assert verdict(item, at=NOON - timedelta(seconds=1)).ok


def test_certificate_before_and_after_its_dates(registered):
    item = signed_by("BANK-A")
    assert reason(item, at=START - timedelta(seconds=1)) == "certificate_not_yet_valid"
    assert verdict(item, at=END).ok
    assert reason(item, at=END + timedelta(seconds=1)) == "certificate_expired"


def test_profile_decides_which_suite_is_allowed_and_when(registered):
    item = signed_by("BANK-B")
    SignatureProfile.objects.filter(organisation_code="BANK-B").update(valid_to=TODAY)

    assert verdict(item).ok
    assert reason(item, on=TODAY + timedelta(days=1)) == "suite_not_allowed"
    SignatureProfile.objects.create(organisation_code="BANK-B", suite_id="sm2-sm3", valid_from=TODAY)
    assert reason(item, on=TODAY + timedelta(days=1)) == "suite_not_allowed"
    assert reason(item, on=START.date() - timedelta(days=1)) == "suite_not_allowed"


@pytest.mark.parametrize(
    "spoil",
    {
        "line break": lambda text: text[:40] + "\n" + text[40:],
        "trailing blank": lambda text: text + " ",
        "no padding": lambda text: text.rstrip("=") if text.endswith("=") else text[:-1],
        "url alphabet": lambda text: "-" + text[1:],
        "junk": lambda text: "签名",
        "too long": lambda text: "A" * 104,
    }.items(),
    ids=lambda item: item[0],
)
def test_malformed_base64(registered, spoil):
    item = signed_by("BANK-A")
    assert reason(replace(item, signature_b64=spoil[1](item.signature_b64))) == "signature_malformed"


def test_stray_bits_under_the_padding_are_malformed(registered):
    item = replace(signed_by("BANK-A"), signature_b64="QR==")
    assert reason(item) == "signature_malformed"
    assert reason(replace(item, signature_b64="QQ==")) == "signature_invalid"


def test_invalid_signatures(registered):
    item = signed_by("BANK-A")
    other_text = base64.b64encode(b"<Voucher/>")

    assert reason(replace(item, text=item.text + b"=")) == "signature_invalid"
    assert reason(replace(item, text=base64.b64decode(item.text))) == "signature_invalid"
    assert reason(replace(item, signature_b64=signed_by("BANK-A", other_text).signature_b64)) == "signature_invalid"
    assert reason(replace(item, signature_b64=signed_by("FIN-990100000").signature_b64)) == "signature_invalid"
    assert reason(replace(item, signature_b64=signed_by("BANK-B").signature_b64)) == "signature_invalid"


def test_serial_is_read_in_either_case(registered):
    item = signed_by("BANK-A")
    assert verdict(replace(item, serial_hex=item.serial_hex.upper())).ok


def test_one_bad_item_does_not_touch_its_neighbours(registered):
    good = signed_by("BANK-A")
    verdicts = verify_texts([good, replace(good, text=b"x"), signed_by("BANK-B")], at=NOON, on=TODAY)
    assert [found.reason_code for found in verdicts] == [None, "signature_invalid", None]


def statements(action):
    with acts.statements() as seen:
        result = action()
    return len(seen), result


def test_statements_do_not_grow_with_the_batch(registered):
    counts = {}
    bank = registered["BANK-B"]
    for size in (10, 500):
        items = [signed_by("BANK-B", TEXT + b"%d" % number) for number in range(size)]
        verifying, verdicts = statements(lambda items=items: verify_texts(items, at=NOON, on=TODAY))
        finding, _ = statements(lambda: certificate_ids({("BANK-B", bank.serial_hex)}))
        uses = [use_of(bank, item.text, organisation_code="BANK-B") for item in items]
        recording, _ = statements(lambda uses=uses: record_seal_uses(uses, now=NOON))
        assert all(found.ok for found in verdicts)
        counts[size] = (verifying, finding, recording)

    assert counts[10] == counts[500] == (2, 1, 1)


def test_a_mark_under_a_certificate_that_is_not_registered_is_refused(registered):
    with pytest.raises(CertificateNotRegistered):
        certificate_ids({("BANK-A", registered["BANK-B"].serial_hex)})


def test_keystore_reads_a_key_once_and_again_when_its_file_changed(registered, tmp_path, settings):
    make_demo_pki(tmp_path, [OrganisationSpec("BANK-A", "甲银行", "sm2-sm3")], START, END)
    settings.GUOKU_KEY_DIR = tmp_path

    first = private_key_for("BANK-A")
    assert private_key_for("BANK-A") is first
    for path in (tmp_path / "BANK-A").iterdir():
        path.unlink()
    make_demo_pki(tmp_path, [OrganisationSpec("BANK-A", "甲银行", "sm2-sm3")], START, END)

    assert private_key_for("BANK-A").certificate.spki != first.certificate.spki


@pytest.mark.parametrize("code", ["BANK-C", "", ".", "..", "../BANK-A", "/etc", "ca/sm2-sm3"])
def test_no_key_for_a_stranger_or_a_path(registered, code):
    with pytest.raises(NoSigningKey):
        private_key_for(code)


def test_key_that_others_can_read_or_that_fits_no_certificate_is_refused(tmp_path, settings):
    specs = [OrganisationSpec(code, code, "sm2-sm3") for code in ("BANK-A", "BANK-B")]
    make_demo_pki(tmp_path, specs, START, END)
    settings.GUOKU_KEY_DIR = tmp_path
    os.chmod(tmp_path / "BANK-A" / "key.pem", 0o644)
    (tmp_path / "BANK-B" / "cert.pem").write_bytes((tmp_path / "BANK-A" / "cert.pem").read_bytes())

    with pytest.raises(KeyNotUsable, match="其他用户"):
        private_key_for("BANK-A")
    with pytest.raises(KeyNotUsable, match="一对"):
        private_key_for("BANK-B")


def test_encrypted_key_needs_the_password_of_the_settings(tmp_path, settings):
    make_demo_pki(tmp_path, [OrganisationSpec("BANK-A", "甲银行", "sm2-sm3")], START, END)
    settings.GUOKU_KEY_DIR, path = tmp_path, tmp_path / "BANK-A" / "key.pem"
    suite = get_suite("sm2-sm3")
    path.write_bytes(suite.private_key_pem(suite.load_private_key(path.read_bytes()), b"4711"))

    with pytest.raises(KeyNotUsable):
        private_key_for("BANK-A")
    settings.GUOKU_KEY_PASSWORD = "4711"
    assert private_key_for("BANK-A").certificate.suite_id == "sm2-sm3"


def test_second_import_changes_nothing(registered, pki):
    def rows():
        return [
            list(model.objects.order_by("pk").values()) for model in (Certificate, SignatureProfile, TrustedAuthority)
        ]

    before = rows()
    assert [len(table) for table in before] == [3, 3, 6]
    import_demo_pki(pki)
    assert rows() == before


def test_certificate_of_an_unknown_authority_is_not_registered(registered, tmp_path):
    make_demo_pki(tmp_path, [OrganisationSpec("BANK-A", "甲银行", "sm2-sm3")], START, END)
    TrustedAuthority.objects.update(active=False)

    with pytest.raises(CertificateUnknownIssuer):
        register_certificate(pem=(tmp_path / "BANK-A" / "cert.pem").read_bytes(), organisation_code="BANK-A")
    assert Certificate.objects.count() == 3


def test_certificate_belongs_to_one_party(registered, pki):
    with pytest.raises(CertificateAlreadyRegistered):
        register_certificate(pem=(pki / "BANK-A" / "cert.pem").read_bytes(), organisation_code="BANK-B")


def test_first_revocation_stands(registered):
    key = registered["BANK-A"].pk
    revoke_certificate(certificate_id=key, reason="UKey 遗失", now=NOON)
    with pytest.raises(CertificateAlreadyRevoked):
        revoke_certificate(certificate_id=key, reason="again", now=NOON + timedelta(days=1))
    row = Certificate.objects.get(pk=key)
    assert (row.status, row.revoked_at, row.revoke_reason) == ("revoked", NOON, "UKey 遗失")


def refused_by_database(sql, *arguments, error=InternalError):
    with pytest.raises(error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, arguments)


def test_database_keeps_the_register_and_the_uses_as_they_were_written(registered):
    bank = registered["BANK-A"]
    record_seal_uses([use_of(bank)], now=NOON)
    use = SealUse.objects.get()
    assert use.signed_digest_sm3 == sm3_hex(TEXT)

    refused_by_database("UPDATE seals_sealuse SET at = at WHERE id = %s", use.pk)
    refused_by_database("DELETE FROM seals_sealuse WHERE id = %s", use.pk)
    refused_by_database("DELETE FROM seals_certificate WHERE id = %s", bank.pk)
    refused_by_database("UPDATE seals_certificate SET pem = 'x' WHERE id = %s", bank.pk)
    refused_by_database("UPDATE seals_certificate SET organisation_code = 'BANK-B' WHERE id = %s", bank.pk)
    refused_by_database("UPDATE seals_certificate SET status = 'revoked' WHERE id = %s", bank.pk, error=IntegrityError)
    refused_by_database("UPDATE seals_trustedauthority SET pem = 'x'")
    refused_by_database("DELETE FROM seals_trustedauthority")
    revoke_certificate(certificate_id=bank.pk, reason="UKey 遗失", now=NOON)
    refused_by_database(
        "UPDATE seals_certificate SET status = 'active', revoked_at = NULL, revoke_reason = '' WHERE id = %s", bank.pk
    )
