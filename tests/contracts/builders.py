"""Contracts and projects of the tests, through the services that officers use."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from budget.entries import Context
from budget.models import BudgetIndicator
from budget.services import OpeningIndicator, import_indicator
from contracts import services
from contracts.models import Contract, InvestmentProject
from contracts.services import AccountInput, ContractInput, ProjectInput, SupplementInput, TermInput
from demo import world
from payments import services as payments
from payments.models import PaymentRequest
from tests import acts
from tests.conftest import NOW

D = Decimal
SUPPLIER = ("临江市恒信物资公司", "6230000000000808")
CONTEXT = Context(world.REGION, world.YEAR, world.DAY, "test", NOW)


def given(no: str = "C-1", total: str = "100000.00", **changes: Any) -> ContractInput:
    """30 % at once, 40 % on delivery, 30 % on acceptance, on I4 alone."""
    values: dict[str, Any] = {
        "contract_no": no,
        "title": "实验耗材",
        "supplier_name": SUPPLIER[0],
        "supplier_credit_code": "91990100MA0HXWK808",
        "accounts": (AccountInput(SUPPLIER[1], "丙银行临江支行"),),
        "total": D(total),
        "signed_on": date(2026, 6, 1),
        "terms": (
            TermInput("首付款", "signed", ratio=D("0.3")),
            TermInput("到货款", "delivered", ratio=D("0.4")),
            TermInput("验收款", "accepted", ratio=D("0.3")),
        ),
        "allocations": (("I4", D(total)),),
        "procurement_id": "LJZC-2026-1",
    } | changes
    return ContractInput(**values)


def saved(no: str = "C-1", total: str = "100000.00", *, clerk: str = "u101002-jb", **changes: Any) -> Contract:
    officer = world.officer(clerk)
    [unit] = officer.units
    return services.save_contract(unit_code=unit, given=given(no, total, **changes), clerk=officer, now=NOW)


def decide(action: str, *contracts: Contract, who: Any = "jkw-sh", reason: str = "已核") -> Any:
    officer = world.officer(who) if isinstance(who, str) else who
    ids = [c.id for c in contracts]
    return services.decide_contracts(contract_ids=ids, action=action, officer=officer, reason=reason, now=NOW)


def filed(no: str = "C-1", total: str = "100000.00", **changes: Any) -> Contract:
    contract = saved(no, total, **changes)
    decide("file", contract).raise_if_refused()
    return fresh(contract)


def accept(
    contract: Contract, amount: str, *, final: bool = False, no: str = "YS-1", who: Any = "u101002-fh", **changes: Any
) -> Any:
    values = {"accepted_on": world.DAY, "accepted_by": "陈志远"} | changes
    return services.accept_contract(
        contract_id=contract.id,
        certificate_no=no,
        amount=D(amount),
        final=final,
        officer=world.officer(who) if isinstance(who, str) else who,
        now=NOW,
        **values,
    )


def supplement(contract: Contract, change: str, *, no: str = "B-1", who: str = "u101002-jb", **changes: Any) -> Any:
    values: dict[str, Any] = {
        "supplement_no": no,
        "signed_on": world.DAY,
        "reason": "增加品目",
        "amount_change": D(change),
        "allocations": (("I4", D(change)),) if D(change) else (),
    } | changes
    return services.save_supplement(
        contract_id=contract.id, given=SupplementInput(**values), clerk=world.officer(who), now=NOW
    )


def settle(supplement: Any, *, approve: bool = True, who: Any = "jkw-sh") -> Any:
    officer = world.officer(who) if isinstance(who, str) else who
    return services.decide_supplement(supplement_id=supplement.id, approve=approve, officer=officer, now=NOW)


def fresh(contract: Contract) -> Contract:
    return Contract.objects.select_related("unit", "project").get(pk=contract.pk)


# Payments -----------------------------------------------------------------------------------------------------------


def payment(contract: Contract, amount: str, *, indicator: str = "I4", **changes: Any) -> PaymentRequest:
    """A draft that pays the supplier on the contract."""
    line = {"payee_name": contract.supplier_name, "payee_account_no": contract.supplier_accounts[0]["account_no"]}
    line |= {key: changes.pop(key) for key in ("payee_name", "payee_account_no") if key in changes}
    values = {
        "indicator_id": world.indicator(indicator).id,
        "business_type": "7",
        "settlement": "2",
        "dept_economic_code": "31003",
        "purpose": "货款",
        "details": (acts.line(amount, **line),),
        "contract_no": contract.contract_no,
    } | changes
    clerk = world.officer(f"u{contract.unit.code}-jb")
    return payments.save_drafts(inputs=[payments.RequestInput(**values)], clerk=clerk, now=NOW)[0]


def against(request: PaymentRequest) -> list[tuple[str, str]]:
    """Submit; the findings it is refused with, or none."""
    refused = acts.submit(request).refused
    return [(f.code, f.field) for f in refused[request.id].findings] if refused else []


# Projects -----------------------------------------------------------------------------------------------------------


def works_indicator() -> BudgetIndicator:
    """An indicator of 市第一中学 for works, without a procurement tag: 2,000,000.00, all of it planned."""
    unit = world.indicator("I4").unit
    return import_indicator(
        OpeningIndicator(
            indicator_no="I11",
            doc_no="临财建〔2026〕1号",
            unit=unit,
            fund_nature="11",
            function_code="2050204",
            gov_economic_code="50601",
            payment_mode="11",
            payer_account=world.indicator("I4").quota.payer_account,
            total=D("2000000.00"),
            paid=D("0.00"),
            quota_left=D("2000000.00"),
            project_name="教学楼",
        ),
        CONTEXT,
    )


def project_input(**changes: Any) -> ProjectInput:
    """Estimate 1,000,000.00 of two sources, 5 % kept back until the end of 2027."""
    values: dict[str, Any] = {
        "code": "2026-990100-01",
        "name": "市一中教学楼",
        "approval_no": "临发改〔2026〕8号",
        "approved_estimate": D("1000000.00"),
        "sources": (("市本级预算", D("700000.00")), ("上级补助", D("300000.00"))),
        "indicator_nos": ("I11",),
        "retention_ratio": D("0.05"),
        "retention_until": date(2027, 12, 31),
    } | changes
    return ProjectInput(**values)


def project(**changes: Any) -> InvestmentProject:
    """An approved project with its indicator."""
    if not BudgetIndicator.objects.filter(indicator_no="I11").exists():
        works_indicator()
    made = services.save_project(
        unit_code="101002", given=project_input(**changes), clerk=world.officer("u101002-jb"), now=NOW
    )
    return services.decide_project(project_id=made.id, action="approve", officer=world.officer("jkw-sh"), now=NOW)


def works(no: str = "G-1", total: str = "800000.00", *, of: InvestmentProject, **changes: Any) -> Contract:
    """A filed contract for works: 97 % by progress, 3 % on acceptance."""
    values = {
        "project_code": of.code,
        "terms": (
            TermInput("进度款", "progress", ratio=D("0.97")),
            TermInput("结算款", "accepted", ratio=D("0.03")),
        ),
        "allocations": (("I11", D(total)),),
    } | changes
    return filed(no, total, **values)


def certify(contract: Contract, amount: str, *, no: str = "JD-1", who: Any = "u101002-fh", **changes: Any) -> Any:
    values = {"period": "2026-05", "certified_on": world.DAY, "certified_by": "监理 方工"} | changes
    return services.certify_progress(
        contract_id=contract.id,
        certificate_no=no,
        amount=D(amount),
        officer=world.officer(who) if isinstance(who, str) else who,
        now=NOW,
        **values,
    )


def changed(base: ContractInput, **changes: Any) -> ContractInput:
    return replace(base, **changes)
