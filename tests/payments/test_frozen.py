"""What was submitted, decided or reported by a partner cannot be rewritten, not even by raw SQL."""

import pytest
from django.db import DatabaseError, connection, transaction

from payments.models import PaymentDetail
from tests import acts
from tests.bank import clearing, refund_clearing

CONTENT = {
    "amount": "2",
    "purpose": "'x'",
    "indicator_id": "gen_random_uuid()",
    "quota_id": "gen_random_uuid()",
    "unit_id": "gen_random_uuid()",
    "payer_account_id": "gen_random_uuid()",
    "payment_mode": "'11'",
    "business_type": "'4'",
    "settlement": "'3'",
    "dept_economic_code": "'30299'",
    "contract_no": "'x'",
    "cash_reason": "'x'",
    "request_no": "'x'",
    "created_by_id": "gen_random_uuid()",
    "adm_div_code": "'990200000'",
    "fiscal_year": "2027",
}
DETAIL = {
    "amount": "2",
    "payee_name": "'x'",
    "payee_account_no": "'x'",
    "payee_bank_name": "'x'",
    "payee_bank_no": "'x'",
    "remark": "'x'",
    "seq": "9",
}


def run(statement, *parameters):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def at(state):
    request = acts.draft("I1", "1.00")
    steps = [acts.submit, acts.approve_all, acts.issue, acts.seal]
    for step in steps[: ["in_review", "approved", "vouchered", "sealed"].index(state) + 1]:
        step(request)
    assert acts.fresh(request)[0].state == state
    return request


@pytest.mark.parametrize("state", ["in_review", "approved", "vouchered", "sealed"])
def test_every_field_of_a_request_under_way_is_frozen(city, state):
    request = at(state)
    for column, value in CONTENT.items():
        with pytest.raises(DatabaseError):
            run(f"UPDATE payments_paymentrequest SET {column} = {value} WHERE id = %s", request.id)


@pytest.mark.parametrize("state", ["in_review", "sealed"])
def test_every_field_of_its_details_too_and_none_is_added_or_taken(city, state):
    request = at(state)
    for column, value in DETAIL.items():
        with pytest.raises(DatabaseError, match="frozen"):
            run(f"UPDATE payments_paymentdetail SET {column} = {value} WHERE request_id = %s", request.id)
    with pytest.raises(DatabaseError):
        run("DELETE FROM payments_paymentdetail WHERE request_id = %s", request.id)
    detail = PaymentDetail.objects.get(request=request)
    detail.pk, detail.seq = None, 2
    detail.pk = PaymentDetail._meta.pk.get_default()
    with pytest.raises(DatabaseError), transaction.atomic():
        detail.save(force_insert=True)


def test_a_detail_is_not_moved_into_a_request_under_way(city):
    target, other = at("in_review"), acts.draft("I1", "5.00")
    with pytest.raises(DatabaseError):
        run("UPDATE payments_paymentdetail SET request_id = %s, seq = 7 WHERE request_id = %s", target.id, other.id)


def test_a_draft_is_free_to_change(city):
    request = acts.draft("I1", "1.00")
    run("UPDATE payments_paymentrequest SET amount = 2, purpose = 'x' WHERE id = %s", request.id)
    run("UPDATE payments_paymentdetail SET amount = 2 WHERE request_id = %s", request.id)
    assert acts.fresh(request)[0].purpose == "x"


def test_no_request_is_ever_deleted(city):
    request = acts.draft("I1", "1.00")
    run("DELETE FROM payments_paymentdetail WHERE request_id = %s", request.id)
    with pytest.raises(DatabaseError, match="Cannot delete"):
        run("DELETE FROM payments_paymentrequest WHERE id = %s", request.id)


def test_facts_are_never_changed_or_deleted(city, bank_a, pboc):
    request = acts.sent("I4", "3.00")
    bank_a.send(bank_a.receipt(request.voucher))
    bank_a.send(bank_a.refund("TK1", request, 1, "1.00", kind="2203"))
    refund = request.details.get().refunds.get()
    for asked, executed in (
        clearing(bank_a, pboc, "HK1", [(request, 1)]),
        refund_clearing(bank_a, pboc, "HT1", [refund]),
    ):
        bank_a.send(asked)
        pboc.send(executed)
    tables = [f"payments_{t}" for t in ("paymentreceipt", "receiptline", "refund", "clearing", "clearingline")]
    tables += ["payments_limitnotice", "parties_reviewdecision", "core_transition"]
    for table in tables:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchone()[0] > 0, table
        for statement in (f"UPDATE {table} SET adm_div_code = '0'", f"DELETE FROM {table}"):
            with pytest.raises(DatabaseError):
                run(statement)


@pytest.mark.parametrize(
    "change",
    ["amount_paid = 101", "amount_failed = -1", "amount_refunded = 0.01", "amount_paid = 60, amount_failed = 41"],
)
def test_projections_stay_within_the_amount(city, change):
    request = acts.sent("I1", "100.00")
    with pytest.raises(DatabaseError):
        run(f"UPDATE payments_paymentrequest SET {change} WHERE id = %s", request.id)
