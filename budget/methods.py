"""支付方式: what each method of payment means, as one table. No other module asks for a method by its code.

A row says who makes and who seals, which account pays, which voucher goes to whom, what limits the amount before it is
paid, and how the bank gets its money back afterwards. Source: docs/methods.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from budget.errors import MethodUnknown, PayerAccountNotAllowed
from budget.models import BudgetYear, PaymentMode, Quota
from parties.duties import Post
from parties.models import BankAccount

Kind = BankAccount.Kind
Mode = BudgetYear.Mode


class Side(StrEnum):
    """Who gives the order: the finance bureau, or the unit itself."""

    FINANCE = "finance"
    UNIT = "unit"


class Receiver(StrEnum):
    """Who carries the order out."""

    AGENT_BANK = "agent_bank"
    PBOC = "pboc"


class Control(StrEnum):
    """What an amount must fit into besides its indicator; the value is what officers call it."""

    PLAN = "计划额度"
    QUOTA = "授权额度"
    INCOME = "已到账收入"
    NONE = ""


PLANNED = frozenset({Control.PLAN, Control.QUOTA})  # what is planned of an indicator beforehand


class Clearing(StrEnum):
    """How the bank that paid is repaid out of the treasury account; the value is what tells PBoC it may."""

    BY_PAYMENT = "5108"
    BY_NOTICE = "5106"
    NONE = ""  # the paying account holds the money itself


@dataclass(frozen=True)
class Office:
    """Who makes a voucher out and who affixes which seal: posts of the finance bureau, or of the unit."""

    side: Side
    maker: Post
    sealer: Post
    name_sealer: Post


FINANCE = Office(Side.FINANCE, Post.VOUCHER_MAKER, Post.SEAL_KEEPER, Post.NAME_SEAL)
UNIT = Office(Side.UNIT, Post.UNIT_CLERK, Post.UNIT_SEALER, Post.UNIT_NAME_SEAL)
TREASURY_MONEY = ("11", "12", "13")  # 一般公共预算, 政府性基金, 国有资本经营: it lies in the treasury account


@dataclass(frozen=True)
class Method:
    """One row. `payers` are the kinds of account that may pay, by fund nature; the longest prefix counts."""

    code: str
    voucher_type: str
    integrated_type: str
    office: Office
    receiver: Receiver
    payers: Mapping[str, frozenset[str]]
    chain: str
    control: Control
    clearing: Clearing
    refund_type: str
    correction_type: str = ""  # what tells PBoC to carry it under other codes; none where PBoC knows no codes of it
    has_cheques: bool = False

    @property
    def label(self) -> str:
        return PaymentMode(self.code).label

    @property
    def is_cleared(self) -> bool:
        """Whether the treasury account repays who paid: for the others 已支付 is the end."""
        return self.clearing is not Clearing.NONE

    def type_in(self, mode: str) -> str:
        """The voucher type in a year of this mode."""
        return self.integrated_type if mode == Mode.INTEGRATED else self.voucher_type

    def payer_kinds(self, fund_nature: str) -> frozenset[str]:
        """The kinds of account that may pay this money this way; none if it may not be paid this way at all."""
        fits = [prefix for prefix in self.payers if fund_nature.startswith(prefix)]
        return self.payers[max(fits, key=len)] if fits else frozenset()


def _from(natures: tuple[str, ...], *kinds: str) -> Mapping[str, frozenset[str]]:
    return MappingProxyType(dict.fromkeys(natures, frozenset(kinds)))


_ROWS = (
    Method(
        code=PaymentMode.DIRECT,
        voucher_type="5201",
        integrated_type="5214",
        office=FINANCE,
        receiver=Receiver.AGENT_BANK,
        payers=_from(TREASURY_MONEY, Kind.FINANCE_ZERO_BALANCE),
        chain="payment_direct",
        control=Control.PLAN,
        clearing=Clearing.BY_PAYMENT,
        refund_type="2203",
        correction_type="5253",
    ),
    Method(
        code=PaymentMode.AUTHORIZED,
        voucher_type="8202",
        integrated_type="5214",
        office=UNIT,
        receiver=Receiver.AGENT_BANK,
        payers=_from(TREASURY_MONEY, Kind.UNIT_ZERO_BALANCE),
        chain="payment_authorized",
        control=Control.QUOTA,
        clearing=Clearing.BY_NOTICE,
        refund_type="2204",
        correction_type="5351",
        has_cheques=True,
    ),
    Method(
        code=PaymentMode.APPROPRIATION,
        voucher_type="5207",
        integrated_type="5207",
        office=FINANCE,
        receiver=Receiver.PBOC,
        payers=_from(TREASURY_MONEY, Kind.TSA),
        chain="payment_appropriation",
        control=Control.PLAN,
        clearing=Clearing.NONE,
        refund_type="3208",
    ),
    Method(
        code=PaymentMode.SPECIAL_ACCOUNT,
        voucher_type="5267",
        integrated_type="5267",
        office=FINANCE,
        receiver=Receiver.AGENT_BANK,
        payers=_from(("14", "2"), Kind.FINANCE_SPECIAL),
        chain="payment_special",
        control=Control.PLAN,
        clearing=Clearing.NONE,
        refund_type="2203",
    ),
    Method(
        code=PaymentMode.UNIT_FUNDS,
        voucher_type="8231",
        integrated_type="8231",
        office=UNIT,
        receiver=Receiver.AGENT_BANK,
        payers=_from(("3",), Kind.UNIT_BASIC, Kind.UNIT_SPECIAL),
        chain="payment_unit_funds",
        control=Control.INCOME,
        clearing=Clearing.NONE,
        refund_type="2204",
    ),
)
METHODS: Mapping[str, Method] = MappingProxyType({row.code: row for row in _ROWS})
BY_TYPE: Mapping[str, tuple[Method, ...]] = MappingProxyType(
    {
        kind: tuple(row for row in _ROWS if kind in (row.voucher_type, row.integrated_type))
        for kind in sorted({kind for row in _ROWS for kind in (row.voucher_type, row.integrated_type)})
    }
)  # 5214 is the type of two methods


def method_of(code: str) -> Method:
    """Return the row of a payment method.

    :raises MethodUnknown: if there is none.
    """
    if code not in METHODS:
        raise MethodUnknown("没有这种支付方式。", field="payment_mode", given=code[:10])
    return METHODS[code]


def types_of(office: Office) -> list[str]:
    """Return the voucher types this office issues, in either mode."""
    return sorted({kind for kind, rows in BY_TYPE.items() if any(row.office is office for row in rows)})


def made_by(*posts: str) -> list[str]:
    """Return the codes of the methods whose vouchers are made out or sealed by one of these posts."""
    return [
        row.code
        for row in _ROWS
        if not {row.office.maker, row.office.sealer, row.office.name_sealer}.isdisjoint(Post(post) for post in posts)
    ]


def controlled_by(control: Control) -> list[str]:
    """Return the codes of the methods that this limits in the classic mode."""
    return [row.code for row in _ROWS if row.control is control]


def control_in(year: BudgetYear, code: str, fund_nature: str) -> Control:
    """Return what limits this money in this year: in the integrated mode nothing but the indicator, and the plan of
    those fund natures for which the region keeps plans."""
    control = method_of(code).control
    if year.mode == Mode.CLASSIC or control is Control.INCOME:
        return control
    return Control.PLAN if fund_nature in year.planned_funds else Control.NONE


def quota_control(year: BudgetYear, code: str, fund_nature: str) -> str:
    """Return how the quota row of an indicator is held: to what was granted, or by its indicator alone."""
    limited = control_in(year, code, fund_nature) is not Control.NONE
    return Quota.Control.LIMIT if limited else Quota.Control.NONE


def year_of(adm_div_code: str, fiscal_year: int) -> BudgetYear:
    """Return how a region runs a year; the classic mode where nothing is said (one query)."""
    row = BudgetYear.objects.filter(adm_div_code=adm_div_code, fiscal_year=fiscal_year).first()
    return row or BudgetYear(adm_div_code=adm_div_code, fiscal_year=fiscal_year)


def check_payer(code: str, fund_nature: str, account: BankAccount) -> None:
    """Check that this money may leave this account by this method (F1).

    :raises PayerAccountNotAllowed: if the account is closed, or of a kind or for money that does not fit.
    """
    method = method_of(code)
    kinds = method.payer_kinds(fund_nature)
    said = f"资金性质 {fund_nature} 的{method.label}"
    if not kinds:
        raise PayerAccountNotAllowed(f"资金性质 {fund_nature} 不能用{method.label}。", field="payment_mode", given=code)
    if account.kind not in kinds:
        wanted = "或".join(sorted(Kind(kind).label for kind in kinds))
        raise PayerAccountNotAllowed(
            f"{said}须由{wanted}付款，{account.account_no} 是{Kind(account.kind).label}。",
            field="payer_account",
            account_no=account.account_no,
        )
    if account.fund_natures and not any(fund_nature.startswith(nature) for nature in account.fund_natures):
        raise PayerAccountNotAllowed(
            f"账户 {account.account_no} 未备案用于资金性质 {fund_nature}。",
            field="payer_account",
            account_no=account.account_no,
        )
    if not account.active:
        raise PayerAccountNotAllowed(
            f"账户 {account.account_no} 已停用，不能付款。", field="payer_account", account_no=account.account_no
        )
