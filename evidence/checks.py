"""A fact that is noted under an unregistered name could never get its place: say so before the first one is written."""

from typing import Any

from django.core import checks

from evidence import kinds
from evidence.errors import UnknownKind
from evidence.triggers import all_witnesses


@checks.register()
def witnesses_are_registered(app_configs: Any, **options: Any) -> list[checks.CheckMessage]:
    """Each witnessed kind is registered, for the table that notes it."""
    found: list[checks.CheckMessage] = []
    for each in all_witnesses():
        kind, table = each.witness.kind, each.model._meta.db_table
        try:
            registered_for = kinds.find(kind).table
        except UnknownKind:
            registered_for = ""
        if registered_for != table:
            message = f"{table} notes facts of kind {kind}, which is registered for {registered_for or 'nothing'}."
            found.append(checks.Error(message, obj=each.model, id="evidence.E001"))
    return found
