"""5108, which follow from payments while the caller's transaction is open, and quota notices (5105 with 5106)."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest

from budget import services as budget
from budget.models import QuotaNotice
from core.digests import sm3_hex
from core.ids import new_id
from demo import world
from payments.messages import limit_notice_draft, load_names
from payments.models import LimitNotice
from seals.signing import Order, Warrant
from tests import acts
from tests.conftest import NOW
from tests.signer.scene import by, holds, order_of, refusal, refused, seal, tampering, vouchered
from vouchers.codec import content_text, decode_content, encode_content
from vouchers.messages import VoucherContent
from vouchers.models import Voucher

D = Decimal
SYSTEM = Warrant(None)


def limit_order(request, amount=None, number="ZQ9001", **main) -> Order:
    """A 5108 as the application makes it out in its open transaction: no row of it is committed."""
    draft = limit_notice_draft(request, D(amount or request.amount), load_names([request]), world.DAY)
    content = VoucherContent(
        voucher_type="5108",
        voucher_no=number,
        adm_div_code=draft.adm_div_code,
        fiscal_year=draft.fiscal_year,
        voucher_date=date(2026, 6, 15),
        main={"Id": uuid4().hex, **draft.main, **main},
        details=draft.details,
    )
    text = content_text(encode_content(content))
    return Order(new_id(), "5108", world.REGION, world.YEAR, number, text, world.FINANCE, "cz_qm")


def sealed(no="I4", *amounts):
    request = vouchered(no, *(amounts or ("30.00",)))
    acts.seal(request).raise_if_refused()
    return acts.fresh(request)[0]


def without_its_notice(request):
    with tampering("payments_limitnotice"):
        LimitNotice.objects.filter(request=request).delete()
    return request


# Given: positive ----------------------------------------------------------------------------------------------------


def test_a_limit_is_given_in_the_act_that_seals_the_payment(asked):
    request = vouchered("I4", "30.00")
    order = limit_order(request)

    together = seal(order_of(request.voucher), order)
    [alone] = seal(order)  # the application asks in two questions of one transaction

    assert holds(together[1], world.FINANCE, order.text)
    assert holds(alone, world.FINANCE, order.text)


def test_a_limit_of_another_amount_is_not_given(asked):
    request = vouchered("I4", "30.00")
    for amount in ("30.01", "29.99", "3000.00"):
        assert refused(order_of(request.voucher), limit_order(request, amount)) == "limit_amount_differs"


def test_a_limit_for_a_payment_this_person_may_not_seal_is_not_given(asked):
    request = vouchered("I4", "30.00")
    assert refused(limit_order(request), warrant=by("gk-zd")) == "post_not_held"
    assert refused(limit_order(request), warrant=SYSTEM) == "person_required"
    with tampering("parties_reviewdecision") as cursor:
        cursor.execute("DELETE FROM parties_reviewdecision WHERE document_id = %s AND ordinal = 2", [request.id])
    assert refused(limit_order(request)) == "approvals_incomplete"


def test_a_limit_is_given_once(asked):
    request = sealed()
    assert refused(limit_order(request)) == "limit_given_before"
    waiting = vouchered("I4", "31.00")
    both = [limit_order(waiting, number="ZQ9001"), limit_order(waiting, number="ZQ9002")]
    assert refused(order_of(waiting.voucher), *both) == "limit_given_before"


def test_a_limit_for_a_sealed_payment_without_one_is_given_until_the_payment_has_its_result(asked):
    request = without_its_notice(sealed())
    assert len(seal(limit_order(request))) == 1
    assert refused(limit_order(request), warrant=by("gk-kz")) == "post_not_held"
    with tampering("payments_paymentrequest") as cursor:
        cursor.execute("UPDATE payments_paymentrequest SET state = 'failed' WHERE id = %s", [request.id])
    assert refused(limit_order(request)) == "limit_too_late"


@pytest.mark.parametrize(
    ("main", "code"),
    [
        ({"PayVoucherNo": "ZF9999"}, "payment_unknown"),
        ({"PayVoucherNo": ""}, "payment_unknown"),
        ({"PayAcctNo": "6210001000000009"}, "text_disagrees"),
        ({"PayBankNo": "999100000018"}, "text_disagrees"),
        ({"TreCode": "9902000000"}, "text_disagrees"),
        ({"PayAmt": "0.00"}, "text_disagrees"),
        ({"PayAmt": "30"}, "text_malformed"),
    ],
)
def test_a_limit_that_names_another_payment_account_or_treasury_is_not_given(asked, main, code):
    request = vouchered("I4", "30.00")
    assert refused(order_of(request.voucher), limit_order(request, **main)) == code


def test_an_authorised_payment_gets_no_5108(asked):
    request = vouchered("I1", "30.00")
    assert refused(limit_order(request), warrant=by("u101001-yz")) == "payment_unknown"


def test_another_organisation_gives_no_limit(asked):
    order = limit_order(vouchered("I4", "30.00"))
    assert refused(replace(order, organisation_code="UNIT-101002")) == "organisation_differs"


# Taken back: negative, by the system -------------------------------------------------------------------------------


def test_the_system_takes_back_at_most_what_was_given(asked):
    request = sealed("I4", "30.00")

    [mark] = seal(limit_order(request, "-30.00"), warrant=SYSTEM)

    assert holds(mark, world.FINANCE, limit_order(request, "-30.00").text) is False  # another text, another id
    assert refused(limit_order(request, "-30.01"), warrant=SYSTEM) == "limit_taken_twice"
    parts = [limit_order(request, "-20.00", "ZQ9003"), limit_order(request, "-10.01", "ZQ9004")]
    assert refused(*parts, warrant=SYSTEM) == "limit_taken_twice"
    assert len(seal(*parts[:1], limit_order(request, "-10.00", "ZQ9005"), warrant=SYSTEM)) == 2


def test_what_was_taken_back_is_not_taken_again(asked):
    request = sealed("I4", "30.00")
    given = LimitNotice.objects.get(request=request)
    stand_in = vouchered("I4", "1.00").voucher
    LimitNotice.objects.create(
        adm_div_code=world.REGION, fiscal_year=world.YEAR, request=request, voucher=stand_in, amount=D("-25.00"), at=NOW
    )
    assert given.amount == D("30.00")
    assert refused(limit_order(request, "-5.01"), warrant=SYSTEM) == "limit_taken_twice"
    assert len(seal(limit_order(request, "-5.00"), warrant=SYSTEM)) == 1


def test_nothing_is_taken_back_before_something_was_given(asked):
    assert refused(limit_order(vouchered("I4", "30.00"), "-1.00"), warrant=SYSTEM) == "limit_taken_twice"


def test_the_system_seals_nothing_else(asked):
    assert refused(order_of(vouchered("I4").voucher), warrant=SYSTEM) == "person_required"


# Quota notices ------------------------------------------------------------------------------------------------------


def notice_of(*amounts, kind="normal"):
    """Approved plans of I5 merged into one notice, its 5105 and 5106 waiting for the seal."""
    clerk = world.officer("u205001-jb")
    inputs = [budget.PlanInput(world.indicator("I5").id, 6, D(amount), kind) for amount in amounts]
    ids = [plan.id for plan in budget.save_plans(inputs=inputs, clerk=clerk, now=NOW)]
    budget.submit_plans(plan_ids=ids, clerk=clerk, now=NOW).raise_if_refused()
    for who in ("u205001-fh", "xzzf-sh", "gk-jh"):
        budget.approve_plans(plan_ids=ids, reviewer=world.officer(who), now=NOW).raise_if_refused()
    budget.issue_quota_notices(plan_ids=ids, maker=world.officer("gk-zd"), now=NOW).raise_if_refused()
    notice = QuotaNotice.objects.latest("created_at", "pk")
    return notice, [order_of(Voucher.objects.get(pk=pk)) for pk in (notice.voucher_id, notice.limit_voucher_id)]


def test_both_vouchers_of_an_approved_notice_are_signed(asked):
    _notice, orders = notice_of("120.00", "30.00")

    marks = seal(*orders)

    assert [holds(mark, world.FINANCE, order.text) for mark, order in zip(marks, orders, strict=True)] == [True, True]
    assert [order.voucher_type for order in orders] == ["5105", "5106"]


def test_a_negative_notice_is_signed_for_approved_reductions(asked):
    _notice, orders = notice_of("120.00", "30.00", kind="reduce")

    marks = seal(*orders)

    assert [holds(mark, world.FINANCE, order.text) for mark, order in zip(marks, orders, strict=True)] == [True, True]
    assert [decode_content(order.text)[0].main["PlanAmt"] for order in orders] == ["-150.00", "-150.00"]


@pytest.mark.parametrize("kind", ["normal", "reduce"])
def test_a_plan_turned_round_after_its_approval_is_not_signed(asked, kind):
    """What was approved as a reduction does not go out as a grant, nor the other way."""
    notice, orders = notice_of("120.00", kind=kind)
    with tampering("budget_spendingplan") as cursor:
        other = "normal" if kind == "reduce" else "reduce"
        cursor.execute("UPDATE budget_spendingplan SET kind = %s WHERE notice_id = %s", [other, notice.id])
    assert refused(*orders) == "content_changed"


def test_a_text_that_gives_what_a_reduction_takes_is_not_signed(asked):
    _notice, orders = notice_of("120.00", kind="reduce")
    content, _ = decode_content(orders[0].text)
    detail = {**content.details[0], "PlanAmt": "120.00"}
    main = {**content.main, "PlanAmt": "120.00"}
    text = content_text(encode_content(replace(content, main=main, details=(detail,))))
    with tampering("vouchers_voucher") as cursor:
        cursor.execute(
            "UPDATE vouchers_voucher SET text = %s, digest = %s WHERE id = %s",
            [text, sm3_hex(text), orders[0].voucher_id],
        )
    assert refusal(replace(orders[0], text=text)).code == "text_disagrees"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("DELETE FROM parties_reviewdecision WHERE document_id = %s AND ordinal = 2", "approvals_incomplete"),
        ("UPDATE parties_reviewdecision SET revision = 4 WHERE document_id = %s", "approval_outdated"),
        ("UPDATE budget_spendingplan SET amount = 121 WHERE id = %s", "content_changed"),
        ("UPDATE budget_spendingplan SET month = 7 WHERE id = %s", "content_changed"),
        ("UPDATE budget_spendingplan SET state = 'cancelled' WHERE id = %s", "plan_not_notified"),
    ],
)
def test_a_notice_with_one_plan_that_is_not_approved_as_it_is_now_is_not_signed(asked, change, code):
    notice, orders = notice_of("120.00", "30.00")
    plan = notice.plans.order_by("pk").first()
    with tampering("parties_reviewdecision", "budget_spendingplan") as cursor:
        cursor.execute(change, [plan.id])
    assert refused(*orders) == code


def test_a_notice_text_with_another_amount_account_or_unit_is_not_signed(asked):
    for tag, value in (("PlanAmt", "121.00"), ("AgencyAccoCode", "6220002050010009"), ("AgencyCode", "101001")):
        _notice, orders = notice_of("120.00")
        content, _ = decode_content(orders[0].text)
        detail = {**content.details[0], tag: value}
        main = {**content.main, "PlanAmt": detail["PlanAmt"]}
        text = content_text(encode_content(replace(content, main=main, details=(detail,))))
        with tampering("vouchers_voucher") as cursor:
            cursor.execute(
                "UPDATE vouchers_voucher SET text = %s, digest = %s WHERE id = %s",
                [text, sm3_hex(text), orders[0].voucher_id],
            )
        assert refusal(replace(orders[0], text=text)).code == "text_disagrees"


def test_whoever_took_part_in_a_notice_may_not_seal_it(asked):
    notice, orders = notice_of("120.00")
    keeper = world.officer("gk-yz").person_id
    with tampering("budget_quotanotice") as cursor:
        cursor.execute("UPDATE budget_quotanotice SET made_by_id = %s WHERE id = %s", [keeper, notice.id])
    assert refused(*orders) == "acted_before"


def test_a_notice_voucher_without_its_notice_is_not_signed(asked):
    notice, orders = notice_of("120.00")
    with tampering("budget_quotanotice") as cursor:
        cursor.execute("UPDATE budget_quotanotice SET limit_voucher_id = NULL WHERE id = %s", [notice.id])
    assert len(seal(orders[0])) == 1
    assert refused(orders[1]) == "notice_unknown"
