"""M25 年末突击支付: large payments, or a month far above the average, in the last days of the year."""

from collections.abc import Mapping
from decimal import Decimal

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, plain, within, yuan_text


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the planned pay date lies in `period` and amount ≥ `amount_from` (yuan), or the unit's month with this
    payment > `times` × its average month before."""
    if not within(parameters, "period", facts.pay_date):
        return None
    limit, times = amount(parameters, "amount_from"), amount(parameters, "times")
    total, average = facts.history.spent_this_month + facts.amount, facts.history.month_average
    seen = plain(amount=facts.amount, amount_from=limit, month_total=total, month_average=average or Decimal("0.00"))
    seen |= {"times": str(times), "period": parameters["period"], "pay_date": facts.pay_date.isoformat()}
    if facts.amount >= limit:
        text = f"年末（{parameters['period']}）单笔支付 {yuan_text(facts.amount)}，达到 {yuan_text(limit)}。"
        return Finding("amount", "金额", yuan_text(limit), text, seen)
    if average is not None and average > 0 and total > average * times:
        text = (
            f"本单位本月支付连同本单 {yuan_text(total)}，超过此前月均 {yuan_text(average)}的 {times} 倍"
            f"（{yuan_text(average * times)}）。"
        )
        return Finding("amount", "金额", yuan_text(average * times), text, seen)
    return None
