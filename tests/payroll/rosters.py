"""Short ways to rosters for tests: files in memory, and a batch from its file to the bank."""

import io
from collections.abc import Sequence
from datetime import date
from typing import Any

from xlsxwriter import Workbook

from demo import world
from payments.models import PaymentRequest
from payroll import services
from payroll.models import BenefitList, SalaryBatch
from payroll.progress import request_ids
from tests import acts
from tests.conftest import NOW

CLERK, CHECKER, SECTION = "u101002-jb", "bb-hd", "jkw-sh"
HEADER = (
    *("姓名", "证件号码", "卡号", "开户银行", "基本工资(30101)", "养老保险", "职业年金", "医疗保险", "住房公积金"),
    *("个人所得税", "实发"),
)
BANK = "丙银行临江支行"
# The worked day's P1: three newly employed teachers.
TEACHERS = [
    ("张一", "990101199001010012", "6230000000010001", BANK, 9800.0, 784.0, 392.0, 196.0, 1176.0, 67.56, 7184.44),
    ("李二", "990101199102020021", "6230000000010002", BANK, 8600.0, 688.0, 344.0, 172.0, 1032.0, 40.92, 6323.08),
    ("王三", "990101199203030039", "6230000000010003", BANK, 8100.0, 648.0, 324.0, 162.0, 972.0, 29.82, 5964.18),
]
BENEFIT_HEADER = ("姓名", "证件号码", "卡号", "开户银行", "补贴标准", "数量", "金额")


def identity(number: int) -> str:
    """A resident identity number with a right check digit; another for every number below ten thousand."""
    body = f"9901011990{number // 1000 % 12 + 1:02d}{number // 100 % 10 + 1:02d}{number % 1000:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(w * int(d) for w, d in zip(weights, body, strict=True)) % 11]


def teachers() -> list[list[Any]]:
    """P1's rows, with identity numbers whose check digits are right."""
    return [[name, identity(place), *rest] for place, (name, _, *rest) in enumerate(TEACHERS, start=1)]


def xlsx(header: Sequence[str], rows: Sequence[Sequence[Any]], *, formulas: Sequence[str] = ()) -> services.SourceFile:
    """An .xlsx file as Excel would save it: texts as texts, numbers as numbers."""
    buffer = io.BytesIO()
    with Workbook(buffer, {"strings_to_formulas": False, "strings_to_numbers": False}) as book:
        sheet = book.add_worksheet()
        for at, cells in enumerate([header, *rows]):
            for column, cell in enumerate(cells):
                sheet.write(at, column, cell)
        for place in formulas:
            sheet.write_formula(place, "=1+1", None, 2)
    return source(buffer.getvalue(), "工资.xlsx")


def csv_file(
    header: Sequence[str], rows: Sequence[Sequence[Any]], *, encoding: str = "utf-8-sig"
) -> services.SourceFile:
    text = "\r\n".join(",".join(str(cell) for cell in cells) for cells in [header, *rows])
    return source(text.encode(encoding), "工资.csv")


def source(data: bytes, name: str) -> services.SourceFile:
    return services.SourceFile(name, len(data), io.BytesIO(data))


def salary_header(**changes: Any) -> services.SalaryHeader:
    given = {"indicator_id": world.indicator("I2").id, "month": 6, "kind": "newcomers"} | changes
    return services.SalaryHeader(**given)


def imported(
    rows: Sequence[Sequence[Any]] | None = None, *, header: Sequence[str] = HEADER, **changes: Any
) -> SalaryBatch:
    """A batch of P1's teachers, or of other rows."""
    file = xlsx(header, teachers() if rows is None else rows)
    return services.import_salary_batch(header=salary_header(**changes), file=file, clerk=world.officer(CLERK), now=NOW)


def confirmed(batch: SalaryBatch) -> SalaryBatch:
    """Submit, check and confirm, each by its own officer."""
    ids = [batch.id]
    services.submit_salary_batches(batch_ids=ids, clerk=world.officer(CLERK), now=NOW).raise_if_refused()
    services.check_salary_batches(batch_ids=ids, checker=world.officer(CHECKER), now=NOW).raise_if_refused()
    services.confirm_salary_batches(batch_ids=ids, reviewer=world.officer(SECTION), now=NOW).raise_if_refused()
    return SalaryBatch.objects.get(pk=batch.id)


def generated(batch: SalaryBatch) -> list[PaymentRequest]:
    """Confirm a draft and make its payment requests."""
    return services.generate_payments(
        model=SalaryBatch, roster_id=confirmed(batch).id, clerk=world.officer(CLERK), now=NOW
    )


def sent(batch: SalaryBatch | BenefitList) -> list[PaymentRequest]:
    """Take what a roster's requests are drafts of to the bank."""
    clerk = world.officer(CLERK)
    services.submit_payments(model=type(batch), roster_id=batch.id, clerk=clerk, now=NOW).raise_if_refused()
    return to_the_bank(batch)


def to_the_bank(batch: SalaryBatch | BenefitList) -> list[PaymentRequest]:
    ids = request_ids(type(batch), batch.id, world.officer(CLERK), states=("in_review",))
    requests = list(PaymentRequest.objects.select_related("unit").filter(pk__in=ids).order_by("pk"))
    acts.approve_all(*requests)
    acts.issue(*requests).raise_if_refused()
    acts.seal(*requests).raise_if_refused()
    return acts.fresh(*requests)


def benefit_header(**changes: Any) -> services.BenefitHeader:
    given = {
        "indicator_id": world.indicator("I2").id,
        "dept_economic_code": "30101",
        "policy": "耕地地力保护补贴",
        "period": "2026年度",
        "township": "城关镇",
        "notice_from": date(2026, 6, 1),
        "notice_to": date(2026, 6, 14),
    } | changes
    return services.BenefitHeader(**given)
