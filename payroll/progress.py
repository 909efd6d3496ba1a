"""How far the payment of a roster has come: derived from the payment lines each time, never stored.

A roster's requests are those that were generated for it and, at any depth, their reissues. A line counts where it
stands now: a failed line that is repeated counts as its repetition.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from core.actors import Actor
from core.errors import NotFound
from core.money import ZERO
from parties.selectors import visible_unit_codes
from payments.models import PaymentDetail, PaymentRequest
from payments.states import RequestState
from payroll.models import BenefitList, BenefitRow, SalaryBatch, SalaryRow

# Names of tables and columns, for the SQL that is the same for both kinds of roster.
NAMES: dict[type[Any], dict[str, str]] = {
    SalaryBatch: {"rows": SalaryRow._meta.db_table, "owner": "batch_id", "amount": "net", "link": "salary_batch"},
    BenefitList: {"rows": BenefitRow._meta.db_table, "owner": "list_id", "amount": "amount", "link": "benefit_list"},
}
_REQUESTS = """
    WITH RECURSIVE requests AS (
        SELECT p.{link}_id AS roster_id, p.request_id AS id
          FROM payroll_rosterpayment p WHERE p.{link}_id = ANY(%(rosters)s)
        UNION
        SELECT o.roster_id, q.id FROM payments_paymentrequest q JOIN requests o ON q.reissue_of_id = o.id
    )
"""
_SENT = ("sealed", "accepted", "bank_refused", "paid", "partially_paid", "failed", "cleared")


@dataclass(frozen=True)
class Part:
    """Some of a roster's lines: how many and how much."""

    lines: int = 0
    amount: Decimal = ZERO


@dataclass(frozen=True)
class Progress:
    """Where the lines of one roster stand. `dropped` are lines whose request was rejected or given up; `short` is
    what reissues ask for less than had failed; `refunded` came back after it was paid."""

    state: str
    state_label: str
    total: Decimal
    paid: Part = Part()
    failed: Part = Part()
    waiting: Part = Part()
    dropped: Part = Part()
    refunded: Decimal = ZERO
    sent: bool = False

    @property
    def lines(self) -> int:
        return self.paid.lines + self.failed.lines + self.waiting.lines + self.dropped.lines

    @property
    def short(self) -> Decimal:
        if not self.lines:
            return ZERO
        return self.total - self.paid.amount - self.failed.amount - self.waiting.amount - self.dropped.amount

    @property
    def label(self) -> str:
        """The state in words; once payments exist it follows from them."""
        if self.state != "generated" or not self.lines:
            return self.state_label
        if self.waiting.lines:
            return "发放中" if self.sent else self.state_label
        if not self.failed.lines and not self.dropped.lines:
            return "完成"
        return "部分成功" if self.paid.lines else "发放失败"

    @property
    def tone(self) -> str:
        """The colour class beside the words."""
        return {"完成": "ok", "部分成功": "warn", "发放失败": "bad", "已作废": "off", "编制": "off"}.get(
            self.label, "run"
        )

    @property
    def percent(self) -> int:
        """Lines paid of all lines, rounded down: 100 means everybody."""
        return 100 * self.paid.lines // self.lines if self.lines else 0


def progress_of(model: type[Any], rosters: Sequence[Any]) -> dict[UUID, Progress]:
    """Return where each roster stands; one statement for all."""
    sql = (
        _REQUESTS.format_map(NAMES[model])
        + """
        SELECT roster_id,
               count(*) FILTER (WHERE d.state = 'paid'),
               COALESCE(sum(d.amount) FILTER (WHERE d.state = 'paid'), 0),
               count(*) FILTER (WHERE d.state = 'failed'),
               COALESCE(sum(d.amount) FILTER (WHERE d.state = 'failed'), 0),
               count(*) FILTER (WHERE d.state = 'open' AND q.state <> 'voided'),
               COALESCE(sum(d.amount) FILTER (WHERE d.state = 'open' AND q.state <> 'voided'), 0),
               count(*) FILTER (WHERE d.state = 'open' AND q.state = 'voided'),
               COALESCE(sum(d.amount) FILTER (WHERE d.state = 'open' AND q.state = 'voided'), 0),
               COALESCE(sum(d.amount_refunded), 0),
               bool_or(q.state = ANY(%(sent)s))
          FROM requests
          JOIN payments_paymentrequest q USING (id)
          JOIN payments_paymentdetail d ON d.request_id = q.id
         WHERE d.reissued_as_id IS NULL AND (q.state <> 'voided' OR q.reissue_of_id IS NULL)
         GROUP BY roster_id
        """
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, {"rosters": [roster.id for roster in rosters], "sent": list(_SENT)})
        counted = {row[0]: row[1:] for row in cursor.fetchall()}
    return {roster.id: _progress(roster, counted.get(roster.id)) for roster in rosters}


def _progress(roster: Any, counted: Sequence[Any] | None) -> Progress:
    state, label = str(roster.state), roster.get_state_display()
    if counted is None:
        return Progress(state, label, roster.total)
    paid, failed, waiting, dropped = (Part(counted[at], counted[at + 1]) for at in range(0, 8, 2))
    return Progress(state, label, roster.total, paid, failed, waiting, dropped, counted[8], bool(counted[9]))


def visible_roster(model: type[Any], roster_id: UUID, actor: Actor) -> Any:
    """:raises NotFound: for an unknown roster and for one of somebody else."""
    found = visible_rosters(model, actor).filter(pk=roster_id).first()
    if found is None:
        raise NotFound("批次不存在或不在您的权限范围内。", field="id")
    return found


def visible_rosters(model: type[Any], actor: Actor) -> Any:
    """Return the rosters the actor may see, of every year."""
    rows = model.objects.select_related("unit", "indicator", "created_by").filter(adm_div_code=actor.adm_div_code)
    codes = visible_unit_codes(actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


def request_ids(
    model: type[Any], roster_id: UUID, actor: Actor, *, states: Collection[str] = RequestState.values
) -> list[UUID]:
    """Return the requests of a roster, reissues included, that are in one of these states; in the order they were made.

    :raises NotFound: for a roster the actor may not see.
    """
    visible_roster(model, roster_id, actor)
    sql = _REQUESTS.format_map(NAMES[model]) + (
        "SELECT q.id FROM requests JOIN payments_paymentrequest q USING (id) WHERE q.state = ANY(%(states)s) ORDER BY 1"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, {"rosters": [roster_id], "states": [str(state) for state in states]})
        return [pk for (pk,) in cursor.fetchall()]


def requests_of(model: type[Any], roster_id: UUID, actor: Actor) -> list[PaymentRequest]:
    """Return the same as rows, for a page."""
    rows = PaymentRequest.objects.filter(pk__in=request_ids(model, roster_id, actor))
    return list(rows.select_related("unit", "reissue_of").order_by("id"))


@dataclass(frozen=True)
class FailedLine:
    """A payment line that failed and is not repeated yet, with the row it came from (none for a withholding)."""

    detail: PaymentDetail
    reason: str
    row_no: int | None
    identity_masked: str


def failed_lines(model: type[Any], roster_id: UUID, actor: Actor) -> list[FailedLine]:
    """Return what may be reissued; two statements.

    :raises NotFound: for a roster the actor may not see.
    """
    visible_roster(model, roster_id, actor)
    sql = (
        _REQUESTS
        + """, chain AS (
            SELECT d.id AS line, d.id
              FROM requests JOIN payments_paymentdetail d ON d.request_id = requests.id
             WHERE d.state = 'failed' AND d.reissued_as_id IS NULL
            UNION ALL
            SELECT c.line, d.id FROM chain c JOIN payments_paymentdetail d ON d.reissued_as_id = c.id
        )
        SELECT c.line, max(r.row_no), max(r.identity_masked)
          FROM chain c LEFT JOIN {rows} r ON r.detail_id = c.id
         GROUP BY c.line
        """
    ).format_map(NAMES[model])
    with connection.cursor() as cursor:
        cursor.execute(sql, {"rosters": [roster_id]})
        rows = {line: (row_no, identity or "") for line, row_no, identity in cursor.fetchall()}
    details = PaymentDetail.objects.select_related("request", "receipt_line").filter(pk__in=rows)
    return [
        FailedLine(detail, detail.receipt_line.reason, *rows[detail.id])
        for detail in details.order_by("request_id", "seq")
    ]


def results_of(rows: Sequence[SalaryRow | BenefitRow]) -> Mapping[UUID, PaymentDetail]:
    """Return, by row, the payment line in which each row stands now: its own, or the last that repeats it."""
    found: dict[UUID, PaymentDetail] = {row.id: row.detail for row in rows if row.detail is not None}
    while following := {pk: line.reissued_as_id for pk, line in found.items() if line.reissued_as_id}:
        lines = PaymentDetail.objects.select_related("request", "receipt_line").in_bulk(list(following.values()))
        found |= {pk: lines[line_id] for pk, line_id in following.items()}
    return found
