"""M30 专项/基金挪用: government funds and bond money do not pay salaries and running costs."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import found_words, words


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the fund nature is in `natures`, or a tag holds a word of `tags`, and the department economic code begins
    with one of `barred` and with none of `allowed`."""
    earmarked = facts.fund_nature in words(parameters, "natures")
    tag = next((tag for tag in facts.tags if found_words(parameters, "tags", tag)), "")
    if not (earmarked or tag):
        return None
    barred, allowed = tuple(words(parameters, "barred")), tuple(words(parameters, "allowed"))
    code = facts.dept_economic_code
    if not code.startswith(barred) or (allowed and code.startswith(allowed)):
        return None
    what = f"资金标识「{tag}」" if tag else f"资金性质 {facts.fund_nature}"
    return Finding(
        field="dept_economic_code",
        label="部门经济分类",
        limit="、".join(barred),
        text=f"{what}的资金不得用于 {'、'.join(barred)} 类人员和公用支出，本单为 {code}。",
        seen={"fund_nature": facts.fund_nature, "tags": list(facts.tags), "dept_economic_code": code},
    )
