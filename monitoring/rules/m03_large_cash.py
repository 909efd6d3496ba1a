"""M03 大额提现: no single cash payment above one limit, and not more cash than another in a month."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, plain, yuan_text

CASH_CHEQUE = "3"  # SetModeCode on the wire


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if paid by cash cheque and amount > `single`, or the unit's cash of the month with it > `month` (yuan)."""
    if facts.settlement != CASH_CHEQUE:
        return None
    single, month = amount(parameters, "single"), amount(parameters, "month")
    total = facts.history.cash_this_month + facts.amount
    seen = plain(amount=facts.amount, single=single, cash_this_month=facts.history.cash_this_month, month=month)
    if facts.amount > single:
        limit, text = single, f"单笔提现 {yuan_text(facts.amount)}，超过上限 {yuan_text(single)}。"
    elif total > month:
        limit, text = month, f"本单位本月提现连同本单共 {yuan_text(total)}，超过每月上限 {yuan_text(month)}。"
    else:
        return None
    return Finding(field="settlement", label="结算方式：现金支票", limit=yuan_text(limit), text=text, seen=seen)
