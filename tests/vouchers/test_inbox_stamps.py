"""A receipt must bear the bank's filed 转讫章 where the region demands it: each fault refused with its own reason."""

from dataclasses import replace

import pytest
from django.db import connection
from django.utils import timezone

from demo import world
from seals.models import ESeal, SealPosition
from seals.services import revoke_seal
from simulators.stamps import Stamps
from simulators.wire import Identity
from tests import acts
from tests.bank import Partner
from vouchers.messages import SignatureMark
from vouchers.models import InboxMessage

PLACE = "yh_ywzqz"


@pytest.fixture
def paid(sealed_city, sealing_pki):
    """A sealed authorised payment of bank A, and the bank's honest receipt with its stamp."""
    request = acts.draft("I1", "120.00")
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    for who in ("u101001-mz", "u101001-yz"):
        sealer = world.officer(who)
        acts.services.seal_payment_vouchers(
            request_ids=[request.pk], sealer=sealer, now=timezone.now()
        ).raise_if_refused()
    request = acts.fresh(request)[0]
    bank = Partner(sealing_pki, world.BANK_A)
    receipt = bank.receipt(request.voucher)
    return bank, replace(receipt, stamps=stamped(sealing_pki, world.BANK_A, receipt)), request


def stamped(pki, organisation, body, *, text=None, number=None, place=PLACE):
    identity = Identity(body.adm_div_code, str(body.fiscal_year), body.voucher_type, number or body.voucher_no)
    (mark,) = Stamps(pki, organisation, place).affix(identity, (text or body.text).decode())
    return (SignatureMark(PLACE, mark.serial, mark.value),)


def answer(bank, body):
    (one,) = bank.send(body, now=timezone.now())
    return one


def test_an_honest_receipt_is_taken_with_its_stamp(paid):
    bank, receipt, request = paid

    assert answer(bank, receipt).outcome == "applied"
    kept = InboxMessage.objects.get(voucher_no=request.voucher_no, flag=1)
    assert kept.stamps == [[mark.position, mark.serial, mark.value] for mark in receipt.stamps]


def flipped(mark):
    changed = "B" if mark.value[-40] != "B" else "C"
    return replace(mark, value=mark.value[:-40] + changed + mark.value[-39:])


FAULTS = {
    "no stamp": (lambda b, pki: replace(b, stamps=()), "stamp_missing"),
    "at another position": (
        lambda b, pki: replace(b, stamps=(replace(b.stamps[0], position="yh_gz"),)),
        "stamp_missing",
    ),
    "not base64": (lambda b, pki: replace(b, stamps=(replace(b.stamps[0], value="AAA"),)), "stamp_missing"),
    "no stamp at all inside": (
        lambda b, pki: replace(b, stamps=(replace(b.stamps[0], value="AAAA"),)),
        "format_invalid",
    ),
    "one character changed": (lambda b, pki: replace(b, stamps=(flipped(b.stamps[0]),)), None),
    "over another text": (
        lambda b, pki: replace(b, stamps=stamped(pki, world.BANK_A, b, text=b.text[:-4] + b"AAAA")),
        "content_mismatch",
    ),
    "of another voucher": (
        lambda b, pki: replace(b, stamps=stamped(pki, world.BANK_A, b, number="SZ9999")),
        "property_mismatch",
    ),
    "bank B's seal": (lambda b, pki: replace(b, stamps=stamped(pki, world.BANK_B, b)), "seal_of_other_party"),
    "PBoC's seal": (lambda b, pki: replace(b, stamps=stamped(pki, world.PBOC, b)), "seal_of_other_party"),
    "the unit's own seal": (
        lambda b, pki: replace(b, stamps=stamped(pki, "UNIT-101001", b)),
        "seal_of_other_party",
    ),
}


@pytest.mark.parametrize(("spoil", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_stamp_is_refused_with_its_reason_and_moves_nothing(paid, sealing_pki, spoil, code):
    bank, receipt, request = paid
    before = acts.books("I1")

    told = answer(bank, spoil(receipt, sealing_pki))

    assert told.outcome == "refused"
    assert code is None or told.error.code == code, told.error
    kept = InboxMessage.objects.get(voucher_no=request.voucher_no, flag=1)
    assert (kept.state, bytes(kept.text)) == ("refused", receipt.text)
    assert acts.books("I1") == before and acts.fresh(request)[0].state == request.state


def test_a_seal_that_nobody_filed_is_refused_though_its_mathematics_holds(paid):
    bank, receipt, _request = paid
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM seals_eseal WHERE organisation_code = %s", [world.BANK_A])
        cursor.execute("SET LOCAL session_replication_role = origin")

    assert answer(bank, receipt).error.code == "seal_not_filed"


def test_a_seal_taken_out_of_use_is_refused(paid):
    bank, receipt, _request = paid
    seal = ESeal.objects.get(organisation_code=world.BANK_A)
    revoke_seal(seal_id=seal.pk, reason="银行换章", now=timezone.now())

    assert answer(bank, receipt).error.code == "seal_revoked"


def test_where_no_stamp_is_demanded_none_is_missed(paid):
    bank, receipt, _request = paid
    SealPosition.objects.filter(position=PLACE).delete()

    assert answer(bank, replace(receipt, stamps=())).outcome == "applied"
