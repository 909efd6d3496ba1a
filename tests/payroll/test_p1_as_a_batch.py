"""The worked day's P1 and P1R as a batch of kind 新增人员: every figure as in docs/worked-day.md."""

from decimal import Decimal

from demo import world
from payroll import services
from payroll.models import SalaryBatch, SalaryRow
from payroll.progress import failed_lines, progress_of
from payroll.services import Correction
from tests import acts
from tests.conftest import NOW
from tests.payroll import rosters

D = Decimal


def test_p1_and_p1r_to_the_fen(city, bank_a):
    batch = rosters.imported()
    assert (batch.head_count, batch.gross, batch.net) == (3, D("26500.00"), D("19471.70"))
    assert (batch.pension, batch.annuity, batch.medical) == (D("2120.00"), D("1060.00"), D("530.00"))
    assert (batch.housing, batch.tax, batch.unemployment) == (D("3180.00"), D("138.30"), D("0.00"))
    assert batch.dept_economic_code == "30101"

    [request] = rosters.generated(batch)
    assert (request.amount, request.business_type, request.purpose) == (D("26500.00"), "3", "2026年6月新增人员")
    assert [(d.payee_name, f"{d.amount:.2f}") for d in request.details.order_by("seq")] == [
        ("张一", "7184.44"),
        ("李二", "6323.08"),
        ("王三", "5964.18"),
        ("市社会保险事业中心", "3180.00"),
        ("市医疗保障事业中心", "530.00"),
        ("市住房公积金管理中心", "3180.00"),
        ("国家税务总局临江市税务局", "138.30"),
    ]
    assert [row.detail.payee_name for row in SalaryRow.objects.select_related("detail")] == ["张一", "李二", "王三"]

    [request] = rosters.sent(batch)
    bank_a.send(bank_a.receipt(request.voucher, failed={"3": "户名账号不符"}))
    seen = standing(batch)
    assert (seen.label, seen.paid.lines, seen.paid.amount) == ("部分成功", 6, D("20535.82"))
    assert (seen.failed.lines, seen.failed.amount, seen.waiting.lines) == (1, D("5964.18"), 0)
    assert acts.limit(world.BANK_A, "11") == "20535.82"

    clerk = world.officer(rosters.CLERK)
    [line] = failed_lines(SalaryBatch, batch.id, clerk)
    assert (line.row_no, line.reason, line.detail.payee_name) == (4, "户名账号不符", "王三")
    [again] = services.reissue_failed(
        model=SalaryBatch,
        roster_id=batch.id,
        corrections={line.detail.id: Correction(card_no="6230000000010033")},
        clerk=clerk,
        now=NOW,
    ).accepted
    assert (again.amount, again.reissue_of_id) == (D("5964.18"), request.id)
    assert (standing(batch).label, standing(batch).waiting.amount) == ("发放中", D("5964.18"))

    [again] = rosters.to_the_bank(batch)
    assert again.details.get().payee_account_no == "6230000000010033"
    bank_a.send(bank_a.receipt(again.voucher))
    seen = standing(batch)
    assert (seen.label, seen.paid.lines, seen.paid.amount, seen.percent) == ("完成", 7, D("26500.00"), 100)
    assert (seen.failed.lines, seen.waiting.lines, seen.short) == (0, 0, D("0.00"))
    assert acts.books("I2")["paid"] == "2026500.00" and acts.limit(world.BANK_A, "11") == "26500.00"


def standing(batch):
    return progress_of(SalaryBatch, [SalaryBatch.objects.get(pk=batch.pk)])[batch.pk]
