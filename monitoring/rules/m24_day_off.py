"""M24 节假日支付: entered or to be paid on a day nobody works."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the day of entry or the planned pay date is not a working day of the calendar."""
    for day, label in ((facts.pay_date, "支付日期"), (facts.entered_on, "提交日期")):
        if day is not None and day in facts.days_off:
            return Finding(
                field="pay_date",
                label=label,
                limit="非工作日",
                text=f"{day:%Y-%m-%d} 是非工作日。",
                seen={"pay_date": facts.pay_date.isoformat(), "entered_on": str(facts.entered_on or "")},
            )
    return None
