"""临江市 (fictional): the region, its people and its books as they stand on the morning of the worked day.

Used by the demo and as the tests' world. Every figure is from docs/worked-day.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction

from budget.code_import import load_codes
from budget.entries import Context
from budget.models import BudgetIndicator, BudgetYear
from budget.services import OpeningIndicator, import_clearing_limit, import_indicator
from budget.terms import BudgetClass, DirectFund, Sanbao
from cards.models import CardTransaction
from contracts.services import AccountInput, ContractInput, TermInput, import_contract
from core.actors import Actor, system_actor
from core.calendar import start_day
from core.digests import sm3_hex
from core.models import BusinessDay, NumberRule, Workday
from demo.cast import (
    BANK_A,
    BANK_B,
    BUREAUS_OWN,
    DAY,
    FINANCE,
    ORGANISATIONS,
    PASSWORD,
    PBOC,
    REGION,
    UNITS,
    YEAR,
    officers,
)
from demo.keys import make_keys, seals_in
from monitoring.services import seed_rules
from parties.models import AgentBank, BankAccount, BudgetUnit, Person, Region, ReviewChain, ReviewNode, User
from parties.services import grant_post
from parties.states import ChainState
from payments.models import CashPurpose, PaymentDetail, PaymentRequest, WithholdingPayee
from payroll.models import WithholdingRoute
from seals.certificates import parse_certificate
from seals.models import OfficerCertificate, SealPosition, TrustedAuthority
from seals.pki import revocation_lists
from seals.services import import_demo_pki, import_revocation_list, register_seal
from vouchers.models import ExchangePartner

__all__ = [
    "BANK_A",
    "BANK_B",
    "DAY",
    "FINANCE",
    "ORGANISATIONS",
    "PASSWORD",
    "PBOC",
    "REGION",
    "UNITS",
    "YEAR",
    "build_world",
    "make_keys",
]

NUMBER_RULES = {
    "5201": "ZF{seq:04d}",
    "8202": "SZ{seq:04d}",
    "5105": "SQ{seq:04d}",
    "5106": "QS{seq:04d}",
    "5108": "ZQ{seq:04d}",
    "5207": "SB{seq:04d}",
    "5214": "GK{seq:04d}",
    "5267": "ZH{seq:04d}",
    "8231": "DW{seq:04d}",
}
NUMBER_RULES |= {"request": "SQD{year}{seq:06d}", "plan": "JH{year}{seq:06d}", "income": "SR{year}{seq:06d}"}
NUMBER_RULES |= {"salary": "GZ{year}{seq:05d}", "benefit": "BT{year}{seq:05d}"}
NUMBER_RULES |= {"5253": "TZ{seq:04d}", "5351": "TS{seq:04d}", "8252": "TK{seq:04d}"}
NUMBER_RULES |= {"correction": "GZD{year}{seq:06d}", "recall": "CH{year}{seq:06d}", "indicator": "ZB{year}{seq:06d}"}
WITHHOLDING_ROUTES = {  # what is withheld from pay → the account that receives it
    **dict.fromkeys(("pension", "annuity", "unemployment"), "6230000000020001"),
    "medical": "6230000000020002",
    "housing": "6230000000020003",
    "tax": "6230000000020004",
}
CHAINS = {
    "payment_authorized": [("unit_reviewer", "0.00"), ("unit_leader", "50000.00")],
    "payment_direct": [
        *[(post, "0.00") for post in ("unit_reviewer", "section_reviewer", "payment_reviewer")],
        ("treasury_chief", "500000.00"),
    ],
    "payment_appropriation": [(post, "0.00") for post in ("section_reviewer", "payment_reviewer", "treasury_chief")],
    "payment_special": [(post, "0.00") for post in ("unit_reviewer", "section_reviewer", "payment_reviewer")],
    "payment_unit_funds": [(post, "0.00") for post in ("unit_reviewer", "section_reviewer", "payment_reviewer")],
    "plan": [(post, "0.00") for post in ("unit_reviewer", "section_reviewer", "plan_reviewer")],
    "plan_lapse": [("plan_reviewer", "0.00")],
    "correction": [(post, "0.00") for post in ("unit_reviewer", "section_reviewer", "payment_reviewer")],
}


@dataclass(frozen=True)
class IndicatorRow:
    """An indicator on the morning of the day, with what may still be paid from it (quota or June plan)."""

    no: str
    unit: str
    function: str
    gov_economic: str
    mode: str
    account: str
    total: str
    paid: str
    left: str
    tags: tuple[str, ...]
    project: str
    fund: str = "11"


ACCOUNT_TREASURY = "990100271000000001"
ACCOUNT_SPECIAL_A = "6210001000000081"
ACCOUNT_FINANCE_A = "6210001000000001"
ACCOUNTS = {"101001": "6210001010010001", "101002": "6220001010020001", "205001": "6220002050010001"}
BASIC_ACCOUNT_101002 = "6220001010020002"
# fmt: off
INDICATORS = [  # one a line, as in the table of docs/worked-day.md
    IndicatorRow("I1", "101001", "2050101", "50201", "12", ACCOUNTS["101001"], "600000.00", "210000.00", "80000.00", ("运转", "保运行"), "机关运转"),  # noqa: E501
    IndicatorRow("I2", "101002", "2050204", "50501", "11", ACCOUNT_FINANCE_A, "4800000.00", "2000000.00", "400000.00", ("保工资",), "教职工工资"),  # noqa: E501
    IndicatorRow("I3", "101002", "2050204", "50502", "12", ACCOUNTS["101002"], "900000.00", "350000.00", "60000.00", ("保运行",), "学校运转"),  # noqa: E501
    IndicatorRow("I4", "101002", "2050204", "50601", "11", ACCOUNT_FINANCE_A, "1200000.00", "0.00", "300000.00", ("01中央直达资金", "政府采购"), "实验室设备"),  # noqa: E501
    IndicatorRow("I5", "205001", "2040220", "50299", "12", ACCOUNTS["205001"], "800000.00", "300000.00", "30000.00", (), "执法办案"),  # noqa: E501
    IndicatorRow("I6", "205001", "2040219", "50306", "11", ACCOUNT_FINANCE_A, "3000000.00", "1000000.00", "600000.00", ("政府采购",), "信息化设备"),  # noqa: E501
    IndicatorRow("I7", "101002", "2050204", "50502", "81", ACCOUNT_SPECIAL_A, "500000.00", "100000.00", "50000.00", ("教育收费",), "实验耗材", "2"),  # noqa: E501
    IndicatorRow("I8", "101002", "2050204", "50502", "31", BASIC_ACCOUNT_101002, "200000.00", "50000.00", "66666.66", ("单位资金",), "学校其他支出", "3"),  # noqa: E501
    IndicatorRow("I9", BUREAUS_OWN, "2101202", "51002", "91", ACCOUNT_TREASURY, "6000000.00", "2500000.00", "500000.00", ("财政代列", "保民生"), "城乡居民医保基金补助", "11"),  # noqa: E501
]
# fmt: on
CLEARING_LIMITS = [(BANK_A, "12", "80000.00"), (BANK_B, "12", "90000.00"), (BANK_A, "11", "0.00")]
HISTORIC_VOUCHER = "SZ20260612001"
CONTRACTS = {  # unit → the contract on which P2 and P9 are paid
    "101002": ContractInput(
        contract_no="C-2026-017",
        title="实验室设备采购合同",
        plan_no="CG-2026-0117",
        procurement_id="LJZC-2026-0117-01",
        supplier_name="临江市科教仪器有限公司",
        supplier_credit_code="91990100MA0KJYQ017",
        accounts=(AccountInput("6230000000000301", "丙银行临江支行"),),
        total=Decimal("800000.00"),
        signed_on=date(2026, 6, 8),
        terms=(
            TermInput("首付款", "signed", ratio=Decimal("0.3")),
            TermInput("验收款", "accepted", ratio=Decimal("0.7")),
        ),
        allocations=(("I4", Decimal("800000.00")),),
    ),
    "205001": ContractInput(
        contract_no="C-2026-009",
        title="信息化设备采购合同",
        plan_no="CG-2026-0058",
        procurement_id="LJZC-2026-0058-01",
        supplier_name="临江市信安科技有限公司",
        supplier_credit_code="91990100MA0XAKJ009",
        accounts=(AccountInput("6230000000000501", "丙银行临江支行"),),
        total=Decimal("2000000.00"),
        signed_on=date(2026, 2, 12),
        terms=(
            TermInput("首付款", "signed", ratio=Decimal("0.3")),
            TermInput("到货款", "delivered", ratio=Decimal("0.45")),
            TermInput("验收款", "accepted", ratio=Decimal("0.25")),
        ),
        allocations=(("I6", Decimal("2000000.00")),),
    ),
}
PAID_BEFORE = {"205001": {"I6": Decimal("1000000.00")}}  # on the contract, within I6's opening paid amount
DELIVERED_BEFORE = {"205001": ("YS-2026-009-1", Decimal("1500000.00"), date(2026, 6, 10))}


@transaction.atomic
def build_world(
    *,
    endpoints: dict[str, str],
    exchange: dict[str, str] | None = None,
    sealed: bool = False,
    mode: str = "classic",
    now: datetime,
) -> None:
    """Create region, parties, people, chains, rules, codes and the opening books; nothing if the region is there.

    :param endpoints: organisation → base URL for BANK-A, BANK-B and PBOC-990100.
    :param exchange: organisation → push or pull; push if not named.
    :param mode: of the budget year: classic (计划+额度) or integrated (预算管理一体化).
    :param sealed: with seals at their positions on every voucher, and UKey signatures for every decision.
    """
    if Region.objects.filter(adm_div_code=REGION).exists():
        set_endpoints(endpoints)
        return
    _region_and_parties(endpoints, exchange or {})
    _people(now)
    _configuration(mode, now)
    _registers(now)
    if sealed:
        _seal_positions()
        Region.objects.filter(adm_div_code=REGION).update(ukey_required=True)
    _calendar()
    clerk = system_actor("期初导入")
    day = BusinessDay.objects.filter(adm_div_code=REGION, date=DAY).first() or start_day(
        adm_div_code=REGION, day=DAY, cut_off="16:00", by=clerk, now=now
    )
    _books(Context(REGION, YEAR, day.date, clerk.name, now), now)


def set_endpoints(endpoints: dict[str, str]) -> None:
    """Point the partners at where they listen now: ports differ from run to run."""
    for organisation, url in endpoints.items():
        ExchangePartner.objects.filter(pk=organisation).update(endpoint_url=url)


def register_keys(directory: Path) -> None:
    """Register every certificate of the demo PKI."""
    import_demo_pki(directory)


def import_lists(directory: Path, now: datetime) -> None:
    """Take in the authorities' revocation lists, and ask for a current one from each from now on."""
    for crl in revocation_lists(directory):
        import_revocation_list(data=crl.der, now=now)
    TrustedAuthority.objects.update(needs_list=True)


def register_seals(directory: Path, now: datetime) -> None:
    """File every seal of the demonstration, ours and the partners'; after the people are there."""
    people = {user.username: user.person for user in User.objects.filter(adm_div_code=REGION).select_related("person")}
    for spec, data, svg in seals_in(directory):
        register_seal(
            der=data,
            organisation_code=spec.organisation,
            kind=spec.kind,
            svg=svg,
            person=people[spec.person] if spec.person else None,
            now=now,
        )


def enrol_officers(certificates: Mapping[str, str], now: datetime) -> None:
    """Register the certificates on the officers' UKeys (log-in → PEM), as if a second person had approved each."""
    people = {user.username: user.person_id for user in User.objects.filter(username__in=certificates)}
    known = set(OfficerCertificate.objects.values_list("certificate_sm3", flat=True))
    for username, pem in certificates.items():
        parsed = parse_certificate(pem)
        if sm3_hex(parsed.der) in known:
            continue
        OfficerCertificate.objects.create(
            person_id=people[username],
            adm_div_code=REGION,
            suite_id=parsed.suite_id,
            spki_sm3=sm3_hex(parsed.spki),
            pem=pem,
            serial_hex=parsed.serial_hex,
            certificate_sm3=sm3_hex(parsed.der),
            valid_from=parsed.valid_from,
            valid_to=parsed.valid_to,
            status=OfficerCertificate.Status.ACTIVE,
            requested_by="期初导入",
            requested_at=now,
        )


def officer(username: str) -> Actor:
    """Return a demo officer as an actor, for tests and scripts that call services."""
    from parties.selectors import actor_of

    return actor_of(User.objects.select_related("person").get(username=username), on=DAY)


def indicator(no: str) -> BudgetIndicator:
    return BudgetIndicator.objects.select_related("quota", "unit").get(adm_div_code=REGION, indicator_no=no)


def indicator_ids() -> dict[str, UUID]:
    return dict(BudgetIndicator.objects.filter(adm_div_code=REGION).values_list("indicator_no", "id"))


def _region_and_parties(endpoints: dict[str, str], exchange: dict[str, str]) -> None:
    Region.objects.create(
        adm_div_code=REGION,
        name="临江市",
        fin_org_code="990100000000",
        tre_code="9901000000",
        treasury_name="国家金库临江市支库",
        finance_organisation=FINANCE,
        pboc_organisation=PBOC,
    )
    banks = {
        BANK_A: AgentBank(code="102", name="甲银行", bank_no="102990100019", clearing_account_no="6210009990000001"),
        BANK_B: AgentBank(code="103", name="乙银行", bank_no="103990100027", clearing_account_no="6220009990000001"),
    }
    for organisation, bank in banks.items():
        bank.adm_div_code, bank.organisation = REGION, organisation
        bank.save()
    units = {}
    for code, name, nature, section, department in (
        ("101001", "市教育局", "行政", "教科文科", "101"),
        ("101002", "市第一中学", "事业", "教科文科", "101"),
        ("205001", "市公安局", "行政", "行政政法科", "205"),
        (BUREAUS_OWN, "财政代列", "其他", "社会保障科", "900"),
    ):
        units[code] = BudgetUnit.objects.create(
            adm_div_code=REGION,
            code=code,
            name=name,
            nature=nature,
            section=section,
            department_code=department,
            department_name={"101": "市教育局", "205": "市公安局", "900": "市财政局"}[department],
            organisation=UNITS.get(code, FINANCE),
        )
    kinds = BankAccount.Kind
    for account_no, name, bank_code, kind, unit_code, fund in (
        (ACCOUNT_TREASURY, "临江市财政局国库存款", None, kinds.TSA, None, "11"),
        (ACCOUNT_FINANCE_A, "临江市财政局财政零余额账户", BANK_A, kinds.FINANCE_ZERO_BALANCE, None, "11"),
        (ACCOUNTS["101001"], "市教育局零余额账户", BANK_A, kinds.UNIT_ZERO_BALANCE, "101001", "11"),
        (ACCOUNTS["101002"], "市第一中学零余额账户", BANK_B, kinds.UNIT_ZERO_BALANCE, "101002", "11"),
        (ACCOUNTS["205001"], "市公安局零余额账户", BANK_B, kinds.UNIT_ZERO_BALANCE, "205001", "11"),
        (BASIC_ACCOUNT_101002, "市第一中学基本户", BANK_B, kinds.UNIT_BASIC, "101002", "3"),
        (ACCOUNT_SPECIAL_A, "临江市财政局财政专户（教育收费）", BANK_A, kinds.FINANCE_SPECIAL, None, "2"),
    ):
        BankAccount.objects.create(
            adm_div_code=REGION,
            account_no=account_no,
            name=name,
            bank_name=banks[bank_code].name + "临江支行" if bank_code else "国家金库临江市支库",
            kind=kind,
            agent_bank=banks[bank_code] if bank_code else None,
            unit=units[unit_code] if unit_code else None,
            fund_natures=[fund],
        )
    for organisation, kind in ((BANK_A, "agent_bank"), (BANK_B, "agent_bank"), (PBOC, "pboc")):
        ExchangePartner.objects.create(
            organisation=organisation,
            name=ORGANISATIONS[organisation],
            kind=kind,
            adm_div_code=REGION,
            endpoint_url=endpoints.get(organisation, ""),
            exchange_mode=exchange.get(organisation, "push"),
        )


def _people(now: datetime) -> None:
    password = make_password(PASSWORD)
    admin = Person.objects.create(name="管理员", staff_no="LJ-000")
    User.objects.create(
        username="admin", password=password, person=admin, adm_div_code=REGION, is_staff=True, is_superuser=True
    )
    granter = system_actor("期初导入")
    for someone in officers():
        person = Person.objects.create(name=someone.name, staff_no=someone.staff_no)
        user = User.objects.create(username=someone.username, password=password, person=person, adm_div_code=REGION)
        grant_post(
            user=user,
            post=someone.post,
            unit_code=someone.unit,
            section=someone.section,
            valid_from=date(YEAR, 1, 1),
            granted_by=granter,
        )


def _configuration(mode: str, now: datetime) -> None:
    for kind, pattern in NUMBER_RULES.items():
        NumberRule.objects.create(adm_div_code=REGION, kind=kind, pattern=pattern)
    for kind, nodes in CHAINS.items():
        chain = ReviewChain.objects.create(adm_div_code=REGION, document_kind=kind, imported=True)
        for ordinal, (post, amount_from) in enumerate(nodes, start=1):
            ReviewNode.objects.create(chain=chain, ordinal=ordinal, post=post, amount_from=Decimal(amount_from))
        chain.state, chain.activated_at = ChainState.ACTIVE, now
        chain.save(update_fields=["state", "activated_at"])
    BudgetYear.objects.create(adm_div_code=REGION, fiscal_year=YEAR, mode=mode)
    seed_rules(adm_div_code=REGION)
    load_codes(fiscal_year=YEAR)


def _registers(now: datetime) -> None:
    """What the kinds of payment rest on: purposes of cash, withholding payees, purchases with official cards."""
    CashPurpose.objects.bulk_create(
        CashPurpose(adm_div_code=REGION, code=code, name=name, cap=Decimal(cap) if cap else None)
        for code, name, cap in (
            ("01", "个人劳务报酬", None),
            ("02", "差旅费备用金", "10000.00"),
            ("03", "结算起点以下零星支出", "5000.00"),
            ("04", "向个人收购农副产品", None),
        )
    )
    payees = {
        row.account_no: row
        for row in WithholdingPayee.objects.bulk_create(
            WithholdingPayee(
                adm_div_code=REGION, kind=kind, name=name, account_no=account_no, bank_name="丙银行临江支行"
            )
            for kind, name, account_no in (
                ("social", "市社会保险事业中心", "6230000000020001"),
                ("social", "市医疗保障事业中心", "6230000000020002"),
                ("housing", "市住房公积金管理中心", "6230000000020003"),
                ("tax", "国家税务总局临江市税务局", "6230000000020004"),
                ("utility", "临江市供电公司", "6230000000020005"),
            )
        )
    }
    WithholdingRoute.objects.bulk_create(
        WithholdingRoute(adm_div_code=REGION, withholding=withholding, payee=payees[account_no])
        for withholding, account_no in WITHHOLDING_ROUTES.items()
    )
    unit = BudgetUnit.objects.get(adm_div_code=REGION, code="101001")
    CardTransaction.objects.bulk_create(
        CardTransaction(
            adm_div_code=REGION,
            fiscal_year=YEAR,
            unit=unit,
            transaction_no=number,
            card_no="6230000000090001",
            holder_name="马小明",
            bank_name="丙银行临江支行",
            merchant=merchant,
            consumed_on=consumed_on,
            due_on=date(YEAR, 7, 5),
            amount=Decimal(amount),
            reported_by="期初导入",
            at=now,
        )
        for number, merchant, consumed_on, amount in (
            ("GWK20260610000001", "中国铁路客票", date(YEAR, 6, 10), "1280.00"),
            ("GWK20260611000002", "临江宾馆", date(YEAR, 6, 11), "860.50"),
        )
    )


def _seal_positions() -> None:
    """What goes on each type, in which order and by whom. Source: messages.md §2.3, Appendix A of the business text."""
    finance = [
        ("cz_sz", "国库负责人名章", "personal", 1, "name_seal"),
        ("cz_qm", "财政签名", "signature", 2, "seal_keeper"),
        ("cz_dwgz", "国库业务专用章", "finance", 2, "seal_keeper"),
    ]
    unit = [
        ("dw_sz", "单位负责人名章", "personal", 1, "unit_name_seal"),
        ("dw_qm", "单位签名", "signature", 2, "unit_sealer"),
        ("dw_gz", "单位公章", "official", 2, "unit_sealer"),
    ]
    derived = [(code, name, kind, 1, post) for code, name, kind, ordinal, post in finance if ordinal == 2]
    bank = [("yh_qm", "代理银行签名", "signature", 1, ""), ("yh_ywzqz", "代理银行转讫章", "transfer", 1, "")]
    plan = {(kind, 0): finance for kind in ("5105", "5106", "5201", "5207", "5253", "5267", "5351")}
    plan |= {("5108", 0): derived, ("5214", 0): [*finance, *unit], ("8202", 0): unit, ("8231", 0): unit}
    plan |= {("8252", 0): derived}
    plan |= {(kind, 1): bank for kind in ("5201", "5214", "5267", "8202", "8231")}
    plan |= {(kind, 0): bank for kind in ("2104", "2203", "2204", "2205", "2206", "2301", "2302")}
    by_pboc = [(kind, 1) for kind in ("2301", "2302", "5106", "5108", "5207", "5253", "5351")]
    for kind, flag in by_pboc + [(kind, 0) for kind in ("3208", "3507", "3508", "3510")]:
        plan[kind, flag] = [
            (f"rh_{kind}_qm", "人民银行签名", "signature", 1, ""),
            ("rh_ywzqz", "人民银行转讫章", "transfer", 1, ""),
        ]
    SealPosition.objects.bulk_create(
        [
            SealPosition(
                adm_div_code=REGION,
                fiscal_year=YEAR,
                voucher_type=kind,
                flag=flag,
                position=position,
                name=name,
                kind=what,
                ordinal=ordinal,
                post=post,
            )
            for (kind, flag), rows in plan.items()
            for position, name, what, ordinal, post in rows
        ]
    )


def _calendar() -> None:
    """Enter the year's working days, with holidays and make-up days, from the published arrangement."""
    import chinese_calendar

    days = chinese_calendar.get_dates(date(YEAR, 1, 1), date(YEAR, 12, 31))
    Workday.objects.bulk_create(
        [Workday(date=day, worked=chinese_calendar.is_workday(day)) for day in days], ignore_conflicts=True
    )


def _books(context: Context, now: datetime) -> None:
    units = {unit.code: unit for unit in BudgetUnit.objects.filter(adm_div_code=REGION)}
    accounts = {account.account_no: account for account in BankAccount.objects.filter(adm_div_code=REGION)}
    for row in INDICATORS:
        import_indicator(
            OpeningIndicator(
                indicator_no=row.no,
                doc_no=f"临财预〔2026〕{row.no[1:]}号",
                unit=units[row.unit],
                fund_nature=row.fund,
                function_code=row.function,
                gov_economic_code=row.gov_economic,
                payment_mode=row.mode,
                payer_account=accounts[row.account],
                total=Decimal(row.total),
                paid=Decimal(row.paid),
                quota_left=Decimal(row.left),
                tags=row.tags,
                project_name=row.project,
                **_terms(row.tags),
            ),
            context,
        )
    banks = {bank.organisation: bank for bank in AgentBank.objects.filter(adm_div_code=REGION)}
    limited = BudgetYear.objects.get(adm_div_code=REGION, fiscal_year=YEAR).limits_clearing
    for organisation, mode, left in CLEARING_LIMITS if limited else []:
        import_clearing_limit(
            agent_bank=banks[organisation], payment_mode=mode, fund_nature="11", left=Decimal(left), context=context
        )
    for code, contract in CONTRACTS.items():
        import_contract(
            contract,
            unit=units[code],
            context=context,
            opening_paid=PAID_BEFORE.get(code),
            acceptance=DELIVERED_BEFORE.get(code),
        )
    _historic_payment(context, now)


def _terms(tags: tuple[str, ...]) -> dict[str, Any]:
    """What the tags of the table say to the rules of transfers and carry-overs."""
    terms: dict[str, Any] = {"procurement": "政府采购" in tags}
    terms |= {"sanbao": Sanbao.WAGES, "budget_class": BudgetClass.PERSONNEL} if "保工资" in tags else {}
    terms |= {"sanbao": Sanbao.RUNNING, "budget_class": BudgetClass.RUNNING_PUBLIC} if "保运行" in tags else {}
    return terms | ({"direct_fund": DirectFund.CENTRAL} if "01中央直达资金" in tags else {})


def _historic_payment(context: Context, now: datetime) -> None:
    """The payment of 2026-06-12 that comes back as R0; it is inside I5's opening paid amount."""
    target = indicator("I5")
    request = PaymentRequest.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        request_no="QC2026000001",
        unit=target.unit,
        indicator=target,
        quota=target.quota,
        payer_account=target.quota.payer_account,
        payment_mode="12",
        business_type="1",
        settlement="2",
        dept_economic_code="30299",
        purpose="法医鉴定费",
        amount=Decimal("3000.00"),
        amount_paid=Decimal("3000.00"),
        state="cleared",
        created_at=now,
        voucher_type="8202",
        voucher_no=HISTORIC_VOUCHER,
        imported=True,
    )
    PaymentDetail.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        request=request,
        seq=1,
        payee_name="临江市法医鉴定中心",
        payee_account_no="6230000000000612",
        payee_bank_name="丙银行临江支行",
        amount=Decimal("3000.00"),
        state="paid",
    )
