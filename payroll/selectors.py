"""What the monitoring rules are told of the list behind a payment: set-based, whatever the number of requests."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from monitoring.facts import RosterFacts
from payments.models import PaymentRequest
from payroll.models import BenefitList, SalaryBatch

MOST_NAMED = 20  # of each thing that looks wrong

# A reissue is of the roster of what it repeats.
_ROSTERS = """
    WITH RECURSIVE up AS (
        SELECT q.id AS asked, q.id, q.reissue_of_id FROM payments_paymentrequest q WHERE q.id = ANY(%(asked)s)
        UNION ALL
        SELECT u.asked, q.id, q.reissue_of_id FROM up u JOIN payments_paymentrequest q ON q.id = u.reissue_of_id
    )
    SELECT u.asked, p.salary_batch_id, p.benefit_list_id
      FROM up u JOIN payroll_rosterpayment p ON p.request_id = u.id
"""
_FINISHED = """
    NOT EXISTS (SELECT 1 FROM payroll_rosterpayment p JOIN payments_paymentrequest q ON q.id = p.request_id
                 WHERE p.{link}_id = o.id AND q.state NOT IN ('paid', 'partially_paid', 'cleared', 'failed', 'voided'))
    AND EXISTS (SELECT 1 FROM payroll_rosterpayment p JOIN payments_paymentrequest q ON q.id = p.request_id
                 WHERE p.{link}_id = o.id AND q.amount_paid > 0)
"""
_LAST_SALARY = f"""
    SELECT DISTINCT ON (b.id) b.id, o.head_count, o.gross
      FROM payroll_salarybatch b
      JOIN payroll_salarybatch o ON o.adm_div_code = b.adm_div_code AND o.unit_id = b.unit_id AND o.kind = b.kind
       AND (o.fiscal_year, o.month) < (b.fiscal_year, b.month) AND o.state = 'generated'
     WHERE b.id = ANY(%(rosters)s) AND {_FINISHED.format(link="salary_batch")}
     ORDER BY b.id, o.fiscal_year DESC, o.month DESC
"""
_LAST_BENEFIT = f"""
    SELECT DISTINCT ON (b.id) b.id, o.head_count, o.amount
      FROM payroll_benefitlist b
      JOIN payroll_benefitlist o ON o.adm_div_code = b.adm_div_code AND o.unit_id = b.unit_id AND o.policy = b.policy
       AND o.township = b.township AND o.created_at < b.created_at AND o.state = 'generated'
     WHERE b.id = ANY(%(rosters)s) AND {_FINISHED.format(link="benefit_list")}
     ORDER BY b.id, o.created_at DESC
"""
_SHARED = """
    SELECT {owner}, min(card_no) FROM {rows} WHERE {owner} = ANY(%(rosters)s)
     GROUP BY {owner}, card_no HAVING count(*) > 1 ORDER BY 1, 2
"""
# The same person under another name anywhere in the region's rosters.
_MISNAMED = """
    SELECT DISTINCT {owner}, row_no, name FROM (
        SELECT r.{owner}, r.row_no, r.name FROM {rows} r JOIN payroll_salaryrow o
            ON o.adm_div_code = r.adm_div_code AND o.identity_digest = r.identity_digest AND o.name <> r.name
         WHERE r.{owner} = ANY(%(rosters)s)
        UNION ALL
        SELECT r.{owner}, r.row_no, r.name FROM {rows} r JOIN payroll_benefitrow o
            ON o.adm_div_code = r.adm_div_code AND o.identity_digest = r.identity_digest AND o.name <> r.name
         WHERE r.{owner} = ANY(%(rosters)s)
    ) found ORDER BY 1, 2
"""
# The same person in another live roster for the same thing: paid twice.
_REPEATED_SALARY = """
    SELECT DISTINCT r.batch_id, r.row_no, r.identity_masked
      FROM payroll_salarybatch b JOIN payroll_salaryrow r ON r.batch_id = b.id
      JOIN payroll_salaryrow o ON o.adm_div_code = r.adm_div_code AND o.identity_digest = r.identity_digest
       AND o.batch_id <> b.id
      JOIN payroll_salarybatch l ON l.id = o.batch_id AND l.fiscal_year = b.fiscal_year AND l.month = b.month
       AND l.kind = b.kind AND l.state <> 'voided'
     WHERE b.id = ANY(%(rosters)s) ORDER BY 1, 2
"""
_REPEATED_BENEFIT = """
    SELECT DISTINCT r.list_id, r.row_no, r.identity_masked
      FROM payroll_benefitlist b JOIN payroll_benefitrow r ON r.list_id = b.id
      JOIN payroll_benefitrow o ON o.adm_div_code = r.adm_div_code AND o.identity_digest = r.identity_digest
       AND o.list_id <> b.id
      JOIN payroll_benefitlist l ON l.id = o.list_id AND l.policy = b.policy AND l.period = b.period
       AND l.state <> 'voided'
     WHERE b.id = ANY(%(rosters)s) ORDER BY 1, 2
"""
_SALARY_ROWS = {"rows": "payroll_salaryrow", "owner": "batch_id"}
_BENEFIT_ROWS = {"rows": "payroll_benefitrow", "owner": "list_id"}


def roster_facts(requests: Sequence[PaymentRequest]) -> dict[UUID, RosterFacts]:
    """Return the facts of the salary batch or benefit list behind each request that has one."""
    salary: dict[UUID, UUID] = {}
    benefit: dict[UUID, UUID] = {}
    for asked, batch_id, list_id in _rows(_ROSTERS, asked=[request.id for request in requests]):
        if batch_id is not None:
            salary[asked] = batch_id
        else:
            benefit[asked] = list_id
    batches = _salary_facts(set(salary.values()))
    lists = _benefit_facts(set(benefit.values()))
    return {pk: batches[roster] for pk, roster in salary.items()} | {
        pk: lists[roster] for pk, roster in benefit.items()
    }


def _salary_facts(ids: set[UUID]) -> dict[UUID, RosterFacts]:
    if not ids:
        return {}
    wrong = _Wrong(ids, _SALARY_ROWS, _LAST_SALARY, _REPEATED_SALARY)
    return {
        batch.id: wrong.facts(
            batch.id,
            kind=batch.get_kind_display(),
            month=f"{batch.fiscal_year}-{batch.month:02d}",
            head_count=batch.head_count,
            total=batch.gross,
        )
        for batch in SalaryBatch.objects.filter(pk__in=ids)
    }


def _benefit_facts(ids: set[UUID]) -> dict[UUID, RosterFacts]:
    if not ids:
        return {}
    wrong = _Wrong(ids, _BENEFIT_ROWS, _LAST_BENEFIT, _REPEATED_BENEFIT)
    return {
        found.id: wrong.facts(
            found.id, kind=found.policy, month=found.period, head_count=found.head_count, total=found.amount
        )
        for found in BenefitList.objects.filter(pk__in=ids)
    }


class _Wrong:
    """What is asked once for all rosters of one kind: the last one before, and what looks wrong, named masked."""

    def __init__(self, ids: set[UUID], names: dict[str, str], last: str, repeated: str) -> None:
        rosters = list(ids)
        self._last = {pk: (count, total) for pk, count, total in _rows(last, rosters=rosters)}
        self._shared = _named(
            [(pk, _masked_card(card)) for pk, card in _rows(_SHARED.format_map(names), rosters=rosters)]
        )
        misnamed = _rows(_MISNAMED.format_map(names), rosters=rosters)
        self._misnamed = _named([(pk, f"第 {row_no} 行 {name[0]}**") for pk, row_no, name in misnamed])
        self._repeated = _named([(pk, f"第 {row_no} 行 {who}") for pk, row_no, who in _rows(repeated, rosters=rosters)])

    def facts(self, pk: UUID, **given: Any) -> RosterFacts:
        last_head_count, last_total = self._last.get(pk, (None, None))
        return RosterFacts(
            last_head_count=last_head_count,
            last_total=last_total,
            shared_accounts=self._shared.get(pk, ()),
            repeated_ids=self._repeated.get(pk, ()),
            name_mismatches=self._misnamed.get(pk, ()),
            **given,
        )


def _named(pairs: Sequence[tuple[UUID, str]]) -> dict[UUID, tuple[str, ...]]:
    found: dict[UUID, list[str]] = defaultdict(list)
    for pk, text in pairs:
        if len(found[pk]) < MOST_NAMED:
            found[pk].append(text)
    return {pk: tuple(texts) for pk, texts in found.items()}


def _masked_card(card_no: str) -> str:
    return f"{card_no[:4]}****{card_no[-4:]}" if len(card_no) >= 12 else "****"


def _rows(sql: str, **given: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return list(cursor.fetchall())
