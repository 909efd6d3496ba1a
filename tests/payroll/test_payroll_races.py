"""Threads on a real database: one batch of a month and kind, one set of payments, one reissue of a failed row."""

import pytest

from demo import world
from payments.models import PaymentDetail, PaymentRequest
from payroll import services
from payroll.models import RosterPayment, SalaryBatch, SalaryRow
from payroll.progress import progress_of
from tests import acts
from tests.bank import Partner
from tests.conftest import NOW
from tests.payroll import rosters


def codes(answers):
    return sorted(getattr(answer, "code", "done") for answer in answers)


def test_of_four_batches_of_one_unit_month_and_kind_one_is_stored(real_city):
    answers = acts.together(*[rosters.imported] * 4)

    assert codes(answers) == ["done", "roster_exists", "roster_exists", "roster_exists"], answers
    assert SalaryBatch.objects.count() == 1 and SalaryRow.objects.count() == 3


def test_four_clerks_generate_the_payments_once(real_city):
    batch = rosters.confirmed(rosters.imported())

    def generate():
        return services.generate_payments(
            model=SalaryBatch, roster_id=batch.id, clerk=world.officer(rosters.CLERK), now=NOW
        )

    answers = acts.together(*[generate] * 4)

    assert codes(answers) == ["done", *["transition_not_allowed"] * 3], answers
    assert RosterPayment.objects.count() == 1
    assert PaymentRequest.objects.filter(imported=False).count() == 1


@pytest.mark.parametrize("rounds", range(2))
def test_of_four_reissues_of_one_failed_row_one_is_made(real_city, pki, rounds):
    batch = rosters.imported()
    rosters.generated(batch)
    [request] = rosters.sent(batch)
    bank = Partner(pki, world.BANK_A)
    bank.send(bank.receipt(request.voucher, failed={"3": "户名账号不符"}))

    def reissue():
        return services.reissue_failed(
            model=SalaryBatch, roster_id=batch.id, corrections={}, clerk=world.officer(rosters.CLERK), now=NOW
        )

    answers = acts.together(*[reissue] * 4)

    assert codes(answers).count("done") == 1, answers
    assert set(codes(answers)) <= {"done", "reissue_refused", "nothing_failed"}
    assert PaymentRequest.objects.filter(reissue_of=request).count() == 1
    assert PaymentDetail.objects.filter(payee_name="王三").count() == 2
    batch.refresh_from_db()
    assert progress_of(SalaryBatch, [batch])[batch.id].waiting.lines == 1
    assert acts.books("I2")["reserved"] == "5964.18"
