"""Inbound statements: 2205, 2206 of the banks, 3507, 3508, 3510 of PBoC. A message that does not add up is refused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from budget.methods import BY_TYPE, METHODS, Method
from core.batch import copy_rows
from core.errors import DayClosed, TreasuryError
from core.models import BusinessDay
from core.money import ZERO
from parties.models import AgentBank
from reconciliation.errors import (
    StatementBankForeign,
    StatementDateUnknown,
    StatementLineInvalid,
    StatementTotalsDiffer,
)
from reconciliation.fields import check_total, numbered, pack_of, required, signed, wire_day
from reconciliation.models import Statement, StatementLine
from reconciliation.states import Pair
from vouchers.routing import Applied, InboundVoucher, Verdict

# The methods whose payments a bank lists in each day report; the first where the report names none.
REPORTED = {
    "2205": [row for row in METHODS.values() if row.refund_type == "2204"],
    "2206": [row for row in METHODS.values() if row.refund_type == "2203"],
}


@dataclass(frozen=True)
class Banks:
    """The agent banks of the regions in a batch."""

    by_organisation: dict[tuple[str, str], AgentBank]
    by_number: dict[tuple[str, str], AgentBank]


Read = Callable[[InboundVoucher, Banks, datetime], tuple[Statement, list[StatementLine]]]


def on_bank_report(messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Keep banks' day reports: a positive line is a payment, a negative one a refund."""
    return _keep(messages, now, _read_bank_report)


def on_clearing_statement(messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Keep PBoC's 3507: a positive line is a line of a 2301, a negative one of a 2302."""
    return _keep(messages, now, _read_clearing_statement)


def on_limit_statement(messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Keep PBoC's 3510: the balance of every clearing limit."""
    return _keep(messages, now, _read_limit_statement)


def on_appropriation_statement(messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Keep PBoC's 3508: a positive line is a line of a 5207, a negative one of a 3208."""
    return _keep(messages, now, _read_appropriation_statement)


def _keep(messages: Sequence[InboundVoucher], now: datetime, read: Read) -> dict[UUID, Verdict]:
    """Read each message and write all of them: two queries and two COPY statements, whatever the batch."""
    regions = {m.content.adm_div_code for m in messages}
    banks = list(AgentBank.objects.filter(adm_div_code__in=regions))
    known = Banks(
        {(bank.adm_div_code, bank.organisation): bank for bank in banks},
        {(bank.adm_div_code, bank.bank_no): bank for bank in banks},
    )
    days = {(day.adm_div_code, day.date): day for day in BusinessDay.objects.filter(adm_div_code__in=regions)}
    verdicts: dict[UUID, Verdict] = {}
    statements: list[Statement] = []
    lines: list[StatementLine] = []
    for message in messages:
        try:
            statement, its_lines = read(message, known, now)
            _check_day(statement, days)
        except TreasuryError as refusal:
            verdicts[message.message.id] = refusal
        else:
            statements.append(statement)
            lines += its_lines
            verdicts[message.message.id] = Applied(f"对账明细 {statement.line_count} 笔")
    copy_rows(statements)
    copy_rows(lines)
    return verdicts


def _check_day(statement: Statement, days: dict[tuple[str, date], BusinessDay]) -> None:
    day = days.get((statement.adm_div_code, statement.date))
    if day is None:
        raise StatementDateUnknown("对账日期不是本区划的业务日。", field="VouDate", date=statement.date.isoformat())
    if day.closed_at is not None:
        raise DayClosed("该业务日已日结，不再接收对账报文。", field="VouDate", date=statement.date.isoformat())


# Bank day reports ---------------------------------------------------------------------------------------------------


def _read_bank_report(message: InboundVoucher, banks: Banks, now: datetime) -> tuple[Statement, list[StatementLine]]:
    content = message.content
    bank = banks.by_organisation.get((content.adm_div_code, message.sender.organisation))
    if bank is None or content.main.get("PayBankCode") != bank.code:
        raise StatementBankForeign(
            "日报的代理银行不是发送方。", field="PayBankCode", given=content.main.get("PayBankCode", "")
        )
    mode = content.main.get("PayTypeCode", "")
    reported = {row.code: row for row in REPORTED[content.voucher_type]}
    method = reported.get(mode or next(iter(reported)))
    if method is None:
        raise StatementLineInvalid("日报的支付方式与报文类型不符。", field="PayTypeCode", given=mode)
    amounts = [signed(detail, "PayAmt", at) for at, detail in numbered(content.details)]
    paid = sum((amount for amount in amounts if amount > 0), ZERO)
    refunded = sum((amount for amount in amounts if amount < 0), ZERO)
    for tag, total in (("PayAmt", paid + refunded), ("PosAmt", paid), ("NegAmt", refunded)):
        check_total(content.main, tag, total)
    pack, packs = pack_of(content.main.get("Hold1", "") or "1/1", "Hold1")
    statement = _statement(
        message, now, scope=bank.bank_no, day=content.voucher_date, pack=pack, packs=packs, total=paid + refunded
    )
    lines = []
    for (at, detail), amount in zip(numbered(content.details), amounts, strict=True):
        if amount == 0:
            raise StatementLineInvalid("日报明细金额不能为零。", field=f"{at}.PayAmt")
        lines.append(
            _line(
                statement,
                pair=_bank_pair(method, is_payment=amount > 0),
                bank_no=bank.bank_no,
                voucher_type=_type_of(method, detail.get("Hold1", "")),
                voucher_no=required(detail, "VoucherNo", at),
                detail_id=required(detail, "VoucherBillId", at),
                amount=abs(amount),
                paid_on=wire_day(detail, "PayDate", at) if detail.get("PayDate") else None,
                elements=_bank_elements(detail, is_payment=amount > 0),
            )
        )
    return statement, lines


def _bank_pair(method: Method, *, is_payment: bool) -> Pair:
    if not is_payment:
        return Pair.BANK_REFUND
    return Pair.BANK_PAYMENT if method.is_cleared else Pair.BANK_FUNDS


def _type_of(method: Method, said: str) -> str:
    """The type of the payment voucher a line is of: as it says, else the one of its method."""
    return said if method in BY_TYPE.get(said, ()) else method.voucher_type


def _bank_elements(detail: Mapping[str, str], *, is_payment: bool) -> dict[str, str]:
    elements = {"unit_code": detail.get("AgencyCode", "")}
    if is_payment:
        elements["payee_account_no"] = detail.get("PayeeAcctNo", "")
    return {name: value for name, value in elements.items() if value}


# PBoC statements ----------------------------------------------------------------------------------------------------


def _read_clearing_statement(
    message: InboundVoucher, banks: Banks, now: datetime
) -> tuple[Statement, list[StatementLine]]:
    content = message.content
    amounts = [signed(detail, "PayAmt", at) for at, detail in numbered(content.details)]
    numbers = {_known_bank(message, detail, banks, at) for at, detail in numbered(content.details)}
    named = content.main.get("Hold1", "")
    if named and (content.adm_div_code, named) in banks.by_number:
        numbers.add(named)
    statement = _pboc_statement(message, now, scope=numbers.pop() if len(numbers) == 1 else "", amounts=amounts)
    lines = []
    for (at, detail), amount in zip(numbered(content.details), amounts, strict=True):
        if amount == 0:
            raise StatementLineInvalid("清算明细金额不能为零。", field=f"{at}.PayAmt")
        elements = {"payment_no": detail.get("VoucherNo", ""), "payment_mode": detail.get("PayTypeCode", "")}
        lines.append(
            _line(
                statement,
                pair=Pair.PBOC_CLEARING,
                bank_no=detail["PayBankNo"],
                voucher_type="2301" if amount > 0 else "2302",
                voucher_no=required(detail, "PayAgentBillNo", at),
                detail_id=required(detail, "PayDetailId", at),
                amount=abs(amount),
                elements={name: value for name, value in elements.items() if value},
            )
        )
    return statement, lines


def _read_appropriation_statement(
    message: InboundVoucher, banks: Banks, now: datetime
) -> tuple[Statement, list[StatementLine]]:
    content = message.content
    amounts = [signed(detail, "PayAmt", at) for at, detail in numbered(content.details)]
    statement = _pboc_statement(message, now, scope="", amounts=amounts)
    lines = []
    for (at, detail), amount in zip(numbered(content.details), amounts, strict=True):
        if amount == 0:
            raise StatementLineInvalid("拨款明细金额不能为零。", field=f"{at}.PayAmt")
        lines.append(
            _line(
                statement,
                pair=Pair.PBOC_APPROPRIATION,
                bank_no="",
                voucher_type="5207" if amount > 0 else "3208",
                voucher_no=required(detail, "VoucherNo", at),
                detail_id=required(detail, "PayDetailId", at),
                amount=abs(amount),
                elements=_bank_elements(detail, is_payment=True),
                paid_on=wire_day(detail, "PayDate", at) if detail.get("PayDate") else None,
            )
        )
    return statement, lines


def _read_limit_statement(
    message: InboundVoucher, banks: Banks, now: datetime
) -> tuple[Statement, list[StatementLine]]:
    content = message.content
    sums = ("PreDateMoney", "ClearAmt", "CurReckMoney", "CurDateMoney")
    values = {tag: [signed(detail, tag, at) for at, detail in numbered(content.details)] for tag in sums}
    statement = _pboc_statement(message, now, scope="", amounts=values["ClearAmt"])
    for tag in sums:
        if content.main.get(tag):
            check_total(content.main, tag, sum(values[tag], ZERO))
    lines, seen = [], set()
    for index, (at, detail) in enumerate(numbered(content.details)):
        opening, issued, cleared, closing = (values[tag][index] for tag in sums)
        if opening + issued - cleared != closing:
            raise StatementTotalsDiffer("上期余额 + 新增 − 已清算 ≠ 本期余额。", field=f"{at}.CurDateMoney")
        bank_no = _known_bank(message, detail, banks, at)
        key = (bank_no, required(detail, "PayTypeCode", at), detail.get("FundTypeCode", ""))
        if key in seen:
            raise StatementLineInvalid("同一额度列示两次。", field=f"{at}.PayTypeCode")
        seen.add(key)
        lines.append(
            _line(
                statement,
                pair=Pair.PBOC_LIMIT,
                bank_no=bank_no,
                voucher_type="",
                voucher_no=key[1],
                detail_id=key[2],
                amount=closing,
                elements={"opening": f"{opening:.2f}", "issued": f"{issued:.2f}", "cleared": f"{cleared:.2f}"},
            )
        )
    return statement, lines


def _pboc_statement(message: InboundVoucher, now: datetime, *, scope: str, amounts: list[Decimal]) -> Statement:
    main = message.content.main
    begins, ends = wire_day(main, "BeginDate", ""), wire_day(main, "EndDate", "")
    if begins != ends:
        raise StatementLineInvalid(
            "只接收单日对账单。", field="EndDate", begins=main["BeginDate"], ends=main["EndDate"]
        )
    total = sum(amounts, ZERO)
    pack, packs = pack_of(f"{main.get('CurPackNo', '')}/{main.get('ChildPackNum', '')}", "CurPackNo")
    if packs == 1:  # in several packs these are of the whole statement, which the matching sees when all are here
        if main.get("AllNum", "") != str(len(amounts)):
            raise StatementTotalsDiffer("总笔数与明细笔数不符。", field="AllNum", details=len(amounts))
        check_total(main, "AllAmt", total)
    check_no = main.get("VoucherCheckNo", "")
    return _statement(message, now, scope=scope, day=begins, pack=pack, packs=packs, total=total, sheet_no=check_no)


def _known_bank(message: InboundVoucher, detail: Mapping[str, str], banks: Banks, at: str) -> str:
    number = detail.get("PayBankNo", "")
    if (message.content.adm_div_code, number) not in banks.by_number:
        raise StatementBankForeign("代理银行行号未登记。", field=f"{at}.PayBankNo", given=number)
    return number


# Pieces -------------------------------------------------------------------------------------------------------------


def _statement(
    message: InboundVoucher,
    now: datetime,
    *,
    scope: str,
    day: date,
    pack: int,
    packs: int,
    total: Decimal,
    sheet_no: str = "",
) -> Statement:
    content = message.content
    return Statement(
        adm_div_code=content.adm_div_code,
        fiscal_year=content.fiscal_year,
        message=message.message,
        voucher_type=content.voucher_type,
        partner=message.sender.organisation,
        scope=scope,
        fund_nature=content.main.get("FundTypeCode", ""),
        date=day,
        sheet_no=sheet_no or f"{day:%Y%m%d}/{packs}",  # a day report has no number of its own
        pack=pack,
        packs=packs,
        line_count=len(content.details),
        amount=total,
        at=now,
    )


def _line(
    statement: Statement,
    *,
    pair: Pair,
    bank_no: str,
    voucher_type: str,
    voucher_no: str,
    detail_id: str,
    amount: Decimal,
    elements: dict[str, str],
    paid_on: date | None = None,
) -> StatementLine:
    return StatementLine(
        adm_div_code=statement.adm_div_code,
        fiscal_year=statement.fiscal_year,
        statement=statement,
        pair=pair,
        date=statement.date,
        bank_no=bank_no,
        voucher_type=voucher_type,
        voucher_no=voucher_no,
        detail_id=detail_id,
        amount=amount,
        paid_on=paid_on,
        elements=elements,
    )
