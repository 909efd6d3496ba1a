"""Payees as the facts of an alert keep them."""

from collections.abc import Iterable

from monitoring.facts import PayeeFacts

MOST = 50  # an alert names so many; the document has them all


def payees_seen(payees: Iterable[PayeeFacts]) -> list[dict[str, str]]:
    return [{"name": p.name, "account_no": p.account_no, "amount": f"{p.amount:.2f}"} for p in list(payees)[:MOST]]
