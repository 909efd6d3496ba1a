"""What payments do with contracts: how much they have used, and what of a contract stands against another payment.

The amounts are never stored. They are summed from the requests themselves while the contract's row is locked, so that
nothing can drift (docs/adr/0028). Lock order: after the indicators, before the clearing limits.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, Q, Sum

from contracts.errors import (
    AcceptanceMissing,
    CertificateExceeded,
    ContractAllocationExceeded,
    ContractExceeded,
    ContractNotPayable,
    ContractPayeeDiffers,
    ContractRequired,
    ContractStageNotDue,
    ContractUnknown,
    EstimateExceeded,
    ProjectNotApproved,
    ProjectRequired,
)
from contracts.locking import STANDING, lock_named_contracts, lock_projects
from contracts.models import Contract, InvestmentProject
from contracts.standing import Standing, standings
from contracts.states import PAYABLE, ProjectState
from contracts.usage import Use, used_of
from core.errors import TreasuryError
from core.money import ZERO
from monitoring.facts import ContractFacts
from payments.models import BusinessType, PaymentDetail, PaymentRequest
from payments.states import PAID_STATES, RESERVING

PROCUREMENT_TAG = "政府采购"
BOUND = (BusinessType.PROCUREMENT, BusinessType.INVESTMENT)  # business types that need a contract
_LIVE = Q(state__in=RESERVING | PAID_STATES)


def used_by_payments(contracts: Sequence[Contract]) -> dict[UUID, Use]:
    """Return what live requests have taken from each contract (one statement, whatever their number)."""
    by_name = {(c.unit_id, c.contract_no): c.id for c in contracts}
    rows = (
        PaymentRequest.objects.filter(
            _LIVE,
            adm_div_code__in={c.adm_div_code for c in contracts},
            unit_id__in={unit for unit, _ in by_name},
            contract_no__in={no for _, no in by_name},
        )
        .exclude(contract_no="")
        .values("unit_id", "contract_no", "indicator_id")
        .annotate(
            paid=Sum("amount_paid"),
            refunded=Sum("amount_refunded"),
            in_transit=Sum("amount", filter=Q(state__in=RESERVING), default=ZERO),
            payments=Count("id"),
        )
        .order_by()
    )
    parts: dict[UUID, list[Mapping[str, object]]] = defaultdict(list)
    for row in rows:
        contract_id = by_name.get((row["unit_id"], row["contract_no"]))
        if contract_id is not None:
            parts[contract_id].append(row)
    return {contract_id: _summed(found) for contract_id, found in parts.items()}


def _summed(rows: Iterable[Mapping[str, object]]) -> Use:
    use = Use()
    by_indicator: dict[UUID, Decimal] = {}
    for row in rows:
        part = Use(row["paid"], row["in_transit"], row["refunded"], row["payments"])  # type: ignore[arg-type]
        by_indicator[row["indicator_id"]] = part.net  # type: ignore[index]
        use = Use(
            use.paid + part.paid,
            use.in_transit + part.in_transit,
            use.refunded + part.refunded,
            use.payments + part.payments,
        )
    return Use(use.paid, use.in_transit, use.refunded, use.payments, by_indicator)


def contract_facts(requests: Sequence[PaymentRequest]) -> dict[UUID, ContractFacts]:
    """Return what the rules are told about the contract each request names: as it stands without this request.

    A fixed number of statements and no lock; none at all if no request names a contract.
    """
    named = {(r.unit_id, r.contract_no) for r in requests if r.contract_no}
    if not named:
        return {}
    rows = Contract.objects.filter(STANDING, adm_div_code__in={r.adm_div_code for r in requests}).filter(
        unit_id__in={unit for unit, _ in named}, contract_no__in={no for _, no in named}
    )
    contracts = {(c.adm_div_code, c.unit_id, c.contract_no): c for c in rows.select_related("project")}
    standing, uses = standings(list(contracts.values())), used_of(list(contracts.values()))
    found = {}
    for request in requests:
        contract = contracts.get((request.adm_div_code, request.unit_id, request.contract_no))
        if contract is not None:
            found[request.id] = _facts(standing[contract.id], uses[contract.id], request)
    return found


def _facts(standing: Standing, use: Use, request: PaymentRequest) -> ContractFacts:
    reserving, live = request.state in RESERVING, request.state in RESERVING | PAID_STATES
    return ContractFacts(
        contract_no=standing.contract.contract_no,
        supplier_name=standing.contract.supplier_name,
        supplier_accounts=standing.accounts,
        total=standing.total,
        paid=use.paid - (request.amount_paid if live else ZERO),
        in_transit=use.in_transit - (request.amount if reserving else ZERO),
        refunded=use.refunded - (request.amount_refunded if live else ZERO),
        prepayment_cap=standing.contract.prepayment_cap,
        payments_before=use.payments - int(live),
        accepted=standing.accepted,
    )


# What stands against a payment ----------------------------------------------------------------------------------------


@dataclass
class _Books:
    """The locked contracts and projects, and what the requests of this batch take from them one after the other."""

    contracts: Mapping[tuple[UUID, str], Contract]
    standing: Mapping[UUID, Standing]
    projects: Mapping[UUID, InvestmentProject]
    on: date
    used: dict[UUID, Decimal] = field(default_factory=dict)
    by_indicator: dict[tuple[UUID, UUID], Decimal] = field(default_factory=dict)
    by_project: dict[UUID, Decimal] = field(default_factory=dict)

    def take(self, contract: Contract, request: PaymentRequest) -> None:
        key = (contract.id, request.indicator_id)
        self.used[contract.id] += request.amount
        self.by_indicator[key] = self.by_indicator.get(key, ZERO) + request.amount
        if contract.project_id is not None:
            self.by_project[contract.project_id] += request.amount


def refusals(
    requests: Sequence[PaymentRequest],
    details: Mapping[UUID, Sequence[PaymentDetail]],
    *,
    on: date,
    blocked: AbstractSet[UUID] = frozenset(),
) -> dict[UUID, list[TreasuryError]]:
    """Return for each request everything its contract has against it; requests without a finding are left out.

    The requests are taken in order, so that a batch cannot take more than single ones could. Those in `blocked` are
    checked but take nothing: they will not be paid. The caller holds the indicators' locks; this locks the contracts,
    then their projects. A fixed number of statements, none if no request has to do with a contract.
    """
    books = _lock_books([r for r in requests if r.contract_no], on)
    found: dict[UUID, list[TreasuryError]] = {}
    for request in requests:
        against = _against(request, details[request.id], books)
        if against:
            found[request.id] = against
        elif request.contract_no and request.id not in blocked:
            books.take(books.contracts[request.unit_id, request.contract_no], request)
    return found


def _lock_books(requests: Sequence[PaymentRequest], on: date) -> _Books:
    if not requests:
        return _Books({}, {}, {}, on)
    contracts = lock_named_contracts(requests[0].adm_div_code, {(r.unit_id, r.contract_no) for r in requests})
    locked = list(contracts.values())
    projects = lock_projects({c.project_id for c in locked if c.project_id is not None})
    for contract in locked:
        if contract.project_id is not None:
            contract.project = projects[contract.project_id]
    siblings = list(Contract.objects.filter(project__in=projects)) if projects else []
    uses = used_of(list({c.id: c for c in (*locked, *siblings)}.values()))
    by_project = dict.fromkeys(projects, ZERO)
    for contract in siblings:
        assert contract.project_id is not None
        by_project[contract.project_id] += uses[contract.id].net
    return _Books(
        contracts,
        standings(locked),
        projects,
        on,
        {c.id: uses[c.id].net for c in locked},
        {(c.id, indicator): net for c in locked for indicator, net in uses[c.id].by_indicator.items()},
        by_project,
    )


def _against(request: PaymentRequest, details: Sequence[PaymentDetail], books: _Books) -> list[TreasuryError]:
    if not request.contract_no:
        return _without_contract(request)
    contract = books.contracts.get((request.unit_id, request.contract_no))
    if contract is None:
        return [ContractUnknown("合同不存在或不属于本单位。", field="contract_no", given=request.contract_no)]
    if contract.state not in PAYABLE:
        return [ContractNotPayable(f"合同当前为「{contract.get_state_display()}」，不能付款。", field="contract_no")]
    standing = books.standing[contract.id]
    return [
        *_payee_findings(standing, details),
        *_amount_findings(request, standing, books),
        *_project_findings(request, standing, books),
    ]


def _without_contract(request: PaymentRequest) -> list[TreasuryError]:
    if request.business_type in BOUND or PROCUREMENT_TAG in request.indicator.tags:
        return [ContractRequired("政府采购和投资项目的付款、政府采购指标的付款须填写合同编号。", field="contract_no")]
    return []


def _payee_findings(standing: Standing, details: Sequence[PaymentDetail]) -> list[TreasuryError]:
    supplier = standing.contract.supplier_name
    found: list[TreasuryError] = []
    for detail in details:
        if detail.payee_name != supplier:
            found.append(
                ContractPayeeDiffers(f"收款人应为合同供应商 {supplier}。", field=f"details.{detail.seq}.payee_name")
            )
        elif detail.payee_account_no not in standing.accounts:
            found.append(
                ContractPayeeDiffers(
                    "收款账号不是合同约定的供应商账户。", field=f"details.{detail.seq}.payee_account_no"
                )
            )
    return found


def _amount_findings(request: PaymentRequest, standing: Standing, books: _Books) -> list[TreasuryError]:
    contract = standing.contract
    used = books.used[contract.id]
    after = used + request.amount
    found: list[TreasuryError] = []
    if after > standing.total:
        found.append(
            ContractExceeded(
                f"合同余额 {standing.total - used:,.2f}，本单 {request.amount:,.2f}。",
                field="amount",
                available=standing.total - used,
                asked=request.amount,
            )
        )
    elif after > standing.due(books.on):
        found.append(_not_due(request.amount, used, standing, books.on))
    share = standing.allocations.get(request.indicator_id)
    taken = books.by_indicator.get((contract.id, request.indicator_id), ZERO)
    if share is None:
        found.append(ContractAllocationExceeded("本指标没有分摊该合同。", field="indicator_id"))
    elif taken + request.amount > share:
        found.append(
            ContractAllocationExceeded(
                f"本指标分摊该合同 {share:,.2f}，余 {share - taken:,.2f}，本单 {request.amount:,.2f}。",
                field="amount",
                available=share - taken,
                asked=request.amount,
            )
        )
    return found


def _not_due(amount: Decimal, used: Decimal, standing: Standing, on: date) -> TreasuryError:
    """Say whether it is only the acceptance that is missing, or the time has not come."""
    due = standing.due(on)
    facts = {"available": max(due - used, ZERO), "asked": amount}
    said = f"按付款条款现可支付 {facts['available']:,.2f}，本单 {amount:,.2f}"
    if not standing.accepted and used + amount <= standing.due_if_accepted(on):
        return AcceptanceMissing(f"{said}；其余须验收后支付。", field="amount", **facts)
    return ContractStageNotDue(f"{said}；下一阶段未到付款日。", field="amount", **facts)


def _project_findings(request: PaymentRequest, standing: Standing, books: _Books) -> list[TreasuryError]:
    investment = request.business_type == BusinessType.INVESTMENT
    project_id = standing.contract.project_id
    if project_id is None:
        if investment:
            return [ProjectRequired("投资项目付款的合同须属于一个投资项目。", field="contract_no")]
        return []
    if not investment:
        return [ProjectRequired("该合同属于投资项目，业务类型应为「政府投资项目」。", field="business_type")]
    project = books.projects[project_id]
    if project.state != ProjectState.APPROVED:
        return [ProjectNotApproved(f"项目当前为「{project.get_state_display()}」，不能付款。", field="contract_no")]
    found: list[TreasuryError] = []
    used, spent = books.used[standing.contract.id], books.by_project[project_id]
    payable = standing.certified - standing.retained(books.on)
    if used + request.amount > payable:
        found.append(
            CertificateExceeded(
                f"累计核定 {standing.certified:,.2f}，扣除质保金后还可支付 {max(payable - used, ZERO):,.2f}。",
                field="amount",
                available=max(payable - used, ZERO),
                asked=request.amount,
            )
        )
    if spent + request.amount > project.approved_estimate:
        found.append(
            EstimateExceeded(
                f"批准概算 {project.approved_estimate:,.2f}，还可支付 {project.approved_estimate - spent:,.2f}。",
                field="amount",
                available=project.approved_estimate - spent,
                asked=request.amount,
            )
        )
    return found
