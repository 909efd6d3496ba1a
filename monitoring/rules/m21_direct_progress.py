"""M21 直达资金支出进度滞后 (scheduled): direct funds that lie idle or lag behind the year."""

from collections.abc import Mapping

from monitoring.facts import Finding, ProgressFacts
from monitoring.parameters import amount, count, found_words, plain


def evaluate(facts: ProgressFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if paid ÷ total < elapsed − `lag`, or nothing is paid more than `days` days after it was issued."""
    if facts.total <= 0 or not any(found_words(parameters, "tags", tag) for tag in facts.tags):
        return None
    lag, days = amount(parameters, "lag"), count(parameters, "days")
    waited, progress, expected = (facts.business_date - facts.issued_on).days, facts.paid / facts.total, facts.elapsed
    seen = plain(total=facts.total, paid=facts.paid, issued_on=facts.issued_on)
    seen |= {"progress": f"{progress:.4f}", "elapsed": f"{expected:.4f}", "lag": str(lag), "days": days}
    if facts.paid == 0 and waited > days:
        return Finding(
            "paid", "已支付", f"{days} 天", f"指标 {facts.document_no} 下达 {waited} 天仍无支付，超过 {days} 天。", seen
        )
    if progress < expected - lag:
        text = (
            f"指标 {facts.document_no} 支出进度 {progress:.2%}，序时进度 {expected:.2%}，"
            f"滞后超过 {lag * 100:.0f} 个百分点。"
        )
        return Finding("paid", "支出进度", f"{lag * 100:.0f} 个百分点", text, seen)
    return None
