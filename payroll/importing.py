"""Files into rosters: read, judged row by row, COPYed as they come; all of a file or nothing."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from budget.models import BudgetIndicator
from budget.selectors import dept_codes_for, indicators_for
from core.actors import Actor
from core.batch import copy_lines, csv_text
from core.digests import sm3_stream
from core.errors import NotFound, TreasuryError, ValidationFailed
from core.ids import new_id
from core.numbering import take_numbers
from payments.locking import context_for, require_role
from payments.rules import optional_text
from payroll.errors import RosterExists, RosterFieldInvalid, RowError, RowsInvalid
from payroll.models import (
    BenefitList,
    BenefitRow,
    ImportRejection,
    Roster,
    SalaryBatch,
    SalaryRow,
    Withholding,
)
from payroll.parsing import (
    BenefitLine,
    BenefitReader,
    Errors,
    Person,
    SalaryLine,
    SalaryReader,
    benefit_columns,
    salary_columns,
    yuan_text,
)
from payroll.persons import identity_digester, masked_identity
from payroll.spreadsheets import Table, read_table

LONGEST_NOTICE_DAYS = 60
_PERSON_COLUMNS = ("name", "identity_masked", "identity_digest", "card_no", "bank_name", "bank_no")


@dataclass(frozen=True)
class SourceFile:
    """An uploaded file, as it lies in memory or in a temporary place."""

    name: str
    size: int
    content: IO[bytes]


@dataclass(frozen=True)
class SalaryHeader:
    """What a clerk says of a salary batch besides the file; the unit follows from the indicator."""

    indicator_id: UUID
    month: int
    kind: str


@dataclass(frozen=True)
class BenefitHeader:
    """What a clerk says of a benefit list besides the file."""

    indicator_id: UUID
    dept_economic_code: str
    policy: str
    period: str
    township: str
    notice_from: date
    notice_to: date


@transaction.atomic(durable=True)
def import_salary_batch(*, header: SalaryHeader, file: SourceFile, clerk: Actor, now: datetime) -> SalaryBatch:
    """Store a salary batch with all rows of a file, or nothing of it.

    Rows go into the table by COPY while the file is being read; the totals of the batch are what the table then says.

    :raises RoleRequired, DayClosed, NotFound, ValidationFailed: for the header.
    :raises FileRefused: for a file that is not read at all.
    :raises RowsInvalid: with every error of the file.
    :raises RosterExists: if the unit has an active batch of this month and kind.
    """
    require_role(clerk, "unit_clerk")
    context = context_for(clerk, now)
    indicator = _indicator(header.indicator_id, clerk, context.fiscal_year)
    _check_salary_header(header)
    codes = {code.code: code.name for code in dept_codes_for(indicator)}
    source = _Source(file, clerk.adm_div_code)
    errors = Errors()
    columns = salary_columns(source.table.header, source.table.header_row, codes=codes, errors=errors)
    _refuse(errors)
    batch = SalaryBatch(
        **_common(indicator, file, source, clerk, now),
        month=header.month,
        kind=header.kind,
    )
    reader = SalaryReader(columns, errors)
    lines = source.lines(reader.read, errors, lambda line: _salary_line(batch, line, source))
    copy_lines(
        SalaryRow, _SALARY_COLUMNS, lines
    )  # before their batch, whose totals they are: the key waits till commit
    _total_salary(batch)
    _insert(batch, "salary", "该单位本月已有同类的有效批次，作废后才能重新导入。")
    return batch


@transaction.atomic(durable=True)
def import_benefit_list(*, header: BenefitHeader, file: SourceFile, clerk: Actor, now: datetime) -> BenefitList:
    """Store a benefit list with all rows of a file, or nothing of it.

    :raises RoleRequired, DayClosed, NotFound, ValidationFailed, FileRefused, RowsInvalid: as for a salary batch.
    :raises RosterExists: if the unit has an active list of this policy, period and township.
    """
    require_role(clerk, "unit_clerk")
    context = context_for(clerk, now)
    indicator = _indicator(header.indicator_id, clerk, context.fiscal_year)
    _check_benefit_header(header, indicator)
    source = _Source(file, clerk.adm_div_code)
    errors = Errors()
    columns = benefit_columns(source.table.header, source.table.header_row, errors=errors)
    _refuse(errors)
    found = BenefitList(
        **_common(indicator, file, source, clerk, now),
        dept_economic_code=header.dept_economic_code,
        policy=header.policy,
        period=header.period,
        township=header.township,
        notice_from=header.notice_from,
        notice_to=header.notice_to,
    )
    reader = BenefitReader(columns, errors)
    lines = source.lines(reader.read, errors, lambda line: _benefit_line(found, line, source))
    copy_lines(BenefitRow, _BENEFIT_COLUMNS, lines)
    _total_benefit(found)
    _insert(found, "benefit", "该政策、期间、乡镇已有有效清单，作废后才能重新导入。")
    return found


@transaction.atomic(durable=True)
def keep_rejection(
    *, refusal: RowsInvalid, what: str, indicator_id: UUID, file: SourceFile, clerk: Actor, now: datetime
) -> ImportRejection:
    """Keep the errors of a file that was refused, in a transaction of its own; the file itself is not kept."""
    context = context_for(clerk, now)
    indicator = _indicator(indicator_id, clerk, context.fiscal_year)
    file.content.seek(0)
    return ImportRejection.objects.create(
        adm_div_code=context.adm_div_code,
        fiscal_year=context.fiscal_year,
        unit_code=indicator.unit.code,
        what=what,
        file_name=_file_name(file.name),
        file_digest=sm3_stream(file.content),
        counted=refusal.counted,
        errors=[[error.row, error.column, error.message] for error in refusal.errors],
        by=clerk.name,
        at=now,
    )


# The header ---------------------------------------------------------------------------------------------------------


def _indicator(indicator_id: UUID, clerk: Actor, fiscal_year: int) -> BudgetIndicator:
    """:raises NotFound: unless it is one of the clerk's own units."""
    found = indicators_for(clerk, fiscal_year).filter(pk=indicator_id, unit__code__in=clerk.units).first()
    if found is None:
        raise NotFound("指标不存在或不属于本单位。", field="indicator_id")
    return found


def _check_salary_header(header: SalaryHeader) -> None:
    found: list[TreasuryError] = []
    if not 1 <= header.month <= 12:
        found.append(RosterFieldInvalid("月份应为 1 至 12。", field="month"))
    if header.kind not in SalaryBatch.Kind.values:
        found.append(RosterFieldInvalid("请选择批次类别。", field="kind"))
    if found:
        raise ValidationFailed(found)


def _check_benefit_header(header: BenefitHeader, indicator: BudgetIndicator) -> None:
    found: list[TreasuryError] = []
    for name, label, most in (("policy", "补贴政策", 40), ("period", "补贴期间", 20), ("township", "乡镇街道", 30)):
        value = getattr(header, name)
        if not value.strip():
            found.append(RosterFieldInvalid(f"请填写{label}。", field=name))
        found += optional_text(name, label, value, most)
    if header.dept_economic_code not in {code.code for code in dept_codes_for(indicator)}:
        found.append(RosterFieldInvalid("部门经济分类与所选指标没有对照关系。", field="dept_economic_code"))
    if not 0 <= (header.notice_to - header.notice_from).days <= LONGEST_NOTICE_DAYS:
        found.append(RosterFieldInvalid(f"公示期应为 1 至 {LONGEST_NOTICE_DAYS + 1} 天。", field="notice_to"))
    if found:
        raise ValidationFailed(found)


def _common(
    indicator: BudgetIndicator, file: SourceFile, source: "_Source", clerk: Actor, now: datetime
) -> dict[str, Any]:
    assert clerk.person_id is not None, "a clerk is a person"
    return {
        "id": new_id(),
        "adm_div_code": indicator.adm_div_code,
        "fiscal_year": indicator.fiscal_year,
        "unit": indicator.unit,
        "indicator": indicator,
        "file_name": _file_name(file.name),
        "file_digest": source.digest,
        "created_by_id": clerk.person_id,
        "created_at": now,
    }


def _file_name(name: str) -> str:
    clean = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable())
    return clean[-120:]


# The rows -----------------------------------------------------------------------------------------------------------


class _Source:
    """The file once it has been opened: its digest, its table, and how its persons are spelt in the database."""

    def __init__(self, file: SourceFile, adm_div_code: str) -> None:
        self.table: Table = read_table(file.content, size=file.size, name=file.name)
        self.digest = self._digest(file)
        self._identity = identity_digester(adm_div_code)

    @staticmethod
    def _digest(file: SourceFile) -> str:
        place = file.content.tell()
        file.content.seek(0)
        digest = sm3_stream(file.content)
        file.content.seek(place)
        return digest

    def lines(
        self, read: Callable[[int, Sequence[Any]], Any], errors: Errors, spell: Callable[[Any], str]
    ) -> Iterator[str]:
        """The lines of the COPY. After the first error rows are still read, for the other errors, but not written."""
        count = 0
        for number, cells in self.table.rows:
            line = read(number, cells)
            if line is not None and not errors.counted:
                count += 1
                yield spell(line)
        if not count and not errors.counted:
            errors.add(0, "", "表头之下没有人员。")
        _refuse(errors)

    def person(self, person: Person) -> str:
        """The columns of `_PERSON_COLUMNS` as CSV; only texts that people wrote need quoting."""
        identity = person.identity
        return (
            f"{csv_text(person.name)},{masked_identity(identity)},{self._identity(identity)},{person.card},"
            f'{csv_text(person.bank)},"{person.bank_no}"'
        )


def _refuse(errors: Errors) -> None:
    if errors.counted:
        raise RowsInvalid(errors.kept, counted=errors.counted)


_SALARY_COLUMNS = (
    *("id", "adm_div_code", "fiscal_year", "batch_id", "row_no", *_PERSON_COLUMNS, "items", "gross"),
    *Withholding.values,
    "net",
)
_BENEFIT_COLUMNS = (
    *("id", "adm_div_code", "fiscal_year", "list_id", "row_no", *_PERSON_COLUMNS, "standard", "quantity", "amount"),
)


def _salary_line(batch: SalaryBatch, line: SalaryLine, source: _Source) -> str:
    items = csv_text(json.dumps({code: yuan_text(amount) for code, amount in line.items}))
    withheld = ",".join([yuan_text(amount) for amount in line.withheld])
    return (
        f"{new_id()},{batch.adm_div_code},{batch.fiscal_year},{batch.id},{line.row_no},{source.person(line.person)},"
        f"{items},{yuan_text(line.gross)},{withheld},{yuan_text(line.net)}\n"
    )


def _benefit_line(found: BenefitList, line: BenefitLine, source: _Source) -> str:
    return (
        f"{new_id()},{found.adm_div_code},{found.fiscal_year},{found.id},{line.row_no},{source.person(line.person)},"
        f"{yuan_text(line.standard)},{line.quantity},{yuan_text(line.amount)}\n"
    )


# What the table says afterwards -------------------------------------------------------------------------------------


def _total_salary(batch: SalaryBatch) -> None:
    """Add up the rows in the database, and let it judge each row once more: Σ items = gross.

    The code of the largest item names the payment, as one voucher bears one department economic code.
    """
    sums = ", ".join(f"sum({name})" for name in ("gross", *Withholding.values, "net"))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), {sums} FROM payroll_salaryrow WHERE batch_id = %s", [batch.id])
        batch.head_count, batch.gross, *withheld, batch.net = cursor.fetchone()
        for name, amount in zip(Withholding.values, withheld, strict=True):
            setattr(batch, name, amount)
        cursor.execute(
            """
            SELECT r.row_no FROM payroll_salaryrow r
             WHERE r.batch_id = %s
               AND r.gross <> (SELECT COALESCE(sum(i.value::numeric), 0) FROM jsonb_each_text(r.items) i)
             ORDER BY 1 LIMIT 20
            """,
            [batch.id],
        )
        wrong = [RowError(row_no, "应发", "各项之和与应发不符。") for (row_no,) in cursor.fetchall()]
        if wrong:
            raise RowsInvalid(wrong, counted=len(wrong))
        cursor.execute(
            """
            SELECT i.key FROM payroll_salaryrow r, jsonb_each_text(r.items) i
             WHERE r.batch_id = %s GROUP BY i.key ORDER BY sum(i.value::numeric) DESC, i.key LIMIT 1
            """,
            [batch.id],
        )
        [batch.dept_economic_code] = cursor.fetchone()


def _total_benefit(found: BenefitList) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), sum(amount) FROM payroll_benefitrow WHERE list_id = %s", [found.id])
        found.head_count, found.amount = cursor.fetchone()


def _insert(roster: Roster, kind: str, exists: str) -> None:
    """Store the roster under a number taken last: whoever takes one lets nobody else take one until the end.

    :raises RosterExists: if an active roster of the same kind is there, or was stored at the same moment.
    """
    year = roster.fiscal_year
    [roster.roster_no] = take_numbers(adm_div_code=roster.adm_div_code, fiscal_year=year, kind=kind, count=1)
    try:
        roster.save(force_insert=True)
    except IntegrityError as error:
        if getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") in _ONE_ACTIVE:
            raise RosterExists(exists, field="kind") from error
        raise


_ONE_ACTIVE = ("one_salary_batch_per_month_and_kind", "one_benefit_list_per_period_and_township")
