"""What the register says of the vouchers to be sealed, read by the signer itself in one snapshot.

Only what is committed counts: the caller's own transaction is not believed. Plain values, so that `signer.policy` can
judge them without a database. The number of statements does not depend on the number of vouchers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from budget.methods import METHODS, Clearing
from budget.models import BudgetIndicator, QuotaNotice, SpendingPlan
from budget.planning import plan_digest
from core.models import BusinessDay
from parties.chain_rules import may_be_vacant, needed_nodes
from parties.models import PostAssignment, Region, ReviewDecision, ReviewNode
from parties.review import skips_of
from payments.content import Details, content_digest, details_of
from payments.correcting import correction_digest
from payments.models import Correction, LimitNotice, PaymentRequest, RefundCase
from seals.models import ESeal, OfficerCertificate, SealPosition, Stamp, StepSignature
from seals.signing import Order, Warrant
from vouchers.codec import decode_content
from vouchers.errors import VoucherError
from vouchers.messages import VoucherContent
from vouchers.models import Voucher

LIMIT_NOTICE, NOTICE_TYPES = "5108", frozenset({"5105", "5106"})
_LIMITED = tuple(row.voucher_type for row in METHODS.values() if row.clearing is Clearing.BY_PAYMENT)
_OF_REQUEST = ("unit", "indicator", "payer_account__agent_bank")
CORRECTION_TYPES, REFUND_ORDER = frozenset({"5253", "5351"}), "8252"
RegionYearNumber = tuple[str, int, str]
CaseKey = tuple[str, str, str, str]  # region, notice type and number, line


@dataclass(frozen=True)
class OfficerKey:
    """A UKey certificate as registered."""

    person_id: UUID
    suite_id: str
    pem: str
    serial_hex: str
    certificate_sm3: str
    status: str
    valid_from: datetime
    valid_to: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class SignedStep:
    """What an officer has signed on one document, with all that proves it."""

    document_id: UUID
    revision: int
    action: str
    post: str
    item: str
    index: int
    path: tuple[str, ...]
    signature_sm3: str
    statement: str
    signature: bytes
    signed_at: datetime
    key: OfficerKey


@dataclass(frozen=True)
class ActedFor:
    """The delegation a decision was taken by, judged against what was so on the business day it was taken on.

    `held`: the delegator held the post on that day; `day` is that business day.
    """

    delegator_id: UUID
    delegate_id: UUID
    post: str
    valid_from: date
    valid_to: date
    revoked_at: datetime | None
    day: date
    held: bool


@dataclass(frozen=True)
class Approval:
    """One decision to approve, of whichever revision; `acted_for` where the person acted for another (委托)."""

    ordinal: int
    revision: int
    post: str
    person_id: UUID
    content_digest: str
    step: SignedStep | None
    at: datetime
    seat: int
    acted_for: ActedFor | None

    @property
    def persons(self) -> frozenset[UUID]:
        """Who has had this part in the document: whoever decided, and for whom."""
        return frozenset({self.person_id} | ({self.acted_for.delegator_id} if self.acted_for else set()))


@dataclass(frozen=True)
class Need:
    """A node as the chain has it: its place, its post, and how many persons it takes."""

    ordinal: int
    post: str
    amount_from: Decimal
    amount_to: Decimal | None
    countersign: int
    skip_if: Mapping[str, Any]


@dataclass(frozen=True)
class Document:
    """A payment request or spending plan as it went through review."""

    id: UUID
    number: str
    adm_div_code: str
    state: str
    revision: int
    amount: Decimal
    clerk_id: UUID | None
    digest_kept: str  # of when it was submitted
    digest_now: str  # computed from the rows as they are
    needed: tuple[Need, ...]  # the nodes this revision has to pass, in order (parties.chain_rules)
    approvals: tuple[Approval, ...]


@dataclass(frozen=True)
class PayeeLine:
    seq: int
    name: str
    account_no: str
    bank_name: str
    bank_no: str
    amount: Decimal
    remark: str


@dataclass(frozen=True)
class Payment:
    """A payment request with its money's way."""

    document: Document
    voucher_id: UUID
    voucher_no: str
    payment_mode: str
    business_type: str
    settlement: str
    purpose: str
    unit_code: str
    unit_organisation: str
    fund_nature: str
    payer_account_no: str
    payer_account_name: str
    payer_account_kind: str
    bank_no: str
    bank_code: str
    lines: tuple[PayeeLine, ...]
    limits: tuple[tuple[UUID, Decimal], ...] = ()  # its 5108 so far: voucher, amount


@dataclass(frozen=True)
class Codes:
    """What a paid amount is carried under."""

    unit_code: str
    fund_nature: str
    bank_code: str
    function_code: str
    gov_economic_code: str
    dept_economic_code: str
    project_code: str


@dataclass(frozen=True)
class CorrectionRow:
    """A correction with the payment it corrects, and what it is carried under before and after."""

    document: Document
    payment_mode: str
    request_no: str
    voucher_no: str
    detail_seq: int
    detail_amount: Decimal
    payee_account_no: str
    payee_name: str
    payer_account_no: str
    department_code: str
    before: Codes
    after: Codes


@dataclass(frozen=True)
class CaseRow:
    """Money a bank could not place, and which payment two persons say it is of."""

    state: str
    amount: Decimal
    payer_account_no: str
    bank_code: str
    bank_organisation: str
    proposed_by: UUID | None
    confirmed_by: UUID | None
    refunded: Decimal | None  # by the refund it became, if that is of the same detail
    original_type: str
    original_year: int
    original_no: str
    detail_seq: int
    unit_code: str
    ordered_by: UUID | None  # the 8252 there is already


@dataclass(frozen=True)
class PlanLine:
    """A plan as a line of its notice: what it adds (yuan), negative for one that takes away."""

    document: Document
    amount: Decimal
    unit_code: str
    function_code: str
    account_no: str


@dataclass(frozen=True)
class Notice:
    """A quota notice and the plans it carries, in the order of its vouchers' lines."""

    id: UUID
    month: int
    fund_nature: str
    amount: Decimal
    bank_code: str
    maker_id: UUID
    quota_voucher_id: UUID | None
    limit_voucher_id: UUID | None
    plans: tuple[PlanLine, ...]


@dataclass(frozen=True)
class VoucherRow:
    id: UUID
    voucher_type: str
    adm_div_code: str
    fiscal_year: int
    voucher_no: str
    sender: str
    state: str
    amount: Decimal
    text: bytes = field(repr=False)
    digest: str
    signature: str
    maker_id: UUID | None
    sealer_id: UUID | None


@dataclass(frozen=True)
class Position:
    position: str
    kind: str
    ordinal: int
    post: str
    required: bool


@dataclass(frozen=True)
class Affixed:
    """A stamp that is on the voucher already."""

    position: str
    ordinal: int
    person_id: UUID | None


@dataclass(frozen=True)
class SealRow:
    """A registered seal and the certificate that may use it."""

    id: UUID
    es_id: str
    organisation_code: str
    kind: str
    status: str
    valid_from: datetime
    valid_to: datetime
    voucher_types: tuple[str, ...]
    der: bytes = field(repr=False)
    certificate_status: str
    certificate_valid_from: datetime
    certificate_valid_to: datetime
    certificate_pem: str = field(repr=False)


@dataclass(frozen=True)
class RegionRow:
    adm_div_code: str
    finance_organisation: str
    tre_code: str
    ukey_required: bool


@dataclass(frozen=True)
class Facts:
    """Everything that is judged. Payments and notices are found by each of their vouchers' ids."""

    contents: Mapping[UUID, VoucherContent]  # of the orders' texts; missing where a text is no voucher
    regions: Mapping[str, RegionRow]
    vouchers: Mapping[UUID, VoucherRow]
    payments: Mapping[UUID, Payment]
    payments_by_number: Mapping[RegionYearNumber, Payment]
    notices: Mapping[UUID, Notice]
    positions: Mapping[tuple[str, int, str], tuple[Position, ...]]
    stamps: Mapping[UUID, tuple[Affixed, ...]]
    posts: frozenset[tuple[str, str, str]]  # that the warrant's person holds today: region, post, unit or ""
    officer_key: OfficerKey | None  # the certificate the warrant names
    seals: Mapping[UUID, SealRow]
    corrections: Mapping[UUID, CorrectionRow] = field(default_factory=dict)  # by their voucher
    cases: Mapping[CaseKey, CaseRow] = field(default_factory=dict)


@contextmanager
def snapshot() -> Iterator[None]:
    """One moment of the database for all statements inside; nothing can be written."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def read_facts(orders: Sequence[Order], warrant: Warrant, *, on: date, now: datetime | None = None) -> Facts:
    """Read what is needed to judge these orders.

    :param on: the day on which the person must hold the post; an emergency post counts if it has not ended at `now`.
    """
    with snapshot():
        return _read(orders, warrant, on, now)


def _read(orders: Sequence[Order], warrant: Warrant, on: date, now: datetime | None) -> Facts:
    contents = _contents(orders)
    ids = {order.voucher_id for order in orders}
    requests = _requests(ids, contents.values())
    notices, plans = _notices({order.voucher_id for order in orders if order.voucher_type in NOTICE_TYPES})
    corrections = _corrections({order.voucher_id for order in orders if order.voucher_type in CORRECTION_TYPES})
    rows = [*requests, *corrections, *(plan for members in plans.values() for plan in members)]
    needed, approvals = _needed(rows), _approvals(rows)
    payments = _payments(requests, needed, approvals)
    made = {notice.id: _notice(notice, plans[notice.id], needed, approvals) for notice in notices}
    numbers = {
        (r.adm_div_code, r.fiscal_year, r.voucher_no): payments[r.id] for r in requests if r.voucher_type in _LIMITED
    }
    also = {payment.voucher_id for payment in payments.values()} | {
        pk for notice in made.values() for pk in (notice.quota_voucher_id, notice.limit_voucher_id) if pk
    }
    return Facts(
        contents=contents,
        regions=_regions(orders),
        vouchers=_vouchers(ids | also),
        payments={payment.voucher_id: payment for payment in payments.values()},
        payments_by_number=numbers,
        notices={
            pk: notice for notice in made.values() for pk in (notice.quota_voucher_id, notice.limit_voucher_id) if pk
        },
        positions=_positions(orders, bool(requests)),
        stamps=_stamps(ids | also),
        posts=_posts(warrant.person_id, on, now),
        officer_key=_officer_key(warrant.certificate_serial),
        seals=_seals({order.seal_id for order in orders if order.seal_id is not None}),
        corrections={row.voucher_id: _correction(row, needed, approvals) for row in corrections if row.voucher_id},
        cases=_cases(contents.values()),
    )


def _contents(orders: Sequence[Order]) -> dict[UUID, VoucherContent]:
    contents: dict[UUID, VoucherContent] = {}
    for order in orders:
        if order.voucher_id not in contents:
            try:
                contents[order.voucher_id] = decode_content(order.text)[0]
            except VoucherError:
                continue
    return contents


def _regions(orders: Sequence[Order]) -> dict[str, RegionRow]:
    rows = Region.objects.filter(adm_div_code__in={order.adm_div_code for order in orders})
    return {
        row.adm_div_code: RegionRow(row.adm_div_code, row.finance_organisation, row.tre_code, row.ukey_required)
        for row in rows
    }


def _requests(ids: set[UUID], contents: Iterable[VoucherContent]) -> list[PaymentRequest]:
    """The requests behind payment vouchers, and those that the 5108 among the texts name."""
    named = Q(voucher_id__in=ids)
    numbers: dict[tuple[str, int], set[str]] = defaultdict(set)
    for content in contents:
        if content.voucher_type == LIMIT_NOTICE:
            numbers[content.adm_div_code, content.fiscal_year].add(content.main["PayVoucherNo"])
    for (region, year), found in numbers.items():
        named |= Q(
            adm_div_code=region,
            fiscal_year=year,
            voucher_type__in=_LIMITED,
            voucher_no__in=found - {""},
            voucher__isnull=False,
        )
    return list(PaymentRequest.objects.filter(named).select_related(*_OF_REQUEST).order_by("id"))


def _notices(ids: set[UUID]) -> tuple[list[QuotaNotice], dict[UUID, list[SpendingPlan]]]:
    if not ids:
        return [], {}
    notices = list(
        QuotaNotice.objects.select_related("agent_bank").filter(Q(voucher_id__in=ids) | Q(limit_voucher_id__in=ids))
    )
    plans: dict[UUID, list[SpendingPlan]] = {notice.id: [] for notice in notices}
    if notices:
        rows = SpendingPlan.objects.select_related("unit", "indicator__quota__payer_account")
        for plan in rows.filter(notice__in=notices).order_by("pk"):
            assert plan.notice_id is not None, "found by its notice"
            plans[plan.notice_id].append(plan)
    return notices, plans


def _needed(rows: Sequence[Any]) -> dict[UUID, tuple[Need, ...]]:
    """For each document the nodes its revision has to pass, by the rule that reviewing itself goes by."""
    nodes: dict[UUID, list[Need]] = defaultdict(list)
    for node in ReviewNode.objects.filter(chain_id__in={row.chain_id for row in rows if row.chain_id}):
        need = Need(node.ordinal, node.post, node.amount_from, node.amount_to, node.countersign, node.skip_if)
        nodes[node.chain_id].append(need)
    skips = skips_of([row for row in rows if any(map(may_be_vacant, nodes[row.chain_id]))])
    return {
        row.id: tuple(needed_nodes(nodes[row.chain_id], row.amount, skips.get((row.id, row.revision), set())))
        for row in rows
    }


def _approvals(rows: Sequence[Any]) -> dict[UUID, list[Approval]]:
    decisions = list(
        ReviewDecision.objects.select_related("delegation__assignment")
        .filter(document_id__in=[row.id for row in rows], decision="approve")
        .order_by("ordinal", "seat")
    )
    days = _days_of([decision for decision in decisions if decision.delegation_id])
    steps = _steps({decision.signature_id for decision in decisions if decision.signature_id})
    found: dict[UUID, list[Approval]] = defaultdict(list)
    for decision in decisions:
        found[decision.document_id].append(
            Approval(
                ordinal=decision.ordinal,
                revision=decision.revision,
                post=decision.post,
                person_id=decision.person_id,
                content_digest=decision.content_digest,
                step=steps.get(decision.signature_id) if decision.signature_id else None,
                at=decision.at,
                seat=decision.seat,
                acted_for=_acted_for(decision, days) if decision.delegation_id else None,
            )
        )
    return found


def _days_of(decisions: Sequence[ReviewDecision]) -> dict[UUID, date]:
    """The business day that was open when each was taken: days are opened one after the other."""
    if not decisions:
        return {}
    rows = BusinessDay.objects.filter(adm_div_code__in={decision.adm_div_code for decision in decisions})
    days = list(rows.order_by("date").values_list("adm_div_code", "date", "closed_at"))
    return {
        decision.id: next(
            (day for region, day, closed in days if region == decision.adm_div_code and _open_at(closed, decision.at)),
            timezone.localdate(decision.at),
        )
        for decision in decisions
    }


def _open_at(closed_at: datetime | None, at: datetime) -> bool:
    return closed_at is None or closed_at >= at


def _acted_for(decision: ReviewDecision, days: Mapping[UUID, date]) -> ActedFor:
    delegation, day = decision.delegation, days[decision.id]
    assert delegation is not None
    assignment = delegation.assignment
    return ActedFor(
        delegator_id=delegation.delegator_id,
        delegate_id=delegation.delegate_person_id,
        post=delegation.post,
        valid_from=delegation.valid_from,
        valid_to=delegation.valid_to,
        revoked_at=delegation.revoked_at,
        day=day,
        held=assignment.valid_from <= day and (assignment.valid_to is None or day <= assignment.valid_to),
    )


def _steps(ids: set[UUID]) -> dict[UUID, SignedStep]:
    if not ids:
        return {}
    rows = StepSignature.objects.select_related("signed__certificate").filter(pk__in=ids)
    return {
        row.id: SignedStep(
            document_id=row.document_id,
            revision=row.revision,
            action=row.action,
            post=row.post,
            item=row.item,
            index=row.index,
            path=tuple(row.path),
            signature_sm3=row.signature_sm3,
            statement=row.signed.text,
            signature=bytes(row.signed.signature),
            signed_at=row.signed.at,
            key=_key(row.signed.certificate),
        )
        for row in rows
    }


def _officer_key(serial_hex: str) -> OfficerKey | None:
    row = OfficerCertificate.objects.filter(serial_hex=serial_hex).first() if serial_hex else None
    return _key(row) if row is not None else None


def _key(row: OfficerCertificate) -> OfficerKey:
    never = datetime.max.replace(tzinfo=row.requested_at.tzinfo)
    return OfficerKey(
        person_id=row.person_id,
        suite_id=row.suite_id,
        pem=row.pem,
        serial_hex=row.serial_hex,
        certificate_sm3=row.certificate_sm3,
        status=row.status,
        valid_from=row.valid_from or never,
        valid_to=row.valid_to or never,
        revoked_at=row.revoked_at,
    )


def _document(
    row: Any, number: str, digest: str, needed: Mapping[UUID, tuple[Need, ...]], approvals: Mapping[UUID, Any]
) -> Document:
    return Document(
        id=row.id,
        number=number,
        adm_div_code=row.adm_div_code,
        state=row.state,
        revision=row.revision,
        amount=row.amount,
        clerk_id=row.created_by_id,
        digest_kept=row.content_digest,
        digest_now=digest,
        needed=needed[row.id],
        approvals=tuple(approvals.get(row.id, ())),
    )


def _payments(
    requests: Sequence[PaymentRequest], needed: Mapping[UUID, tuple[Need, ...]], approvals: Mapping[UUID, Any]
) -> dict[UUID, Payment]:
    if not requests:
        return {}
    details = details_of(requests)
    limits: dict[UUID, list[tuple[UUID, Decimal]]] = defaultdict(list)
    for request_id, voucher_id, amount in LimitNotice.objects.filter(
        request_id__in=[request.id for request in requests]
    ).values_list("request_id", "voucher_id", "amount"):
        limits[request_id].append((voucher_id, amount))
    return {
        request.id: _payment(request, details[request.id], limits[request.id], needed, approvals)
        for request in requests
    }


def _payment(
    request: PaymentRequest,
    details: Details,
    limits: Sequence[tuple[UUID, Decimal]],
    needed: Mapping[UUID, tuple[Need, ...]],
    approvals: Mapping[UUID, Any],
) -> Payment:
    account, bank = request.payer_account, request.payer_account.agent_bank
    assert request.voucher_id is not None, "found by its voucher"
    return Payment(
        document=_document(request, request.request_no, content_digest(request, details), needed, approvals),
        voucher_id=request.voucher_id,
        voucher_no=request.voucher_no,
        payment_mode=request.payment_mode,
        business_type=request.business_type,
        settlement=request.settlement,
        purpose=request.purpose,
        unit_code=request.unit.code,
        unit_organisation=request.unit.organisation,
        fund_nature=request.indicator.fund_nature,
        payer_account_kind=account.kind,
        payer_account_no=account.account_no,
        payer_account_name=account.name,
        bank_no=bank.bank_no if bank else "",
        bank_code=bank.code if bank else "",
        lines=tuple(
            PayeeLine(d.seq, d.payee_name, d.payee_account_no, d.payee_bank_name, d.payee_bank_no, d.amount, d.remark)
            for d in details
        ),
        limits=tuple(limits),
    )


def _corrections(ids: set[UUID]) -> list[Correction]:
    if not ids:
        return []
    rows = Correction.objects.select_related(
        *("unit", "from_indicator__unit", "to_indicator__unit", "to_quota__payer_account__agent_bank"),
        "detail__request__payer_account__agent_bank",
    )
    return list(rows.filter(voucher_id__in=ids).order_by("pk"))


def _correction(
    row: Correction, needed: Mapping[UUID, tuple[Need, ...]], approvals: Mapping[UUID, Any]
) -> CorrectionRow:
    request, detail = row.detail.request, row.detail
    bank, new_bank = request.payer_account.agent_bank, row.to_quota.payer_account.agent_bank
    return CorrectionRow(
        document=_document(row, row.correction_no, correction_digest(row), needed, approvals),
        payment_mode=request.payment_mode,
        request_no=request.request_no,
        voucher_no=request.voucher_no,
        detail_seq=detail.seq,
        detail_amount=detail.amount,
        payee_account_no=detail.payee_account_no,
        payee_name=detail.payee_name,
        payer_account_no=request.payer_account.account_no,
        department_code=row.unit.department_code,
        before=_codes(row.from_indicator, request.dept_economic_code, bank.code if bank else ""),
        after=_codes(row.to_indicator, row.dept_economic_code, new_bank.code if new_bank else ""),
    )


def _codes(indicator: BudgetIndicator, dept_economic_code: str, bank_code: str) -> Codes:
    return Codes(
        unit_code=indicator.unit.code,
        fund_nature=indicator.fund_nature,
        bank_code=bank_code,
        function_code=indicator.function_code,
        gov_economic_code=indicator.gov_economic_code,
        dept_economic_code=dept_economic_code,
        project_code=indicator.project_code,
    )


def case_key(content: VoucherContent) -> CaseKey:
    """Which case an 8252 is about, as its text says."""
    line = content.details[0]["Id"] if content.details else ""
    return content.adm_div_code, content.main["Hold1"], content.main["OriBillNo"], line


def _cases(contents: Iterable[VoucherContent]) -> dict[CaseKey, CaseRow]:
    keys = {case_key(content) for content in contents if content.voucher_type == REFUND_ORDER}
    if not keys:
        return {}
    rows = RefundCase.objects.select_related("agent_bank", "detail__request__unit", "refund").filter(
        adm_div_code__in={key[0] for key in keys}, notice_no__in={key[2] for key in keys}
    )
    found = {(row.adm_div_code, row.notice_type, row.notice_no, str(row.position)): row for row in rows}
    return {key: _case(found[key]) for key in keys & found.keys()}


def _case(row: RefundCase) -> CaseRow:
    request = row.detail.request if row.detail else None
    refund = row.refund if row.refund is not None and row.refund.detail_id == row.detail_id else None
    return CaseRow(
        state=row.state,
        amount=row.amount,
        payer_account_no=row.payer_account_no,
        bank_code=row.agent_bank.code,
        bank_organisation=row.agent_bank.organisation,
        proposed_by=row.proposed_by_id,
        confirmed_by=row.confirmed_by_id,
        refunded=refund.amount if refund else None,
        original_type=request.voucher_type if request else "",
        original_year=request.fiscal_year if request else 0,
        original_no=request.voucher_no if request else "",
        detail_seq=row.detail.seq if row.detail else 0,
        unit_code=request.unit.code if request else "",
        ordered_by=row.voucher_id,
    )


def _notice(
    notice: QuotaNotice,
    plans: Sequence[SpendingPlan],
    needed: Mapping[UUID, tuple[Need, ...]],
    approvals: Mapping[UUID, Any],
) -> Notice:
    return Notice(
        id=notice.id,
        month=notice.month,
        fund_nature=notice.fund_nature,
        amount=notice.amount,
        bank_code=notice.agent_bank.code,
        maker_id=notice.made_by_id,
        quota_voucher_id=notice.voucher_id,
        limit_voucher_id=notice.limit_voucher_id,
        plans=tuple(
            PlanLine(
                document=_document(plan, plan.plan_no, plan_digest(plan), needed, approvals),
                amount=plan.signed_amount,
                unit_code=plan.unit.code,
                function_code=plan.indicator.function_code,
                account_no=plan.indicator.quota.payer_account.account_no,
            )
            for plan in plans
        ),
    )


def _vouchers(ids: set[UUID]) -> dict[UUID, VoucherRow]:
    return {
        row.id: VoucherRow(
            id=row.id,
            voucher_type=row.voucher_type,
            adm_div_code=row.adm_div_code,
            fiscal_year=row.fiscal_year,
            voucher_no=row.voucher_no,
            sender=row.sender,
            state=row.state,
            amount=row.amount,
            text=bytes(row.text),
            digest=row.digest,
            signature=row.signature,
            maker_id=row.made_by_id,
            sealer_id=row.sealed_by_id,
        )
        for row in Voucher.objects.filter(pk__in=ids)
    }


def _positions(orders: Sequence[Order], with_payments: bool) -> dict[tuple[str, int, str], tuple[Position, ...]]:
    """What a voucher bears, by (region, year, type); a 5108 also asks where the payment voucher it follows
    stands."""
    types = {order.voucher_type for order in orders} | (set(_LIMITED) if with_payments else set())
    rows = SealPosition.objects.filter(
        adm_div_code__in={order.adm_div_code for order in orders},
        fiscal_year__in={order.fiscal_year for order in orders},
        voucher_type__in=types,
        flag=0,
    )
    found: dict[tuple[str, int, str], list[Position]] = defaultdict(list)
    for row in rows.order_by("ordinal", "position"):
        found[row.adm_div_code, row.fiscal_year, row.voucher_type].append(
            Position(row.position, row.kind, row.ordinal, row.post, row.required)
        )
    return {key: tuple(positions) for key, positions in found.items()}


def _stamps(ids: set[UUID]) -> dict[UUID, tuple[Affixed, ...]]:
    found: dict[UUID, list[Affixed]] = defaultdict(list)
    rows = Stamp.objects.filter(voucher_id__in=ids).values_list("voucher_id", "position", "ordinal", "person_id")
    for voucher_id, position, ordinal, person_id in rows:
        found[voucher_id].append(Affixed(position, ordinal, person_id))
    return {voucher_id: tuple(stamps) for voucher_id, stamps in found.items()}


def _posts(person_id: UUID | None, on: date, now: datetime | None) -> frozenset[tuple[str, str, str]]:
    if person_id is None:
        return frozenset()
    rows = PostAssignment.objects.filter(
        Q(valid_to__isnull=True) | Q(valid_to__gte=on),
        user__person_id=person_id,
        user__is_active=True,
        valid_from__lte=on,
    ).filter(Q(emergency=None) if now is None else Q(emergency=None) | Q(emergency__ends_at__gt=now))
    return frozenset(rows.values_list("adm_div_code", "post", "unit_code"))


def _seals(ids: set[UUID]) -> dict[UUID, SealRow]:
    if not ids:
        return {}
    rows = ESeal.objects.select_related("certificate").filter(pk__in=ids).defer("svg")
    return {row.id: seal_row(row) for row in rows}


def seal_row(row: ESeal) -> SealRow:
    """A registered seal and its certificate as plain values."""
    return SealRow(
        id=row.id,
        es_id=row.es_id,
        organisation_code=row.organisation_code,
        kind=row.kind,
        status=row.status,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        voucher_types=tuple(row.voucher_types),
        der=bytes(row.der),
        certificate_status=row.certificate.status,
        certificate_valid_from=row.certificate.valid_from,
        certificate_valid_to=row.certificate.valid_to,
        certificate_pem=row.certificate.pem,
    )
