"""M35: a receipt that says something else than the voucher is refused as before, and raises an alert with a case."""

import pytest

from monitoring.models import Alert, Case, MonitoringRule
from tests import acts
from vouchers.models import InboxMessage


@pytest.mark.parametrize(
    ("receipt", "field", "stated", "expected"),
    [
        ({"XPayAmt": "120.00", "line_changes": {"2": {"XPayAmt": "80.00"}}}, "Detail[2].XPayAmt", "80.00", "60.00"),
        ({"line_changes": {"1": {"XPayeeAcctNo": "999"}}}, "Detail[1].XPayeeAcctNo", "999", "6230000000000001"),
        ({"line_changes": {"1": {"XPayeeAcctName": "别人"}}}, "Detail[1].XPayeeAcctName", "别人", None),
    ],
)
def test_a_differing_receipt_is_refused_and_raises_an_alert(city, bank_a, receipt, field, stated, expected):
    request = acts.sent("I1", "40.00", "60.00")
    before = acts.books("I1")

    [answer] = bank_a.send(bank_a.receipt(request.voucher, **receipt))

    assert answer.outcome == "refused"
    assert InboxMessage.objects.get().state == "refused"
    alert = Alert.objects.get()
    assert (alert.rule_code, alert.severity, alert.state, alert.point) == ("M35", "red", "blocked", "receipt")
    assert (alert.document_id, alert.unit_code, alert.field) == (request.id, "101001", field)
    assert alert.facts["stated"] == stated
    assert expected is None or alert.facts["expected"] == expected
    assert Case.objects.get().alert == alert
    assert acts.books("I1") == before
    assert acts.fresh(request)[0].state == "sealed"


def test_the_honest_receipt_is_welcome_afterwards_and_the_alert_stays(city, bank_a):
    request = acts.sent("I1", "40.00")
    wrong = {"line_changes": {"1": {"XPayeeAcctNo": "999"}}}
    bank_a.send(bank_a.receipt(request.voucher, **wrong))
    bank_a.send(bank_a.receipt(request.voucher, **wrong))

    assert bank_a.send(bank_a.receipt(request.voucher))[0].outcome == "applied"
    assert Alert.objects.count() == 1
    assert acts.fresh(request)[0].state == "paid"


def test_the_refusal_does_not_depend_on_the_rule(city, bank_a):
    MonitoringRule.objects.filter(code="M35").update(enabled=False)
    request = acts.sent("I1", "40.00")

    [answer] = bank_a.send(bank_a.receipt(request.voucher, line_changes={"1": {"XPayeeAcctNo": "999"}}))

    assert (answer.outcome, answer.error.code) == ("refused", "receipt_payee_differs")
    assert not Alert.objects.exists()


def test_other_refusals_raise_none(city, bank_a):
    request = acts.sent("I1", "40.00")

    bank_a.send(bank_a.receipt(request.voucher, XAgentBusinessNo=""))

    assert not Alert.objects.exists()
