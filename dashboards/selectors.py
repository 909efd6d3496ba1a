"""What the pages list: queues by post, one query each, whatever the number of rows."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils.dateparse import parse_date

from budget.document_states import CarryOverState, DocumentState
from budget.methods import FINANCE, METHODS, UNIT, Control, controlled_by, made_by, types_of, year_of
from budget.models import BudgetYear, CarryOver, IndicatorDocument, QuotaNotice, SpendingPlan
from budget.states import PlanState
from core.actors import Actor
from core.errors import TreasuryError
from core.models import Transition
from core.money import yuan
from dashboards.desk import Desk
from monitoring.models import Alert, Case
from monitoring.states import UNIT_SIDE, VERIFIERS, CaseState
from parties.delegating import delegations_to
from parties.duties import Post, of_side
from parties.models import Delegation, EmergencyAsk, ReviewChain, ReviewNode
from parties.review import check_reviewer, earlier_deciders, load_chains
from parties.selectors import visible_unit_codes
from parties.states import ChainState
from payments.deadlines import waiting_reviews
from payments.models import Attachment, PaymentDetail, PaymentRequest
from payments.states import DetailState, RequestState
from reconciliation.models import Discrepancy
from reconciliation.states import DiscrepancyState
from seals.models import OfficerCertificate, SealPosition, Stamp
from vouchers.models import Delivery, Voucher
from vouchers.states import DeliveryState, VoucherState

PAGE = 50
MAKERS = ("voucher_maker", "unit_clerk")
SEALERS = ("seal_keeper", "name_seal", "unit_sealer", "unit_name_seal")
UNITS_TURN = (CaseState.AWAITING, CaseState.RECTIFYING, CaseState.RECOVERING)
BUREAUS_TURN = (CaseState.EXPLAINED, CaseState.ANSWERED)
KEEPERS = ("seal_keeper", "name_seal")  # of the treasury's seals, which quota notices bear


def requests_for(actor: Actor, fiscal_year: int) -> QuerySet[PaymentRequest]:
    """Return the payment requests of one year the actor may see."""
    return visible_requests(actor).select_related("unit", "indicator").filter(fiscal_year=fiscal_year)


def visible_requests(actor: Actor) -> QuerySet[PaymentRequest]:
    """Return the payment requests of every year the actor may see."""
    rows = PaymentRequest.objects.filter(adm_div_code=actor.adm_div_code)
    codes = visible_unit_codes(actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


def matching(rows: QuerySet[PaymentRequest], text: str) -> QuerySet[PaymentRequest]:
    """Keep the requests whose number, voucher, unit, purpose, payee or exact amount is what somebody typed."""
    payee = PaymentDetail.objects.filter(request=OuterRef("pk"), payee_name__icontains=text)
    wanted = Q(request_no__icontains=text) | Q(voucher_no__icontains=text) | Q(unit__name__icontains=text)
    wanted |= Q(purpose__icontains=text) | Exists(payee)
    with suppress(TreasuryError):
        wanted |= Q(amount=yuan(text.replace(",", "")))
    return rows.filter(wanted)


@dataclass
class Page:
    """Up to PAGE rows and the key to continue from, newest first; `following` is empty at the end."""

    rows: list[Any]
    following: str


def page_of(rows: QuerySet[Any], before: UUID | None, size: int = PAGE) -> Page:
    """Cut one page out of rows, newest first. Ids are ordered by time, so the last one is the key."""
    rows = rows.order_by("-id")
    found = list((rows if before is None else rows.filter(id__lt=before))[: size + 1])
    return Page(found[:size], str(found[size - 1].id) if len(found) > size else "")


# Queues -------------------------------------------------------------------------------------------------------------


def _at_my_node(rows: QuerySet[Any], actor: Actor) -> QuerySet[Any]:
    """Keep documents that wait at a node whose post the actor holds."""
    node = ReviewNode.objects.filter(chain=OuterRef("chain"), ordinal=OuterRef("node"), post__in=actor.roles)
    return rows.filter(Exists(node))


def review_queue(desk: Desk) -> QuerySet[PaymentRequest]:
    """Return the requests that wait for one of the officer's posts, oldest first."""
    rows = requests_for(desk.actor, desk.fiscal_year).filter(state=RequestState.IN_REVIEW)
    return _at_my_node(rows, desk.actor).order_by("id")


def overdue_queue(desk: Desk) -> QuerySet[PaymentRequest]:
    """Return those of the review queue that have waited longer than their node allows."""
    queue = review_queue(desk)
    if not ReviewNode.objects.filter(post__in=desk.actor.roles, due_hours__isnull=False).exists():
        return queue.none()
    waiting = waiting_reviews(desk.actor.adm_div_code, now=desk.now, requests=queue)
    return queue.filter(pk__in=[one.document_id for one in waiting if one.overdue])


def delegated_to_me(desk: Desk) -> QuerySet[Delegation]:
    return delegations_to(desk.actor.person_id, on=desk.today)


def chain_drafts(desk: Desk) -> QuerySet[ReviewChain]:
    """Return the drafts that another administrator has written."""
    rows = ReviewChain.objects.filter(adm_div_code=desk.actor.adm_div_code, state=ChainState.DRAFT)
    return rows.exclude(drafted_by_id=desk.actor.person_id)


def emergency_asks(desk: Desk) -> QuerySet[EmergencyAsk]:
    """Return the emergency posts that another administrator has asked for."""
    rows = EmergencyAsk.objects.filter(adm_div_code=desk.actor.adm_div_code, closed_at=None)
    return rows.exclude(asked_by_id=desk.actor.person_id)


def held_queue(desk: Desk) -> QuerySet[PaymentRequest]:
    rows = requests_for(desk.actor, desk.fiscal_year)
    return rows.filter(state=RequestState.ON_HOLD).order_by("id")


def _of_my_mode(rows: QuerySet[PaymentRequest], actor: Actor, posts: Iterable[str]) -> QuerySet[PaymentRequest]:
    return rows.filter(payment_mode__in=made_by(*(post for post in posts if post in actor.roles)))


def make_queue(desk: Desk) -> QuerySet[PaymentRequest]:
    rows = requests_for(desk.actor, desk.fiscal_year).filter(state=RequestState.APPROVED)
    return _of_my_mode(rows, desk.actor, MAKERS).order_by("id")


def unsealed_queue(desk: Desk, posts: Iterable[str]) -> QuerySet[PaymentRequest]:
    """Return the requests with an unsealed voucher; for sealers those whose next step is theirs."""
    rows = requests_for(desk.actor, desk.fiscal_year).filter(state=RequestState.VOUCHERED)
    if tuple(posts) == SEALERS:
        mine = Q(pk__in=[])
        for office in (FINANCE, UNIT):
            types = {kind: str(office.sealer) for kind in types_of(office)}
            issued = Q(payment_mode__in=[row.code for row in METHODS.values() if row.office is office])
            mine |= issued & waits_for(desk, "voucher_id", types, "voucher_type", unit=office is UNIT)
        rows = rows.filter(mine)
    return _of_my_mode(rows, desk.actor, posts).order_by("id")


def bank_refused_queue(desk: Desk) -> QuerySet[PaymentRequest]:
    rows = requests_for(desk.actor, desk.fiscal_year).filter(state=RequestState.BANK_REFUSED)
    return _of_my_mode(rows, desk.actor, MAKERS).order_by("id")


def notices_to_seal(desk: Desk) -> QuerySet[QuotaNotice]:
    unsealed = Voucher.objects.filter(pk=OuterRef("voucher_id"), state=VoucherState.GENERATED)
    rows = QuotaNotice.objects.select_related("agent_bank").filter(
        adm_div_code=desk.actor.adm_div_code, fiscal_year=desk.fiscal_year
    )
    mine = waits_for(desk, "voucher_id", {"5105": "seal_keeper"})
    return rows.filter(mine, Exists(unsealed)).annotate(voucher_no=_voucher_no("voucher_id")).order_by("id")


def notices(desk: Desk) -> QuerySet[QuotaNotice]:
    """Return the quota notices of the year, newest first, with the number of their 5105 and 5106."""
    rows = QuotaNotice.objects.select_related("agent_bank").filter(
        adm_div_code=desk.actor.adm_div_code, fiscal_year=desk.fiscal_year
    )
    state = Subquery(Voucher.objects.filter(pk=OuterRef("voucher_id")).values("state")[:1])
    return rows.annotate(
        voucher_no=_voucher_no("voucher_id"), limit_voucher_no=_voucher_no("limit_voucher_id"), voucher_state=state
    ).order_by("-id")


def _voucher_no(column: str) -> Subquery:
    return Subquery(Voucher.objects.filter(pk=OuterRef(column)).values("voucher_no")[:1])


def plans_for(desk: Desk) -> QuerySet[SpendingPlan]:
    """Return the spending plans the actor may see."""
    rows = SpendingPlan.objects.select_related("unit", "indicator", "created_by").filter(
        adm_div_code=desk.actor.adm_div_code, fiscal_year=desk.fiscal_year
    )
    codes = visible_unit_codes(desk.actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


def plan_queue(desk: Desk) -> QuerySet[SpendingPlan]:
    return _at_my_node(plans_for(desk).filter(state=PlanState.IN_REVIEW), desk.actor).order_by("id")


def plans_to_notify(desk: Desk) -> QuerySet[SpendingPlan]:
    rows = plans_for(desk).filter(state=PlanState.APPROVED, payment_mode__in=controlled_by(Control.QUOTA))
    classic = year_of(desk.actor.adm_div_code, desk.fiscal_year).mode == BudgetYear.Mode.CLASSIC
    return rows.order_by("id") if classic else rows.none()


def documents(desk: Desk) -> QuerySet[IndicatorDocument]:
    """The year's indicator documents (指标文)."""
    return IndicatorDocument.objects.select_related("created_by", "approved_by", "leader_by").filter(
        adm_div_code=desk.actor.adm_div_code, fiscal_year=desk.fiscal_year
    )


def documents_to_decide(desk: Desk) -> QuerySet[IndicatorDocument]:
    """Those that wait for this officer, as approver or as leader."""
    waiting = [DocumentState.IN_REVIEW] if desk.holds(Post.BUDGET_APPROVER) else []
    waiting += [DocumentState.WITH_LEADER] if desk.holds(Post.BUREAU_LEADER) else []
    return documents(desk).filter(state__in=waiting).order_by("id")


def documents_to_issue(desk: Desk) -> QuerySet[IndicatorDocument]:
    return documents(desk).filter(state=DocumentState.APPROVED).order_by("id")


def carry_overs_to_decide(desk: Desk) -> QuerySet[CarryOver]:
    """Proposals of this year and the one before that wait for approval."""
    return CarryOver.objects.filter(
        adm_div_code=desk.actor.adm_div_code,
        fiscal_year__in=[desk.fiscal_year - 1, desk.fiscal_year],
        state=CarryOverState.PROPOSED,
    ).order_by("id")


def reissuable(desk: Desk) -> QuerySet[PaymentRequest]:
    """Return the requests of which something failed or came back that nobody has paid again yet."""
    rows = PaymentDetail.objects.filter(request=OuterRef("pk"), reissued_as__isnull=True)
    open_rows = rows.filter(Q(state=DetailState.FAILED) | Q(amount_refunded__gt=0))
    some = Q(amount_failed__gt=0) | Q(amount_refunded__gt=0)
    return requests_for(desk.actor, desk.fiscal_year).filter(some, Exists(open_rows))


def unknown_deliveries(desk: Desk) -> QuerySet[Delivery]:
    return Delivery.objects.filter(adm_div_code=desk.actor.adm_div_code, state=DeliveryState.UNKNOWN)


def open_discrepancies(desk: Desk) -> QuerySet[Discrepancy]:
    return Discrepancy.objects.filter(adm_div_code=desk.actor.adm_div_code, state=DiscrepancyState.OPEN)


def cases_for(desk: Desk) -> QuerySet[Case]:
    """Return the cases of monitoring the officer may see."""
    rows = Case.objects.select_related("alert").filter(adm_div_code=desk.actor.adm_div_code)
    codes = visible_unit_codes(desk.actor)
    return rows if codes is None else rows.filter(alert__unit_code__in=codes)


def cases_to_do(desk: Desk) -> QuerySet[Case]:
    """Return the cases that wait for the officer: for the unit's word, or for the bureau's."""
    units = UNITS_TURN if desk.holds(*UNIT_SIDE.split("|")) else ()
    bureaus = BUREAUS_TURN if desk.holds(*VERIFIERS.split("|")) else ()
    return cases_for(desk).filter(state__in=(*units, *bureaus)).order_by("due_on", "id")


# What a row of a queue shows ----------------------------------------------------------------------------------------


@dataclass
class QueueRow:
    """A request in a queue with its first payee, how many there are, its alerts and attachments.

    `barred` says why this officer may not decide on it (separation of duties); empty if nothing stands against it.
    """

    request: Any
    payee: str
    payees: int
    alerts: list[Alert]
    attachments: int
    barred: str = ""


def queue_rows(requests: list[PaymentRequest], reviewer: Actor | None = None) -> list[QueueRow]:
    """Read what a queue shows about these requests; a fixed number of queries."""
    ids = [request.id for request in requests]
    payees: dict[UUID, list[str]] = {pk: [] for pk in ids}
    for request_id, name in PaymentDetail.objects.filter(request__in=ids).values_list("request_id", "payee_name"):
        payees[request_id].append(name)
    alerts: dict[UUID, list[Alert]] = {pk: [] for pk in ids}
    for alert in Alert.objects.filter(document_id__in=ids).order_by("rule_code"):
        alerts[alert.document_id].append(alert)
    attached: dict[UUID, int] = dict.fromkeys(ids, 0)
    for request_id in Attachment.objects.filter(request__in=ids).values_list("request_id", flat=True):
        attached[request_id] += 1
    barred = barred_for(requests, reviewer) if reviewer is not None else {}
    return [
        QueueRow(
            request=r,
            payee=payees[r.id][0] if payees[r.id] else "",
            payees=len(payees[r.id]),
            alerts=[a for a in alerts[r.id] if a.revision == r.revision],
            attachments=attached[r.id],
            barred=barred.get(r.id, ""),
        )
        for r in requests
    ]


def barred_for(documents: list[Any], reviewer: Actor) -> dict[UUID, str]:
    """Return for each document the reviewer may not decide on: why not (two queries)."""
    chains = load_chains({document.chain_id for document in documents if document.chain_id is not None}, documents)
    deciders = earlier_deciders(documents)
    found = {}
    for document in documents:
        try:
            check_reviewer(document, chains.node(document), reviewer, deciders[document.id])
        except TreasuryError as refusal:
            found[document.id] = refusal.message
    return found


def total_of(rows: Iterable[Any]) -> Decimal:
    return sum((row.amount for row in rows), Decimal("0.00"))


def latest_reasons(document_ids: Iterable[UUID], actions: Iterable[str]) -> dict[UUID, Transition]:
    """Return for each document the last event of these kinds: why it came back."""
    rows = Transition.objects.filter(document_id__in=list(document_ids), action__in=list(actions)).order_by("id")
    return {row.document_id: row for row in rows}


def date_or_none(text: str | None) -> Any:
    try:
        return parse_date(text or "")
    except ValueError:
        return None


def waits_for(
    desk: Desk, voucher: str, default_post: Mapping[str, str], voucher_type: str = "", *, unit: bool = False
) -> Q:
    """Return the condition that the next step of sealing belongs to one of the officer's posts (`vouchers.sealing`).

    :param voucher: the column with the voucher's id; `voucher_type` that with its type, where rows are of several.
    :param default_post: who seals a type for which the region has configured nothing.
    :param unit: whether the vouchers are units', where a type is issued by units and the bureau alike.
    """
    steps: dict[str, dict[int, str]] = {kind: {} for kind in default_post}
    rows = SealPosition.objects.filter(
        adm_div_code=desk.actor.adm_div_code, fiscal_year=desk.fiscal_year, flag=0, voucher_type__in=default_post
    )
    found = list(rows.values_list("voucher_type", "ordinal", "post"))
    for kind in steps:
        listed = [(ordinal, post) for of_kind, ordinal, post in found if of_kind == kind]
        for (ordinal, post), is_mine in zip(listed, of_side([post for _, post in listed], unit=unit), strict=True):
            if is_mine:
                steps[kind].setdefault(ordinal, post)
    wanted = Q(pk__in=[])
    for kind, by_ordinal in steps.items():
        former: int | None = None
        for ordinal, post in sorted(by_ordinal.items()) or [(0, default_post[kind])]:
            if desk.holds(post or default_post[kind]):
                stamps = Stamp.objects.filter(voucher_id=OuterRef(voucher))
                step = ~Q(Exists(stamps.filter(ordinal=ordinal)))
                if former is not None:
                    step &= Q(Exists(stamps.filter(ordinal=former)))
                wanted |= step & Q(**{voucher_type: kind}) if voucher_type else step
            former = ordinal
    return wanted


def key_requests(desk: Desk) -> QuerySet[OfficerCertificate]:
    """Return the certificates asked for in the region that another person has to approve."""
    rows = OfficerCertificate.objects.filter(
        adm_div_code=desk.actor.adm_div_code, status=OfficerCertificate.Status.REQUESTED
    )
    return rows.exclude(person_id=desk.actor.person_id).select_related("person").order_by("requested_at")
