"""M17 敏感用途词: a purpose that names what public money may not buy is looked at by a person."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import found_words


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the purpose holds one of the `words`."""
    found = found_words(parameters, "words", facts.purpose)
    if not found:
        return None
    return Finding(
        field="purpose",
        label="用途",
        limit="、".join(found),
        text=f"「{facts.purpose}」含敏感词：{'、'.join(found)}。",
        seen={"purpose": facts.purpose, "words": found},
    )
