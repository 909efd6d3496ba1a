"""A day's books built row by row, so that each test says exactly what both sides have."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count

import pgtrigger

from budget.models import BudgetIndicator, ClearingLimit, Quota
from core.actors import Actor
from core.models import BusinessDay
from core.money import yuan
from parties.models import AgentBank, BankAccount, BudgetUnit, Region
from payments.models import (
    Clearing,
    ClearingLine,
    PaymentDetail,
    PaymentReceipt,
    PaymentRequest,
    ReceiptLine,
    Refund,
)
from reconciliation import handlers
from vouchers.messages import VoucherContent
from vouchers.models import ExchangePartner, InboxMessage, Voucher
from vouchers.routing import InboundVoucher, Verdict

REGION, YEAR = "990100000", 2026
DAY, FRIDAY = date(2026, 6, 15), date(2026, 6, 12)
NOW = datetime(2026, 6, 15, 9, 0, tzinfo=UTC)
RECONCILER = Actor(name="对账员", roles=frozenset({"reconciler"}), adm_div_code=REGION)
BANK_A, BANK_B = "102990100019", "103990100027"
_serial = count(1)


@dataclass
class World:
    """A region with two banks, one unit with a zero-balance account at each, and an open day."""

    banks: dict[str, AgentBank] = field(default_factory=dict)
    accounts: dict[str, BankAccount] = field(default_factory=dict)
    unit: BudgetUnit | None = None
    indicator: BudgetIndicator | None = None
    quota: Quota | None = None


def make_world() -> World:
    world = World()
    Region.objects.create(
        adm_div_code=REGION,
        name="临江市",
        fin_org_code="990100000000",
        tre_code="9901000000",
        treasury_name="临江市支库",
        finance_organisation="FIN-990100000",
        pboc_organisation="PBOC-990100",
    )
    world.unit = BudgetUnit.objects.create(
        adm_div_code=REGION,
        code="205001",
        name="市公安局",
        nature="行政",
        department_code="205",
        department_name="市公安局",
        section="行政政法科",
        organisation="UNIT-205001",
    )
    for letter, name, bank_no, code in (("A", "甲银行", BANK_A, "102"), ("B", "乙银行", BANK_B, "103")):
        bank = AgentBank.objects.create(
            adm_div_code=REGION,
            code=code,
            name=name,
            bank_no=bank_no,
            organisation=f"BANK-{letter}",
            clearing_account_no=f"62{letter}",
        )
        world.banks[letter] = bank
        world.accounts[letter] = BankAccount.objects.create(
            adm_div_code=REGION,
            account_no=f"ZBA-{letter}",
            name=f"零余额{letter}",
            bank_name=name,
            kind="unit_zero_balance",
            agent_bank=bank,
            unit=world.unit,
        )
        ExchangePartner.objects.create(organisation=f"BANK-{letter}", name=name, kind="agent_bank", adm_div_code=REGION)
    ExchangePartner.objects.create(organisation="PBOC-990100", name="临江市支库", kind="pboc", adm_div_code=REGION)
    world.indicator = BudgetIndicator.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        indicator_no="I5",
        doc_no="",
        unit=world.unit,
        fund_nature="11",
        function_code="2040220",
        gov_economic_code="50299",
        payment_mode="12",
        amount_total=yuan("800000.00"),
    )
    world.quota = Quota.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        indicator=world.indicator,
        unit=world.unit,
        payment_mode="12",
        payer_account=world.accounts["B"],
        amount_granted=yuan("800000.00"),
    )
    for day, closed in ((FRIDAY, True), (DAY, False)):
        BusinessDay.objects.create(
            adm_div_code=REGION, date=day, fiscal_year=YEAR, cut_off="16:00", closed_at=NOW if closed else None
        )
    return world


def make_message(sender: str, voucher_type: str, state: str = "applied") -> InboxMessage:
    number = next(_serial)
    return InboxMessage.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        sender=sender,
        voucher_type=voucher_type,
        voucher_no=f"M{number}",
        flag=0,
        text=b"x",
        digest=f"{number:064x}",
        state=state,
        received_at=NOW,
    )


def make_payment(
    world: World,
    letter: str,
    number: str,
    amounts: list[str],
    *,
    mode: str = "12",
    state: str = "sealed",
    **extra: object,
) -> PaymentRequest:
    """A request of `amounts` with its payment voucher, at the bank; nothing answered yet."""
    kind = "5201" if mode == "11" else "8202"
    voucher = Voucher.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        voucher_type=kind,
        voucher_no=number,
        voucher_date=DAY,
        sender="FIN-990100000",
        receiver=f"BANK-{letter}",
        amount=sum(map(yuan, amounts)),
        text=b"x",
        digest=f"{next(_serial):064x}",
        created_at=NOW,
    )
    request = PaymentRequest.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        request_no=f"SQ-{number}",
        unit=world.unit,
        indicator=world.indicator,
        quota=world.quota,
        payer_account=world.accounts[letter],
        payment_mode=mode,
        business_type="1",
        settlement="2",
        dept_economic_code="30299",
        purpose="办案",
        amount=sum(map(yuan, amounts)),
        created_at=NOW,
        voucher=voucher,
        voucher_type=kind,
        voucher_no=number,
        **extra,
    )
    PaymentDetail.objects.bulk_create(
        PaymentDetail(
            adm_div_code=REGION,
            fiscal_year=YEAR,
            request=request,
            seq=seq,
            payee_name="收款人",
            payee_account_no=f"623{seq}",
            payee_bank_name="丙银行",
            amount=yuan(amount),
        )
        for seq, amount in enumerate(amounts, start=1)
    )
    set_state(request, state)
    return request


def set_state(request: PaymentRequest, state: str) -> None:
    with pgtrigger.ignore("payments.PaymentRequest:request_moves"):
        PaymentRequest.objects.filter(pk=request.pk).update(state=state)


def receive(request: PaymentRequest, *, on: date = DAY, failed: tuple[int, ...] = ()) -> None:
    """The bank's receipt: every detail paid but the failed ones."""
    details = list(request.details.all())
    paid = sum((d.amount for d in details if d.seq not in failed), Decimal(0))
    receipt = PaymentReceipt.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        request=request,
        voucher=request.voucher,
        message=make_message(request.payer_account.agent_bank.organisation, request.voucher_type),
        amount_paid=paid,
        paid_on=on,
        bank_serial="L1",
        business_date=on,
        at=NOW,
    )
    ReceiptLine.objects.bulk_create(
        ReceiptLine(
            adm_div_code=REGION,
            fiscal_year=YEAR,
            receipt=receipt,
            detail=d,
            amount_paid=Decimal(0) if d.seq in failed else d.amount,
            paid_on=on,
        )
        for d in details
    )
    PaymentDetail.objects.filter(request=request, seq__in=failed).update(state="failed")
    PaymentDetail.objects.filter(request=request).exclude(seq__in=failed).update(state="paid")
    set_state(request, "paid")


def refund(detail: PaymentDetail, amount: str, *, on: date = DAY) -> Refund:
    bank = detail.request.payer_account.agent_bank.organisation
    return Refund.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        detail=detail,
        message=make_message(bank, "2204"),
        notice_type="2204",
        notice_no=f"TK{next(_serial)}",
        amount=yuan(amount),
        refunded_on=on,
        business_date=on,
        at=NOW,
    )


def clear(
    world: World, letter: str, number: str, items: list[PaymentDetail | Refund], *, mode: str = "12", on: date = DAY
) -> Clearing:
    """PBoC has executed a 2301 over these details, or a 2302 over these refunds."""
    is_refund = isinstance(items[0], Refund)
    clearing = Clearing.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        voucher_type="2302" if is_refund else "2301",
        voucher_no=number,
        agent_bank=world.banks[letter],
        payment_mode=mode,
        fund_nature="11",
        amount=sum(i.amount for i in items),
        cleared_on=on,
        message=make_message("PBOC-990100", "2302" if is_refund else "2301"),
        business_date=on,
        at=NOW,
    )
    ClearingLine.objects.bulk_create(
        ClearingLine(
            adm_div_code=REGION,
            fiscal_year=YEAR,
            clearing=clearing,
            detail=item.detail if is_refund else item,
            refund=item if is_refund else None,
            line_id=str(line),
            amount=item.amount,
        )
        for line, item in enumerate(items, start=1)
    )
    return clearing


def limit(world: World, letter: str, *, issued: str, cleared: str, refunded: str = "0.00", mode: str = "12") -> None:
    ClearingLimit.objects.create(
        adm_div_code=REGION,
        fiscal_year=YEAR,
        agent_bank=world.banks[letter],
        payment_mode=mode,
        fund_nature="11",
        amount_issued=yuan(issued),
        amount_cleared=yuan(cleared),
        amount_refunded=yuan(refunded),
    )


# What partners say ---------------------------------------------------------------------------------------------------


def bank_line(number: str, detail: int, amount: str, *, payee: str | None = None, on: date = DAY) -> dict[str, str]:
    return {
        "VoucherNo": number,
        "VoucherBillId": str(detail),
        "PayAmt": amount,
        "PayDate": f"{on:%Y%m%d}",
        "AgencyCode": "205001",
        "PayeeAcctNo": payee or f"623{detail}",
    }


def bank_report(
    letter: str, lines: list[dict[str, str]], *, kind: str = "2205", on: date = DAY, pack: str = "1/1", **main: str
) -> Verdict:
    """A bank's day report goes through the handler; returns its verdict."""
    amounts = [Decimal(line["PayAmt"]) for line in lines]
    head = {
        "PayAmt": f"{sum(amounts, Decimal(0)):.2f}",
        "PosAmt": f"{sum((a for a in amounts if a > 0), Decimal(0)):.2f}",
        "NegAmt": f"{sum((a for a in amounts if a < 0), Decimal(0)):.2f}",
        "FundTypeCode": "11",
        "PayTypeCode": {"2205": "12", "2206": "11"}[kind],
        "PayBankCode": {"A": "102", "B": "103"}[letter],
        "Hold1": pack,
    }
    return deliver(handlers.on_bank_report, f"BANK-{letter}", kind, head | main, lines, on)


def clearing_line(
    bank_no: str, number: str, line: int, amount: str, *, payment: str = "", mode: str = "12"
) -> dict[str, str]:
    return {
        "PayAgentBillNo": number,
        "PayDetailId": str(line),
        "VoucherNo": payment,
        "PayBankNo": bank_no,
        "PayTypeCode": mode,
        "PayAmt": amount,
        "SupDepCode": "205",
    }


def clearing_statement(lines: list[dict[str, str]], *, check_no: str = "DZ1", on: date = DAY, **main: str) -> Verdict:
    total = sum((Decimal(line["PayAmt"]) for line in lines), Decimal(0))
    head = _pboc_head(lines, f"{total:.2f}", check_no, on)
    return deliver(handlers.on_clearing_statement, "PBOC-990100", "3507", head | main, lines, on)


def limit_line(bank_no: str, opening: str, issued: str, cleared: str, closing: str, mode: str = "12") -> dict[str, str]:
    return {
        "PayBankNo": bank_no,
        "PayTypeCode": mode,
        "FundTypeCode": "11",
        "PreDateMoney": opening,
        "ClearAmt": issued,
        "CurReckMoney": cleared,
        "CurDateMoney": closing,
    }


def limit_statement(lines: list[dict[str, str]], **main: str) -> Verdict:
    total = sum((Decimal(line["ClearAmt"]) for line in lines), Decimal(0))
    head = _pboc_head(lines, f"{total:.2f}", f"DL{next(_serial)}", DAY)
    return deliver(handlers.on_limit_statement, "PBOC-990100", "3510", head | main, lines, DAY)


def _pboc_head(lines: list[dict[str, str]], total: str, check_no: str, on: date) -> dict[str, str]:
    return {
        "VoucherCheckNo": check_no,
        "ChildPackNum": "1",
        "CurPackNo": "1",
        "BeginDate": f"{on:%Y%m%d}",
        "EndDate": f"{on:%Y%m%d}",
        "AllNum": str(len(lines)),
        "AllAmt": total,
    }


def inbound(
    sender: str, kind: str, main: dict[str, str], lines: list[dict[str, str]], on: date = DAY
) -> InboundVoucher:
    message = make_message(sender, kind, state="received")
    content = VoucherContent(
        voucher_type=kind,
        voucher_no=message.voucher_no,
        adm_div_code=REGION,
        fiscal_year=YEAR,
        voucher_date=on,
        main=main,
        details=tuple(lines),
    )
    return InboundVoucher(message, content, ExchangePartner.objects.get(pk=sender), RECONCILER, None)


def deliver(handler, sender: str, kind: str, main: dict[str, str], lines: list[dict[str, str]], on: date) -> Verdict:  # type: ignore[no-untyped-def]
    message = inbound(sender, kind, main, lines, on)
    verdict = handler([message], NOW)[message.message.id]
    applied = type(verdict).__name__ == "Applied"
    InboxMessage.objects.filter(pk=message.message.pk).update(state="applied" if applied else "refused")
    return verdict
