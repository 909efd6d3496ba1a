"""5253 and 5351 change codes and nothing else, as approved; an 8252 follows from what two persons have said."""

from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from core.ids import new_id
from demo import world
from parties.models import Region, ReviewDecision
from payments import services
from payments.models import Correction, RefundCase
from payments.refund_orders import refund_order_draft
from seals.signing import Order, Warrant
from tests import acts, corrected
from tests.conftest import NOW
from tests.signer.scene import by, holds, order_of, refused, seal, tampering
from vouchers.codec import content_text, decode_content, encode_content
from vouchers.messages import VoucherContent
from vouchers.models import Voucher

D = Decimal


@pytest.fixture
def correction(asked, keys):
    """A correction that everybody needed has approved and whose voucher is made out, committed."""
    number = f"I1{str(uuid4())[:6]}"
    target = corrected.second_indicator(number)
    request = acts.sent("I1", "10.00")
    from payments.models import PaymentDetail, PaymentRequest

    with tampering("payments_paymentdetail", "payments_paymentrequest"):  # as if the bank had paid it
        PaymentDetail.objects.filter(request=request).update(state="paid")
        PaymentRequest.objects.filter(pk=request.pk).update(state="paid", amount_paid=D("10.00"))
    return corrected.vouchered(acts.fresh(request)[0], target, "6.00")


def rewritten(voucher, *, lines=None, **main):
    """The voucher's row and text changed as one: what somebody with the database could do."""
    content = decode_content(bytes(voucher.text))[0]
    details = tuple({**line, **(lines or {}).get(line["Id"], {})} for line in content.details)
    text = content_text(encode_content(replace(content, main={**content.main, **main}, details=details)))
    from core.digests import sm3_hex

    with tampering("vouchers_voucher"):
        Voucher.objects.filter(pk=voucher.pk).update(text=text, digest=sm3_hex(text))
    return Voucher.objects.get(pk=voucher.pk)


def test_an_approved_correction_is_sealed(correction):
    order = order_of(correction.voucher)
    [mark] = seal(order)
    assert holds(mark, world.FINANCE, order.text)


@pytest.mark.parametrize(
    ("lines", "main"),
    [
        ({"1": {"PayAmt": "-5.00"}, "2": {"PayAmt": "5.00"}}, {}),
        ({"2": {"ExpFuncCode": "2050204"}}, {}),
        ({"2": {"Hold1": "50502"}}, {}),
        ({}, {"Hold1": "SZ9999"}),
        ({}, {"PayBankCode": "103"}),
    ],
)
def test_a_text_that_says_something_else_is_refused(correction, lines, main):
    voucher = rewritten(correction.voucher, lines=lines, **main)
    assert refused(order_of(voucher)) == "text_disagrees"


def test_what_was_not_approved_or_changed_since_is_refused(correction):
    with tampering("payments_correction"):
        Correction.objects.filter(pk=correction.pk).update(dept_economic_code="30202")
    assert refused(order_of(correction.voucher)) == "content_changed"
    with tampering("parties_reviewdecision"):
        ReviewDecision.objects.filter(document_id=correction.pk, post="section_reviewer").delete()
    assert refused(order_of(correction.voucher)) == "approvals_incomplete"


def test_it_does_not_cross_to_another_unit(correction):
    with tampering("payments_correction"):
        Correction.objects.filter(pk=correction.pk).update(to_indicator_id=world.indicator("I3").id)
    assert refused(order_of(correction.voucher)) == "correction_crosses"


def test_the_maker_does_not_seal_it_and_nobody_without_the_post(correction):
    assert refused(order_of(correction.voucher), warrant=by("gk-zd")) == "post_not_held"
    assert refused(order_of(correction.voucher), warrant=Warrant(None)) == "person_required"


# 8252 ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def case(asked, keys, issuing):
    """Money two persons have placed: 5.00 of R0."""
    from payments.models import PaymentRequest
    from vouchers.models import InboxMessage

    original = PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)
    number = f"TK{str(uuid4())[:6]}"
    message = InboxMessage.objects.create(
        adm_div_code=world.REGION, fiscal_year=world.YEAR, sender=world.BANK_B, voucher_type="2204", voucher_no=number,
        flag=0, text=b"x", digest=str(uuid4()), signatures=[], stamps=[], state="applied", received_at=NOW,
        applied_at=NOW,
    )  # fmt: skip
    made = RefundCase.objects.create(
        adm_div_code=world.REGION, fiscal_year=world.YEAR, message=message, position=1, notice_type="2204",
        notice_no=number, agent_bank=original.payer_account.agent_bank, unit=original.unit,
        payer_account_no=original.payer_account.account_no, amount=D("5.00"), refunded_on=world.DAY,
        opened_on=world.DAY, due_on=world.DAY, created_at=NOW,
    )  # fmt: skip
    services.propose_originals(
        choices=[(made.id, original.details.get().id)], officer=world.officer("u205001-jb"), note="附言", now=NOW
    ).raise_if_refused()
    return made


def confirmed(case):
    services.decide_cases(
        case_ids=[case.id], officer=world.officer("u205001-fh"), confirm=True, now=NOW
    ).raise_if_refused()
    return RefundCase.objects.select_related("agent_bank", "detail__request__unit", "detail__request__indicator").get(
        pk=case.pk
    )


def order_for(case, *, line=None, **main):
    """The 8252 as the application makes it out in its open transaction: no row of it is committed."""
    draft = refund_order_draft(case, Region.objects.get(), world.DAY)
    details = tuple({**detail, **(line or {})} for detail in draft.details)
    content = VoucherContent(
        "8252", "TK9001", world.REGION, world.YEAR, world.DAY, {"Id": uuid4().hex, **draft.main, **main}, details
    )
    text = content_text(encode_content(content))
    return Order(new_id(), "8252", world.REGION, world.YEAR, "TK9001", text, world.FINANCE, "cz_qm")


SYSTEM = Warrant(None)


def test_what_two_persons_have_placed_may_be_ordered_once(case):
    placed = confirmed(case)
    order = order_for(placed)
    [mark] = seal(order, warrant=SYSTEM)
    assert holds(mark, world.FINANCE, order.text)
    with tampering("payments_refundcase"):
        RefundCase.objects.filter(pk=case.pk).update(voucher_id=Voucher.objects.order_by("pk").first().pk)
    assert refused(order_for(placed), warrant=SYSTEM) == "case_ordered_before"


def test_what_nobody_has_confirmed_is_not_ordered(case):
    unconfirmed = RefundCase.objects.select_related(
        "agent_bank", "detail__request__unit", "detail__request__indicator"
    ).get(pk=case.pk)
    assert refused(order_for(unconfirmed), warrant=SYSTEM) == "case_not_identified"


@pytest.mark.parametrize(
    ("line", "main"),
    [
        ({"PayAmt": "-4.00"}, {"PayAmt": "-4.00"}),
        ({"OriVoucherNo": "SZ9999"}, {}),
        ({"OriVouDetailNo": "2"}, {}),
        ({}, {"PayAcctNo": "6220001010020001"}),
    ],
)
def test_an_order_that_says_something_else_is_refused(case, line, main):
    assert refused(order_for(confirmed(case), line=line, **main), warrant=SYSTEM) == "text_disagrees"
