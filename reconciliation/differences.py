"""What a difference is (D1 to D6), in words, and what to do about it. Pure: no database, no clock.

Source: docs/business.md §reconciliation differences.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.money import ZERO, format_yuan
from reconciliation.matching import Elsewhere, Mismatch
from reconciliation.states import DiscrepancyType as D
from reconciliation.states import Pair

ELEMENT_NAMES = {
    "unit_code": "预算单位",
    "payee_account_no": "收款账号",
    "payment_no": "支付凭证号",
    "payment_mode": "支付方式",
}
_BANK_PAYS, _PBOC = (Pair.BANK_PAYMENT, Pair.BANK_FUNDS), (Pair.PBOC_CLEARING, Pair.PBOC_APPROPRIATION)
BANK, TREASURY, PBOC = "代理银行", "财政国库", "人民银行"
NOWHERE = Elsewhere(
    known=False, failed=False, ours=ZERO, our_date=None, our_paid=ZERO, theirs=ZERO, their_paid=ZERO, their_date=None
)


@dataclass(frozen=True)
class Verdict:
    """A classified difference: type, amounts in yuan to show, explanation, suggested resolution, who has to act."""

    type: D
    our_amount: Decimal | None
    their_amount: Decimal | None
    explanation: str
    suggestion: str
    owner: str


def classify(pair: Pair, mismatch: Mismatch, elsewhere: Elsewhere | None) -> Verdict:
    """Say what the difference is. `elsewhere` is needed only where one side has nothing on the day."""
    if pair == Pair.PBOC_LIMIT:
        return _limit(mismatch)
    if mismatch.our_amount is not None and mismatch.their_amount is not None:
        return _both(pair, mismatch, mismatch.our_amount, mismatch.their_amount)
    found = elsewhere or NOWHERE
    if found.ours == found.theirs and found.ours > 0:
        return _time(mismatch, found)
    if mismatch.their_amount is None:
        return _ours_only(pair, mismatch, found)
    return _theirs_only(pair, mismatch, found)


def _both(pair: Pair, mismatch: Mismatch, ours: Decimal, theirs: Decimal) -> Verdict:
    if ours != theirs:
        return _amount(pair, mismatch, ours, theirs)
    changed = [
        f"{ELEMENT_NAMES[name]}我方 {mismatch.our_elements.get(name, '')}、对方 {value}"
        for name, value in sorted(mismatch.their_elements.items())
        if mismatch.our_elements.get(name) != value
    ]
    if changed:
        return Verdict(
            D.D5,
            ours,
            theirs,
            f"金额一致，要素不符：{_name(pair, mismatch)} {format_yuan(ours)} 元，{'；'.join(changed)}。",
            "核对凭证要素；我方登记有误的办理更正，对方登记有误的由其更正后重发报文。",
            TREASURY,
        )
    return Verdict(
        D.D6,
        ours,
        theirs,
        f"时间差：{_name(pair, mismatch)} {format_yuan(ours)} 元，我方日期 {mismatch.our_date}、"
        f"对方日期 {mismatch.their_date}。",
        "确认为跨日记账后登记说明，下一业务日自动核销。",
        TREASURY,
    )


def _amount(pair: Pair, mismatch: Mismatch, ours: Decimal, theirs: Decimal) -> Verdict:
    text = f"金额不符：{_name(pair, mismatch)}，我方 {format_yuan(ours)} 元、对方 {format_yuan(theirs)} 元。"
    if mismatch.their_lines > max(mismatch.our_lines, 1):
        text += f"对方将同一笔列示 {mismatch.their_lines} 次。"
    suggestion = "逐笔核对；以实际支付为准，更正回单或办理退款。"
    if pair == Pair.PBOC_CLEARING:
        suggestion = "逐笔核对清算凭证；以人民银行实际清算为准，更正后重新对账。"
    return Verdict(D.D3, ours, theirs, text, suggestion, _partner(pair))


def _time(mismatch: Mismatch, found: Elsewhere) -> Verdict:
    ours = found.ours if mismatch.our_amount is None else mismatch.our_amount
    theirs = found.theirs if mismatch.their_amount is None else mismatch.their_amount
    late = "我方" if mismatch.our_amount is None else "对方"
    other = found.our_date if mismatch.our_amount is None else found.their_date
    return Verdict(
        D.D6,
        ours,
        theirs,
        f"时间差：{mismatch.voucher_no}/{mismatch.detail_id} {format_yuan(ours)} 元，{late}记在 {other}。",
        "确认为跨日记账后登记说明，下一业务日自动核销。",
        TREASURY,
    )


def _ours_only(pair: Pair, mismatch: Mismatch, found: Elsewhere) -> Verdict:
    ours = mismatch.our_amount or ZERO
    if pair == Pair.BANK_REFUND and found.their_paid > 0:
        return Verdict(
            D.D4,
            ours,
            None,
            f"状态不符：{_name(pair, mismatch)} {format_yuan(ours)} 元，我方已退款，代理银行仍列为已支付。",
            "请代理银行核对退款通知书并补报退款。",
            BANK,
        )
    text = f"我方有、对方无：{_name(pair, mismatch)} {format_yuan(ours)} 元，对方报文未列。"
    suggestion = "查询凭证状态：对方未收到的重发原凭证（不会重复支付），确未支付的凭证明作废，已支付的由对方补报。"
    if pair == Pair.PBOC_CLEARING:
        suggestion = "向人民银行查询该清算凭证的状态，确已清算的由人民银行补报。"
    if pair == Pair.BANK_REFUND:
        suggestion = "请代理银行核对退款通知书并补报退款。"
    return Verdict(D.D1, ours, None, text, suggestion, _partner(pair))


def _theirs_only(pair: Pair, mismatch: Mismatch, found: Elsewhere) -> Verdict:
    theirs = mismatch.their_amount or ZERO
    name = f"{_name(pair, mismatch)} {format_yuan(theirs)} 元"
    if pair == Pair.BANK_REFUND and found.our_paid > 0:
        return Verdict(
            D.D4,
            None,
            theirs,
            f"状态不符：{name}，代理银行已退款，我方仍为已支付（未收到退款通知书）。",
            "补取退款通知书（2203/2204），登记退款并由代理银行办理退款清算（2302）。",
            BANK,
        )
    if pair in (*_BANK_PAYS, Pair.PBOC_APPROPRIATION) and (found.failed or found.ours > 0):
        return _amount(pair, mismatch, found.ours, theirs)
    if pair in _BANK_PAYS and found.known:
        return Verdict(
            D.D2,
            None,
            theirs,
            f"银行有、财政无：{name}，银行已支付，我方未收到回单。",
            "补取回单：向代理银行查询该凭证，收妥回单入账后重新对账。",
            BANK,
        )
    if pair == Pair.PBOC_CLEARING:
        return Verdict(
            D.D2,
            None,
            theirs,
            f"人行有、财政无：{name}，人民银行已清算，我方未收到清算回单。",
            "补取清算回单：请人民银行重发该清算凭证的回单，入账后重新对账。",
            PBOC,
        )
    if pair == Pair.PBOC_APPROPRIATION:
        return Verdict(
            D.D2,
            None,
            theirs,
            f"人行有、财政无：{name}，人民银行已拨付或已退回，我方未收到回单或退款通知书（3208）。",
            "补取回单：请人民银行重发该拨款凭证的回单或退款通知书，入账后重新对账。",
            PBOC,
        )
    return Verdict(
        D.D2,
        None,
        theirs,
        f"银行有、财政无：{name}，我方没有这张凭证或这笔明细。",
        "请代理银行说明依据；无有效支付凭证的，由代理银行立即追回资金并更正报文。",
        BANK,
    )


def _limit(mismatch: Mismatch) -> Verdict:
    ours, theirs = mismatch.our_amount or ZERO, mismatch.their_amount or ZERO
    text = (
        f"清算额度余额不符：行号 {mismatch.bank_no} 支付方式 {mismatch.voucher_no} 资金性质 {mismatch.detail_id}，"
        f"我方 {format_yuan(ours)} 元、对方 {format_yuan(theirs)} 元。"
    )
    parts = mismatch.their_elements
    if parts:
        text += f"对方：上期 {parts['opening']}、新增 {parts['issued']}、已清算 {parts['cleared']}。"
    return Verdict(
        D.D3,
        ours,
        theirs,
        text,
        "逐笔核对当日额度通知（5106、5108）与清算（2301、2302），补发或补收缺少的凭证后重新对账。",
        PBOC,
    )


def _name(pair: Pair, mismatch: Mismatch) -> str:
    kind = "清算凭证" if pair == Pair.PBOC_CLEARING else "凭证"
    return f"{kind} {mismatch.voucher_no} 明细 {mismatch.detail_id}"


def _partner(pair: Pair) -> str:
    return PBOC if pair in _PBOC else BANK
