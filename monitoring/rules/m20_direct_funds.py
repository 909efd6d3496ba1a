"""M20 直达资金偏离用途: direct funds go to the people and firms they are for, not into an account of the government."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import found_words, plain, words
from monitoring.rules.seen import payees_seen


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if a tag holds a word of `tags` and the function is outside `functions` (if any are set), the project
    outside `projects` (if any are set), or a payee account is filed for a budget unit or the bureau itself."""
    tag = next((tag for tag in facts.tags if found_words(parameters, "tags", tag)), None)
    if tag is None:
        return None
    seen = {"tags": list(facts.tags), **plain(amount=facts.amount, function_code=facts.function_code)}
    functions, projects = words(parameters, "functions"), words(parameters, "projects")
    if functions and not facts.function_code.startswith(tuple(functions)):
        allowed = "、".join(functions)
        text = f"资金标识「{tag}」，功能分类 {facts.function_code} 不在允许范围（{allowed}）内。"
        return Finding("function_code", "功能分类", allowed, text, seen)
    if projects and facts.project_code not in projects:
        allowed = "、".join(projects)
        text = f"资金标识「{tag}」，项目 {facts.project_code or '未填'} 不在允许范围（{allowed}）内。"
        return Finding("project_code", "项目", allowed, text, seen | {"project_code": facts.project_code})
    inside = [payee for payee in facts.payees if payee.filed_kind]
    if not inside:
        return None
    return Finding(
        field="details",
        label="收款账户",
        limit="财政或预算单位账户",
        text=f"资金标识「{tag}」，收款账户 {inside[0].account_no}（{inside[0].filed_name}）是财政或预算单位账户，"
        "直达资金应直接付给最终收款人。",
        seen=seen | {"payees": payees_seen(inside)},
    )
