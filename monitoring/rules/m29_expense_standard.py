"""M29 会议/培训/接待标准超限: not without an approval form, and not above its standard for heads and days."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import plain, words, yuan_text


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the department economic code is in `codes` and there is no approval form, or amount > standard × heads
    × days."""
    if facts.dept_economic_code not in words(parameters, "codes"):
        return None
    form = facts.expense
    seen = plain(amount=facts.amount, dept_economic_code=facts.dept_economic_code)
    if form is None:
        text = f"部门经济分类 {facts.dept_economic_code} 的支出须有审批单，本单没有关联审批单。"
        return Finding("expense", "审批单", "须有审批单", text, seen)
    limit = form.standard * form.heads * form.days
    if facts.amount <= limit:
        return None
    return Finding(
        field="amount",
        label="金额",
        limit=yuan_text(limit),
        text=f"审批单 {form.approval_no}：{form.heads} 人 {form.days} 天，每人每天 {yuan_text(form.standard)}，"
        f"标准共 {yuan_text(limit)}，本单 {yuan_text(facts.amount)}。",
        seen=seen | plain(limit=limit) | {"approval_no": form.approval_no, "heads": form.heads, "days": form.days},
    )
