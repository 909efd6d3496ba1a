"""Where scheduled rules get their facts: the apps above register a function for a rule when Django starts.

A source returns every subject its rule should look at on that business day. A rule without one never fires, and its
page says so.
"""

from collections.abc import Callable, Sequence
from datetime import date

from monitoring.facts import Subject
from monitoring.points import Need
from monitoring.registry import RULES, Rule

Source = Callable[[str, date], Sequence[Subject]]

_SOURCES: dict[str, Source] = {}
_MISSING: set[Need] = set()


def register(code: str, source: Source) -> None:
    """Give a scheduled rule its source: `source(adm_div_code, business_date)`.

    :raises ValueError: for a rule that is not scheduled, or that has a source.
    """
    if code not in RULES or not RULES[code].scheduled:
        raise ValueError(f"{code} is no scheduled rule")
    if code in _SOURCES:
        raise ValueError(f"{code} has a source already")
    _SOURCES[code] = source


def source_of(code: str) -> Source | None:
    return _SOURCES.get(code)


def mark_missing(*needs: Need) -> None:
    """Say which registers this installation does not have: rules that need them cannot judge anything."""
    _MISSING.update(needs)


def without_source(rule: Rule) -> bool:
    """Whether nothing tells the rule what it would judge: it never fires, and its page says so."""
    if rule.scheduled:
        return rule.code not in _SOURCES
    return bool(rule.needs) and rule.needs <= _MISSING
