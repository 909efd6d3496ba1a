"""M11 应采购未采购: what must be procured is paid on a contract."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, found_words, plain, words, yuan_text


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if a tag of the indicator holds a word of `tags`, or the department economic code is in the catalogue
    `codes` and amount ≥ `amount_from` (yuan), and no contract is named."""
    if facts.contract is not None or facts.contract_no.strip():
        return None
    limit = amount(parameters, "amount_from")
    tagged = [tag for tag in facts.tags if found_words(parameters, "tags", tag)]
    listed = facts.dept_economic_code in words(parameters, "codes")
    if facts.amount < limit or not (tagged or listed):
        return None
    why = f"指标标识「{tagged[0]}」" if tagged else f"部门经济分类 {facts.dept_economic_code} 在集中采购目录内"
    return Finding(
        field="contract_no",
        label="合同编号",
        limit=yuan_text(limit),
        text=f"{why}，{yuan_text(limit)}及以上须经政府采购，本单 {yuan_text(facts.amount)}未关联采购合同。",
        seen=plain(amount=facts.amount, amount_from=limit, dept_economic_code=facts.dept_economic_code)
        | {"tags": list(facts.tags)},
    )
