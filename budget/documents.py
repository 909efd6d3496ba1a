"""指标文 through its life: written by a clerk, approved by another person, by a leader where needed, then issued.

Only issuing touches balances, all lines of a document together or none. Source: docs/budget.md §documents.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from budget.document_states import CLERK, DOCUMENT_FLOW, LEADER, DocumentState
from budget.entries import Context, Posting, lock_balances, post
from budget.errors import DocumentInvalid, IndicatorExceeded
from budget.lines import LineInput, read_lines, side_of
from budget.locking import context_for, made_before
from budget.methods import quota_control, year_of
from budget.models import BudgetIndicator, BudgetYear, DocumentKind, IndicatorDocument, IndicatorLine, Quota
from budget.terms import COPIED, Layer
from budget.transfer_rules import leader_reasons
from core.actors import Actor
from core.batch import copy_rows, update_from_values
from core.errors import AmountInvalid, Conflict, NotFound, RoleRequired
from core.money import LIMIT, ZERO
from core.numbering import take_numbers
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from parties.errors import ActedBefore

MAKES_OR_CHANGES_TOTAL = frozenset(
    {DocumentKind.INITIAL, DocumentKind.ADD, DocumentKind.REDUCE, DocumentKind.RECOVER, DocumentKind.TRANSFER}
)
OVER = frozenset({DocumentState.REJECTED, DocumentState.CANCELLED})


@dataclass(frozen=True)
class DocumentInput:
    kind: str
    doc_no: str
    lines: tuple[LineInput, ...]
    note: str = ""


@transaction.atomic(durable=True)
def save_document(*, given: DocumentInput, clerk: Actor, now: datetime, action_key: str = "") -> IndicatorDocument:
    """Write down a document as a draft; nothing changes until it is issued. The same `action_key` returns what it made.

    :raises RoleRequired, Conflict: a document number is used once for one kind.
    :raises ValidationFailed, DocumentInvalid: with every finding, lines named as `lines.2.amount`.
    """
    return write_document(given, clerk, now, action_key=action_key)


def write_document(given: DocumentInput, clerk: Actor, now: datetime, *, action_key: str = "") -> IndicatorDocument:
    """Write down a draft within the caller's transaction; a step. Raises as `save_document` does."""
    context, person_id = _clerks_context(clerk, now)
    keys = [action_key] if action_key else []
    made = {d.action_key or "": d for d in IndicatorDocument.objects.filter(action_key__in=keys)}
    if made:
        return made_before(made, keys)[0]
    kind, doc_no = _head(given, context, None)
    lines = read_lines(kind, given.lines, context)
    try:
        document = IndicatorDocument.objects.create(
            adm_div_code=context.adm_div_code,
            fiscal_year=context.fiscal_year,
            kind=kind,
            doc_no=doc_no,
            amount=_sum_of(kind, lines),
            note=given.note[:200],
            leader_reasons=_reasons(kind, lines),
            created_by_id=person_id,
            created_at=now,
            action_key=action_key or None,
        )
    except IntegrityError as error:  # somebody else has just used the number
        raise Conflict("该文号已登记过同类指标文。", field="doc_no", doc_no=doc_no) from error
    _store(lines, document)
    return document


@transaction.atomic(durable=True)
def revise_document(*, document_id: UUID, given: DocumentInput, clerk: Actor, now: datetime) -> IndicatorDocument:
    """Replace what a draft or returned document says.

    :raises RoleRequired, NotFound, Conflict, ValidationFailed, DocumentInvalid: as for saving.
    """
    context, person_id = _clerks_context(clerk, now)
    document = next(iter(_lock([document_id], clerk)), None)
    if document is None or document.fiscal_year != context.fiscal_year:
        raise NotFound("指标文不存在。", field="id")
    DOCUMENT_FLOW.find(document.state, "submit")
    kind, doc_no = _head(given, context, document.id)
    lines = read_lines(kind, given.lines, context)
    document.lines.all().delete()
    document.kind, document.doc_no, document.note = kind, doc_no, given.note[:200]
    document.amount, document.leader_reasons = _sum_of(kind, lines), _reasons(kind, lines)
    document.created_by_id = person_id
    document.save(update_fields=["kind", "doc_no", "note", "amount", "leader_reasons", "created_by"])
    _store(lines, document)
    return document


def _clerks_context(clerk: Actor, now: datetime) -> tuple[Context, UUID]:
    if CLERK not in clerk.roles:
        raise RoleRequired("该操作需要岗位：预算科经办。", field="role")
    assert clerk.person_id is not None, "a clerk is a person"
    return context_for(clerk, now), clerk.person_id


def _head(given: DocumentInput, context: Context, itself: UUID | None) -> tuple[DocumentKind, str]:
    if given.kind not in DocumentKind.values:
        raise DocumentInvalid("指标文类型不在代码表内。", field="kind")
    doc_no = given.doc_no.strip()
    if not 0 < len(doc_no) <= 60:
        raise DocumentInvalid("请填写文号（最多 60 字）。", field="doc_no")
    same = IndicatorDocument.objects.filter(
        adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year, doc_no=doc_no, kind=given.kind
    )
    if any(pk != itself for pk in same.exclude(state__in=OVER).values_list("pk", flat=True)):
        raise Conflict("该文号已登记过同类指标文。", field="doc_no", doc_no=doc_no)
    return DocumentKind(given.kind), doc_no


def _sum_of(kind: str, lines: Sequence[IndicatorLine]) -> Decimal:
    counted = [line.amount for line in lines if kind != DocumentKind.TRANSFER or line.amount > 0]
    return sum((abs(amount) for amount in counted), ZERO)


def _reasons(kind: str, lines: Sequence[IndicatorLine]) -> list[str]:
    return leader_reasons([side_of(line) for line in lines]) if kind == DocumentKind.TRANSFER else []


def _store(lines: Sequence[IndicatorLine], document: IndicatorDocument) -> None:
    for seq, line in enumerate(lines, start=1):
        line.document, line.seq = document, seq
    copy_rows(lines)


@transaction.atomic(durable=True)
def submit_documents(*, document_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[IndicatorDocument]:
    """Submit documents for approval; a leader is needed from the region's amount on, or where a transfer asks for one.

    Refused per item: indicator_exceeded, amount_invalid, role_required, transition_not_allowed, not_found.
    """
    context = context_for(clerk, now)
    documents = _lock(document_ids, clerk)
    books = _Books(documents)

    def check(document: IndicatorDocument) -> None:
        check_move(DOCUMENT_FLOW, document, "submit", clerk)
        books.take(document)

    outcome = judge(documents, document_ids, check)
    year = BudgetYear.objects.filter(adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year).first()
    leader_from = (year or BudgetYear()).leader_from
    for document in outcome.accepted:
        document.needs_leader = bool(document.leader_reasons) or document.amount >= leader_from
    values = sorted((d.id, d.needs_leader) for d in outcome.accepted)
    update_from_values(IndicatorDocument, {"needs_leader": "boolean"}, values)
    move(DOCUMENT_FLOW, outcome.accepted, "submit", by=clerk, at=now)
    return outcome


@transaction.atomic(durable=True)
def cancel_documents(*, document_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[IndicatorDocument]:
    """Give up drafts and returned documents; their numbers may be used again."""
    context_for(clerk, now)
    documents = _lock(document_ids, clerk)
    outcome = judge(documents, document_ids, lambda d: check_move(DOCUMENT_FLOW, d, "cancel", clerk))
    move(DOCUMENT_FLOW, outcome.accepted, "cancel", by=clerk, at=now)
    return outcome


@transaction.atomic(durable=True)
def decide_documents(
    *, document_ids: Sequence[UUID], officer: Actor, decision: str, reason: str = "", now: datetime
) -> Outcome[IndicatorDocument]:
    """Approve, return or reject documents made by somebody else, as the budget approver or as the leader.

    Refused per item: acted_before, role_required, transition_not_allowed, indicator_exceeded, not_found.
    :raises DocumentInvalid: for returning or rejecting without a reason.
    """
    if decision not in ("approve", "return", "reject"):
        raise DocumentInvalid("请选择批准、退回或否决。", field="decision")
    reason = reason.strip()
    if (decision != "approve" and not reason) or len(reason) > 300:
        raise DocumentInvalid("请填写意见（不超过 300 字）。", field="reason")
    context_for(officer, now)
    documents = _lock(document_ids, officer)
    books = _Books(documents)

    def action_of(document: IndicatorDocument) -> str:
        onward = decision == "approve" and document.state == DocumentState.IN_REVIEW and document.needs_leader
        return "pass_on" if onward else decision

    def check(document: IndicatorDocument) -> None:
        check_move(DOCUMENT_FLOW, document, action_of(document), officer)
        if officer.person_id == document.created_by_id:
            raise ActedBefore("您是本单录入人，不能审批（岗位分离）。", field="approver")
        if document.state == DocumentState.WITH_LEADER and officer.person_id == document.approved_by_id:
            raise ActedBefore("您已审批过本单，不能再作为分管领导审批（岗位分离）。", field="approver")
        if decision == "approve":
            books.take(document)

    outcome = judge(documents, document_ids, check)
    for document in outcome.accepted:
        if decision == "approve" and document.state == DocumentState.WITH_LEADER:
            document.leader_by_id = officer.person_id
        elif decision == "approve":
            document.approved_by_id = officer.person_id
    decided = [(d.id, d.approved_by_id, d.leader_by_id) for d in sorted(outcome.accepted, key=lambda d: d.id)]
    update_from_values(IndicatorDocument, {"approved_by_id": "uuid", "leader_by_id": "uuid"}, decided)
    by_action = defaultdict(list)
    for document in outcome.accepted:
        by_action[action_of(document)].append(document)
    for action, members in by_action.items():
        move(DOCUMENT_FLOW, members, action, by=officer, at=now, reason=reason)
    if decision == "return":  # whoever approved the old content has not approved the next
        given_back = IndicatorDocument.objects.filter(pk__in=[d.id for d in outcome.accepted])
        given_back.update(approved_by=None, leader_by=None)
    return outcome


@transaction.atomic(durable=True)
def issue_documents(*, document_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[IndicatorDocument]:
    """Issue approved documents: new indicators are made, balances move, each document as a whole or not at all.

    Refused per item: indicator_exceeded, amount_invalid, role_required, transition_not_allowed, not_found.
    """
    context = context_for(clerk, now)
    documents = _lock(document_ids, clerk)
    books = _Books(documents)

    def check(document: IndicatorDocument) -> None:
        check_move(DOCUMENT_FLOW, document, "issue", clerk)
        books.take(document)

    outcome = judge(documents, document_ids, check)
    if not outcome.accepted:
        return outcome
    lines = [line for document in outcome.accepted for line in books.lines[document.id]]
    _make_indicators([line for line in lines if line.indicator_id is None], context)
    IndicatorDocument.objects.filter(pk__in=[d.id for d in outcome.accepted]).update(issued_at=now)
    move(DOCUMENT_FLOW, outcome.accepted, "issue", by=clerk, at=now)
    post([posting for d in outcome.accepted for posting in books.postings(d)], context)
    return outcome


def _make_indicators(lines: Sequence[IndicatorLine], context: Context) -> None:
    """Make the indicators that lines ask for, with a quota row for those that will be paid from; a step."""
    if not lines:
        return
    where: dict[str, Any] = {"adm_div_code": context.adm_div_code, "fiscal_year": context.fiscal_year}
    year = year_of(context.adm_div_code, context.fiscal_year)
    numbers = take_numbers(kind="indicator", count=len(lines), **where)
    made, quotas = [], []
    documents = {line.document_id: line.document for line in lines}
    for line, number in zip(lines, numbers, strict=True):
        terms = {name: getattr(line, name) for name in COPIED if name != "unit"}
        indicator = BudgetIndicator(
            indicator_no=number,
            doc_no=documents[line.document_id].doc_no,
            unit_id=line.unit_id,
            payment_mode=line.payment_mode,
            parent_id=line.parent_id,
            **terms,
            **where,
        )
        line.indicator = indicator
        made.append(indicator)
        if line.layer == Layer.UNIT:
            assert line.payer_account_id is not None, "a line that will be paid from names its account"
            quotas.append(
                Quota(
                    indicator=indicator,
                    unit_id=line.unit_id,
                    payment_mode=line.payment_mode,
                    payer_account_id=line.payer_account_id,
                    control=quota_control(year, line.payment_mode, line.fund_nature),
                    **where,
                )
            )
    copy_rows(made)
    copy_rows(quotas)
    update_from_values(IndicatorLine, {"indicator_id": "uuid"}, sorted((ln.id, ln.indicator_id) for ln in lines))


def _lock(document_ids: Sequence[UUID], actor: Actor) -> list[IndicatorDocument]:
    rows = IndicatorDocument.objects.filter(pk__in=set(document_ids), adm_div_code=actor.adm_div_code)
    return list(rows.order_by("pk").select_for_update(of=("self",), no_key=True))


class _Books:
    """The locked balances a batch of documents changes, and what is left as each document takes its part."""

    def __init__(self, documents: Sequence[IndicatorDocument]) -> None:
        self.lines: dict[UUID, list[IndicatorLine]] = {document.id: [] for document in documents}
        by_id = {document.id: document for document in documents}
        for line in IndicatorLine.objects.filter(document__in=documents).order_by("document_id", "seq"):
            line.document = by_id[line.document_id]
            self.lines[line.document_id].append(line)
        every = [line for lines in self.lines.values() for line in lines]
        touched = {line.indicator_id for line in every if line.indicator_id} | _parents(every)
        self.rows = lock_balances(touched).indicators

    def take(self, document: IndicatorDocument) -> None:
        """Change the rows in memory by this document, or leave them all as they are.

        :raises IndicatorExceeded: if an indicator has less left, free and not yet planned or given on.
        :raises AmountInvalid: if a total would no longer fit into a ledger.
        """
        changes = self._changes(document)
        for pk, change in changes.items():
            row = self.rows[pk]
            left = min(row.amount_available, row.amount_plannable)
            now_frozen, now_total = row.amount_frozen + change["frozen"], row.amount_total + change["total"]
            if now_total >= LIMIT:
                raise AmountInvalid("追加后指标总额超出可记载的范围。", field="amount", asked=change["total"])
            if now_frozen < 0:
                raise IndicatorExceeded(
                    f"指标 {row.indicator_no} 的冻结余额只有 {row.amount_frozen:,.2f}。",
                    field="amount",
                    available=row.amount_frozen,
                )
            asked = max(change["frozen"] - change["total"], change["frozen"] + change["planned"] - change["total"])
            if asked > left:
                raise IndicatorExceeded(
                    f"指标 {row.indicator_no} 可用且未安排（分配）的余额只有 {left:,.2f}，本文需要 {asked:,.2f}。",
                    field="amount",
                    available=left,
                    asked=asked,
                )
        for pk, change in changes.items():
            row = self.rows[pk]
            row.amount_total += change["total"]
            row.amount_frozen += change["frozen"]
            row.amount_planned += change["planned"]

    def postings(self, document: IndicatorDocument) -> list[Posting]:
        return [
            Posting(
                indicator_id=pk,
                kind=document.kind,
                indicator={column: amount for column, amount in change.items() if amount},
                document_type=document._meta.label,
                document_id=document.id,
                note=document.doc_no,
            )
            for pk, change in self._changes(document).items()
        ]

    def _changes(self, document: IndicatorDocument) -> dict[UUID, dict[str, Decimal]]:
        """What the document does to each indicator: a change of a child's total goes up to its parent as well."""
        changes: dict[UUID, dict[str, Decimal]] = defaultdict(
            lambda: dict.fromkeys(("total", "frozen", "planned"), ZERO)
        )
        for line in self.lines[document.id]:
            if document.kind in (DocumentKind.FREEZE, DocumentKind.UNFREEZE):
                assert line.indicator_id is not None
                changes[line.indicator_id]["frozen"] += line.amount
                continue
            if line.indicator_id is not None:
                changes[line.indicator_id]["total"] += line.amount
            if line.parent_id is not None:
                changes[line.parent_id]["planned"] += line.amount
                if document.kind in MAKES_OR_CHANGES_TOTAL:
                    changes[line.parent_id]["total"] += line.amount
        return {pk: change for pk, change in changes.items() if any(change.values())}


def _parents(lines: Iterable[IndicatorLine]) -> set[UUID]:
    return {line.parent_id for line in lines if line.parent_id is not None}


__all__ = [
    "LEADER",
    "DocumentInput",
    "LineInput",
    "cancel_documents",
    "decide_documents",
    "issue_documents",
    "revise_document",
    "save_document",
    "submit_documents",
    "write_document",
]
