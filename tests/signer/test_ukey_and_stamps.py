"""Where the region asks for UKeys and seals: who signed what, which seal, and in which order."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.utils import timezone

from core.digests import sm3_hex
from demo import world
from evidence.models import EvidenceRoot
from parties.models import ReviewDecision
from payments.content import content_digest, details_of
from seals.certificates import parse_certificate
from seals.eseal.structures import EVIDENCE_ROOT_OID, parse_stamp
from seals.eseal.verify import verify_stamp
from seals.models import Certificate, ESeal, OfficerCertificate, Stamp, StepSignature, TrustedAuthority
from seals.signing import Order, Warrant, the_signer
from seals.statements import Item, build_statement, item_text, statement_text
from seals.suites import get_suite
from tests import acts
from tests.seals.eseal_world import root
from tests.signer.officers import ORIGIN, Desk, certificate
from tests.signer.scene import holds, order_of, refusal, refused, seal, tampering
from vouchers.models import Voucher

SEALED = True


@pytest.fixture
def desk(asked, town):
    return Desk(town)


def es(es_id):
    return ESeal.objects.select_related("certificate").get(es_id=es_id)


FINANCE_SEAL, NAME_SEAL = "ES990100000001", "ES990100000002"


def name_order(voucher, **changes) -> Order:
    """The first step of a 5201: the chief's personal seal."""
    return order_of(voucher, "cz_sz", **({"seal_id": es(NAME_SEAL).id} | changes))


def last_orders(voucher) -> list[Order]:
    """The second step: signature and the bureau's seal."""
    return [order_of(voucher, "cz_qm"), order_of(voucher, "cz_dwgz", seal_id=es(FINANCE_SEAL).id)]


def judged(value, voucher, position):
    authorities = [parse_certificate(row.pem) for row in TrustedAuthority.objects.all()]
    return verify_stamp(
        value,
        content=bytes(voucher.text),
        expected_property=f"{world.REGION}/{world.YEAR}/{voucher.voucher_type}/{voucher.voucher_no}/{position}",
        maker_authorities=authorities,
        signer_authorities=authorities,
        at=timezone.now(),
        now=timezone.now(),
    )


# The right way ------------------------------------------------------------------------------------------------------


def test_two_steps_make_a_personal_seal_then_signature_and_seal(desk):
    request = desk.vouchered("I4")
    voucher = request.voucher
    [first] = seal(name_order(voucher), warrant=desk.warrant("gk-mz", request))
    report = judged(first.value, voucher, "cz_sz")
    assert report.verdict.ok, report.verdict
    assert report.stamp.seal.es_id == NAME_SEAL

    desk.seal("gk-mz", request)
    signature, stamp = seal(*last_orders(voucher), warrant=desk.warrant("gk-yz", request))

    assert holds(signature, world.FINANCE, bytes(voucher.text))
    assert judged(stamp.value, voucher, "cz_dwgz").verdict.ok
    assert not judged(stamp.value, voucher, "cz_sz").verdict.ok


def test_the_whole_way_with_ukeys_runs_over_the_socket(desk):
    request = desk.vouchered("I4", "50.00")
    desk.seal("gk-mz", request)
    assert acts.fresh(request)[0].state == "vouchered"
    desk.seal("gk-yz", request)

    voucher = Voucher.objects.get(pk=request.voucher_id)
    assert (voucher.state, acts.fresh(request)[0].state) == ("sealed", "sealed")
    assert [s.position for s in Stamp.objects.filter(voucher_id=voucher.id).order_by("ordinal")] == ["cz_sz", "cz_dwgz"]
    [notice] = acts.fresh(request)[0].limit_notices.select_related("voucher")
    assert notice.voucher.state == "sealed"
    assert Stamp.objects.filter(voucher_id=notice.voucher_id).count() == 1


def test_a_batch_is_sealed_under_one_statement(desk):
    requests = desk.all_vouchered("I4", [("1.00",), ("2.00",), ("3.00",)])
    warrant = desk.warrant("gk-mz", *requests)

    marks = seal(*(name_order(request.voucher) for request in requests), warrant=warrant)

    assert [judged(m.value, r.voucher, "cz_sz").verdict.ok for m, r in zip(marks, requests, strict=True)] == [True] * 3


def test_a_unit_with_another_suite_seals_with_it(desk):
    request = desk.vouchered("I1")
    seal_id = personal_seal_of("UNIT-101001").id
    [mark] = seal(order_of(request.voucher, "dw_sz", seal_id=seal_id), warrant=desk.warrant("u101001-mz", request))
    stamp = parse_stamp(mark.value)
    assert stamp.signature_oid == get_suite("ecdsa-p256-sha256").signature_oid
    assert judged(mark.value, request.voucher, "dw_sz").verdict.ok


def personal_seal_of(organisation):
    return ESeal.objects.get(organisation_code=organisation, kind="personal")


def test_a_stamp_carries_the_latest_root_of_the_log_once_there_is_one(desk):
    request = desk.vouchered("I4")
    warrant = desk.warrant("gk-mz", request)
    [before] = seal(name_order(request.voucher), warrant=warrant)
    assert parse_stamp(before.value).extension(EVIDENCE_ROOT_OID) is None
    stream = f"{world.REGION}/{world.YEAR}"
    EvidenceRoot.objects.create(
        stream=stream, size=7, root="ab" * 32, frontier="", text="{}", signature=b"", certificate_serial="01",
        at=timezone.now(),
    )  # fmt: skip

    [after] = seal(name_order(request.voucher), warrant=warrant)

    carried = parse_stamp(after.value).extension(EVIDENCE_ROOT_OID)
    assert carried is not None
    assert json.loads(carried[2:]) == {"root": "ab" * 32, "size": 7, "stream": stream}
    assert judged(after.value, request.voucher, "cz_sz").verdict.ok
    with tampering("evidence_evidenceroot") as cursor:
        cursor.execute("DELETE FROM evidence_evidenceroot")


# The order of steps and who takes them ------------------------------------------------------------------------------


def test_the_bureaus_seal_waits_for_the_personal_one(desk):
    request = desk.vouchered("I4")
    warrant = desk.warrant_of("gk-yz", _prepared_as(desk, "gk-yz", request, "seal_keeper"))
    assert refused(*last_orders(request.voucher), warrant=warrant) == "earlier_step_missing"


def test_a_step_is_whole_and_is_one_step(desk):
    request = desk.vouchered("I4")
    warrant = desk.warrant("gk-mz", request)
    assert refused(name_order(request.voucher), *last_orders(request.voucher), warrant=warrant) == "positions_differ"
    desk.seal("gk-mz", request)
    warrant = desk.warrant("gk-yz", request)
    assert refused(last_orders(request.voucher)[0], warrant=warrant) == "positions_differ"
    assert refused(name_order(request.voucher), warrant=warrant) == "position_taken"


def test_the_kind_that_belongs_to_a_position_decides(desk):
    request = desk.vouchered("I4")
    warrant = desk.warrant("gk-mz", request)
    assert refused(order_of(request.voucher, "cz_sz"), warrant=warrant) == "positions_differ"
    finance = name_order(request.voucher, seal_id=es(FINANCE_SEAL).id)
    assert refused(finance, warrant=warrant) == "seal_kind_differs"


def test_one_person_may_not_take_both_steps(desk):
    request = desk.vouchered("I4")
    desk.seal("gk-mz", request)
    keeper = world.officer("gk-yz").person_id
    with tampering("seals_stamp") as cursor:
        cursor.execute("UPDATE seals_stamp SET person_id = %s WHERE voucher_id = %s", [keeper, request.voucher_id])
    prepared = _prepared_as(desk, "gk-yz", request, "seal_keeper")
    assert refused(*last_orders(request.voucher), warrant=desk.warrant_of("gk-yz", prepared)) == "sealed_another_step"


# The seal -----------------------------------------------------------------------------------------------------------


def test_the_seal_of_another_organisation_is_not_used(desk):
    request = desk.vouchered("I4")
    other = name_order(request.voucher, seal_id=personal_seal_of("UNIT-101002").id)
    assert refused(other, warrant=desk.warrant("gk-mz", request)) == "seal_of_other_organisation"
    nobody = name_order(request.voucher, seal_id=uuid4())
    assert refused(nobody, warrant=desk.warrant("gk-mz", request)) == "seal_unknown"


@pytest.mark.parametrize(
    ("change", "back", "code"),
    [
        (
            "status = 'revoked', revoked_at = now(), revoke_reason = '遗失'",
            "status = 'active', revoked_at = NULL, revoke_reason = ''",
            "seal_revoked",
        ),
        ("valid_to = '2026-01-01'", "valid_to = '2036-01-01'", "seal_not_current"),
        ("voucher_types = '[\"8202\"]'", "voucher_types = '[]'", "seal_not_for_type"),
    ],
)
def test_a_seal_that_may_not_be_used_is_not_used(desk, change, back, code):
    request = desk.vouchered("I4")
    warrant = desk.warrant("gk-mz", request)
    with tampering("seals_eseal") as cursor:
        cursor.execute(f"UPDATE seals_eseal SET {change} WHERE es_id = %s", [NAME_SEAL])
    try:
        assert refused(name_order(request.voucher), warrant=warrant) == code
    finally:
        with tampering("seals_eseal") as cursor:
            cursor.execute(f"UPDATE seals_eseal SET {back} WHERE es_id = %s", [NAME_SEAL])
    assert len(seal(name_order(request.voucher), warrant=warrant)) == 1


def test_a_seal_whose_certificate_is_revoked_is_not_used(desk):
    request = desk.vouchered("I4")
    warrant = desk.warrant("gk-mz", request)
    row = es(NAME_SEAL).certificate
    with tampering("seals_certificate"):
        Certificate.objects.filter(pk=row.pk).update(
            status="revoked", revoked_at=timezone.now(), revoke_reason="密钥泄露"
        )
    try:
        assert refused(name_order(request.voucher), warrant=warrant) == "seal_revoked"
    finally:
        with tampering("seals_certificate"):
            Certificate.objects.filter(pk=row.pk).update(status="active", revoked_at=None, revoke_reason="")


def test_a_seal_row_with_another_seals_data_is_not_used(desk):
    request = desk.vouchered("I4")
    warrant = desk.warrant("gk-mz", request)
    own = bytes(es(NAME_SEAL).der)
    with tampering("seals_eseal") as cursor:
        cursor.execute("UPDATE seals_eseal SET der = %s WHERE es_id = %s", [bytes(es(FINANCE_SEAL).der), NAME_SEAL])
    try:
        assert refused(name_order(request.voucher), warrant=warrant) == "seal_not_usable"
    finally:
        with tampering("seals_eseal") as cursor:
            cursor.execute("UPDATE seals_eseal SET der = %s WHERE es_id = %s", [own, NAME_SEAL])


# What the sealer signed ---------------------------------------------------------------------------------------------


def _prepared_as(desk, who, request, post):
    """A statement made by hand, for what the application itself would not have prepared."""
    voucher = Voucher.objects.get(pk=request.voucher_id)
    item = Item(
        amount=f"{voucher.amount:.2f}",
        digest=voucher.digest,
        document_id=str(request.id),
        document_no=f"{voucher.voucher_type}/{voucher.voucher_no}",
        former="",
        payee="",
        revision=request.revision,
    )
    return _made(who, [item], post)


def _made(who, items, post="name_seal", **changes):
    officer, row = world.officer(who), certificate(who)
    values = {
        "action": "seal",
        "adm_div_code": world.REGION,
        "certificate_sm3": row.certificate_sm3,
        "issued_at": timezone.now(),
        "nonce": uuid4().hex,
        "officer": officer.name,
        "origin": ORIGIN,
        "person_id": str(officer.person_id),
        "post": post,
        "items": items,
    } | changes
    statement = SimpleNamespace(
        id=uuid4(), text=statement_text(build_statement(**values)), items=[item_text(item) for item in items]
    )
    return SimpleNamespace(statement=statement, certificate=row, refused={})


def item_for(request, **changes):
    voucher = request.voucher
    values = {
        "amount": f"{voucher.amount:.2f}",
        "digest": voucher.digest,
        "document_id": str(request.id),
        "document_no": voucher.voucher_no,
        "former": "",
        "payee": "",
        "revision": request.revision,
    } | changes
    return Item(**values)


def test_nothing_signed_is_nothing_sealed(desk):
    request = desk.vouchered("I4")
    found = refusal(name_order(request.voucher), warrant=Warrant(world.officer("gk-mz").person_id))
    assert (found.code, type(found).__name__) == ("signature_required", "SignatureRequired")


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ({"issued_at": lambda: timezone.now() - timedelta(minutes=6)}, "statement_expired"),
        ({"issued_at": lambda: timezone.now() + timedelta(minutes=3)}, "statement_expired"),
        ({"action": "approve"}, "statement_outdated"),
        ({"adm_div_code": "990200000"}, "statement_outdated"),
        ({"post": "seal_keeper"}, "statement_outdated"),
        ({"person_id": str(uuid4())}, "statement_signature_invalid"),
        ({"certificate_sm3": "0" * 64}, "statement_signature_invalid"),
    ],
)
def test_a_statement_that_says_something_else_does_not_count(desk, statement, code):
    request = desk.vouchered("I4")
    changes = {name: value() if callable(value) else value for name, value in statement.items()}
    warrant = desk.warrant_of("gk-mz", _made("gk-mz", [item_for(request)], **changes))
    assert refused(name_order(request.voucher), warrant=warrant) == code


@pytest.mark.parametrize(
    "item", [{"amount": "0.01"}, {"digest": "0" * 64}, {"document_id": "another"}], ids=["amount", "text", "document"]
)
def test_a_statement_over_another_amount_or_text_does_not_count(desk, item):
    request = desk.vouchered("I4")
    warrant = desk.warrant_of("gk-mz", _made("gk-mz", [item_for(request, **item)]))
    assert refused(name_order(request.voucher), warrant=warrant) == "statement_outdated"


def test_an_item_altered_after_signing_does_not_count(desk):
    request = desk.vouchered("I4", "100.00")
    warrant = desk.warrant("gk-mz", request)
    assert (
        refused(
            name_order(request.voucher), warrant=replace(warrant, items=(warrant.items[0].replace("100.00", "900.00"),))
        )
        == "statement_items_disagree"
    )
    rewritten = replace(warrant, statement=warrant.statement.replace('"sum":"100.00"', '"sum":"900.00"'))
    assert refused(name_order(request.voucher), warrant=rewritten) == "statement_items_disagree"
    both = replace(rewritten, statement=warrant.statement.replace('"note":""', '"note":"x"'))
    assert refused(name_order(request.voucher), warrant=both) == "statement_malformed"
    later = warrant.statement.replace('"origin":"http://127.0.0.1', '"origin":"http://127.0.0.2')
    assert refused(name_order(request.voucher), warrant=replace(warrant, statement=later)) == (
        "statement_signature_invalid"
    )
    spaced = warrant.statement.replace(",", ", ", 1)
    assert refused(name_order(request.voucher), warrant=replace(warrant, statement=spaced)) == "statement_malformed"


def test_another_persons_signature_does_not_count(desk):
    request = desk.vouchered("I4")
    mine = desk.warrant("gk-mz", request)
    signature = desk.sign("gk-kz", mine.statement)
    assert refused(name_order(request.voucher), warrant=replace(mine, signature=signature)) == (
        "statement_signature_invalid"
    )
    borrowed = replace(mine, signature=signature, certificate_serial=certificate("gk-kz").serial_hex)
    assert refused(name_order(request.voucher), warrant=borrowed) == "statement_signature_invalid"
    assert refused(name_order(request.voucher), warrant=replace(mine, certificate_serial="01")) == (
        "statement_signature_invalid"
    )


def test_a_statement_for_one_voucher_seals_no_other(desk):
    one, other = desk.all_vouchered("I4", [("1.00",), ("2.00",)])
    warrant = desk.warrant("gk-mz", one)
    assert refused(name_order(other.voucher), warrant=warrant) == "statement_outdated"
    assert refused(name_order(one.voucher), name_order(other.voucher), warrant=warrant) == "statement_outdated"


def test_a_revoked_ukey_seals_nothing(desk):
    request = desk.vouchered("I4")
    warrant = desk.warrant("gk-mz", request)
    row = certificate("gk-mz")
    with tampering("seals_officercertificate"):
        OfficerCertificate.objects.filter(pk=row.pk).update(
            status="revoked", revoked_at=timezone.now(), revoke_reason="遗失"
        )
    try:
        assert refused(name_order(request.voucher), warrant=warrant) == "statement_signature_invalid"
    finally:
        with tampering("seals_officercertificate"):
            OfficerCertificate.objects.filter(pk=row.pk).update(status="active", revoked_at=None, revoke_reason="")


def test_a_ukey_that_somebody_wrote_into_the_register_is_none(desk):
    """The row is perfect and the key signs; but no authority known to the signer has issued the certificate."""
    request = desk.vouchered("I4")
    row = certificate("gk-mz")
    forged = root("sm2-sm3", "Somebody's authority").issue("gk-mz", start=datetime(2026, 1, 1, tzinfo=UTC))
    pem, sm3 = forged.certificate.pem, sm3_hex(forged.certificate.der)
    with tampering("seals_officercertificate"):
        OfficerCertificate.objects.filter(pk=row.pk).update(
            pem=pem, certificate_sm3=sm3, serial_hex=forged.certificate.serial_hex
        )
    try:
        prepared = _made("gk-mz", [item_for(request)])
        warrant = replace(
            desk.warrant_of("gk-mz", prepared),
            signature=get_suite("sm2-sm3").sign(forged.key, b"GUOKU-STATEMENT-V1\0" + prepared.statement.text.encode()),
        )
        assert refused(name_order(request.voucher), warrant=warrant) == "statement_signature_invalid"
    finally:
        with tampering("seals_officercertificate"):
            OfficerCertificate.objects.filter(pk=row.pk).update(
                pem=row.pem, certificate_sm3=row.certificate_sm3, serial_hex=row.serial_hex
            )


# What the reviewers signed ------------------------------------------------------------------------------------------


FORMER = """item = replace(item, '"former":""', '"former":"' || repeat('0', 64) || '"')"""
NEXT = (
    "signature_id = (SELECT signature_id FROM parties_reviewdecision WHERE document_id = %(request)s AND ordinal = 2)"
)
INVALID = "approval_signature_invalid"


@pytest.mark.parametrize(
    ("table", "change", "code"),
    [
        ("decision", "signature_id = NULL", "approval_not_signed"),
        ("decision", "signature_id = %(next)s", INVALID),
        ("decision", "signature_id = %(other)s", INVALID),
        ("step", FORMER, INVALID),
        ("step", "post = 'unit_leader'", INVALID),
        ("step", "path = '[\"00\"]'", INVALID),
        ("step", "action = 'return'", INVALID),
        ("step", "signature_sm3 = repeat('0', 64)", INVALID),
        ("signature", "signature = '\\x3006020101020101'", INVALID),
        ("signature", "text = replace(text, 'approve', 'reject ')", INVALID),
        ("signature", "at = at + interval '1 hour'", INVALID),
        ("signature", "certificate_id = %(certificate)s", INVALID),
    ],
    ids=["none", "the next", "another's", "former", "post", "path", "action", "sm3", "value", "text", "time", "who"],
)
def test_an_approval_counts_only_with_its_own_signature(desk, table, change, code):
    request, other = desk.all_vouchered("I4", [("1.00",), ("2.00",)])[0], desk.vouchered("I4", "3.00")
    warrant = desk.warrant("gk-mz", request)
    assert len(seal(name_order(request.voucher), warrant=warrant)) == 1
    first = ReviewDecision.objects.get(document_id=request.id, ordinal=1)
    step = StepSignature.objects.get(pk=first.signature_id)
    name, row = {
        "decision": ("parties_reviewdecision", first.pk),
        "step": ("seals_stepsignature", step.pk),
        "signature": ("seals_statementsignature", step.signed_id),
    }[table]
    facts = {
        "request": request.id,
        "next": ReviewDecision.objects.get(document_id=request.id, ordinal=2).signature_id,
        "other": ReviewDecision.objects.get(document_id=other.id, ordinal=1).signature_id,
        "certificate": certificate("gk-kz").pk,
        "row": row,
    }
    with tampering(name) as cursor:
        cursor.execute(f"UPDATE {name} SET {change} WHERE id = %(row)s", facts)
    assert refused(name_order(request.voucher), warrant=warrant) == code


def test_rows_rewritten_consistently_cannot_follow_the_signatures(desk):
    """Another payee, with every digest in every row made to fit: the officers' signatures are over the old one."""
    request = desk.vouchered("I4", "50.00")
    warrant = desk.warrant("gk-mz", request)
    with tampering("payments_paymentdetail", "payments_paymentrequest", "parties_reviewdecision") as cursor:
        cursor.execute(
            "UPDATE payments_paymentdetail SET payee_account_no = '6230000000000666' WHERE request_id = %s",
            [request.id],
        )
        changed = acts.fresh(request)[0]
        digest = content_digest(changed, details_of([changed])[request.id])
        cursor.execute("UPDATE payments_paymentrequest SET content_digest = %s WHERE id = %s", [digest, request.id])
        cursor.execute(
            "UPDATE parties_reviewdecision SET content_digest = %s WHERE document_id = %s", [digest, request.id]
        )
    assert refused(name_order(request.voucher), warrant=warrant) == "approval_signature_invalid"


def test_a_reviewers_key_revoked_before_he_signed_does_not_count_and_after_it_does(desk):
    request = desk.vouchered("I4")
    warrant = desk.warrant("gk-mz", request)
    row = certificate("u101002-fh")
    try:
        for moment, code in ((timezone.now(), ""), (timezone.now() - timedelta(hours=1), "approval_signature_invalid")):
            with tampering("seals_officercertificate"):
                OfficerCertificate.objects.filter(pk=row.pk).update(
                    status="revoked", revoked_at=moment, revoke_reason="离职"
                )
            if code:
                assert refused(name_order(request.voucher), warrant=warrant) == code
            else:
                assert len(seal(name_order(request.voucher), warrant=warrant)) == 1
    finally:
        with tampering("seals_officercertificate"):
            OfficerCertificate.objects.filter(pk=row.pk).update(status="active", revoked_at=None, revoke_reason="")


def test_the_seal_keys_sign_no_message_and_no_voucher_text(desk, asked):
    """Only the organisation's own key signs texts; the personal seal's stands under no organisation's name."""
    with pytest.raises(Exception, match="没有机构"):
        the_signer().identity("MZ-NOBODY")
    request = desk.vouchered("I4")
    [mark] = seal(name_order(request.voucher), warrant=desk.warrant("gk-mz", request))
    assert mark.serial_hex == es(NAME_SEAL).certificate.serial_hex
    assert base64.b64encode(mark.value) not in bytes(request.voucher.text)
