"""Administrative changes: the history rows that django-pghistory keeps of configuration are facts like any other.

    @pghistory.track(meta=recorded("parties_region"))

A history row is never changed again, so its columns are the payload; `register_histories` finds every such table.
"""

from typing import Any

import pghistory.models
from django.apps import apps
from django.db import models

from evidence import kinds
from evidence.kinds import Kind
from evidence.triggers import witnessed

PREFIX = "changed."
_ABOUT_THE_ROW = ("pgh_obj", "pgh_context", "pgh_context_id")  # pointers, not what was changed


def recorded(table: str) -> dict[str, Any]:
    """The Meta of a history table whose rows are noted; `table` is the one whose history it is."""
    return {"triggers": [witnessed(PREFIX + table)]}


def register_histories() -> None:
    """Make a kind of every recorded history."""
    for model in apps.get_models():
        if issubclass(model, pghistory.models.Event) and _is_recorded(model):
            kinds.register(_kind(model))


def _is_recorded(model: type[models.Model]) -> bool:
    return bool(_kinds_noted(model))


def _kinds_noted(model: type[models.Model]) -> list[str]:
    triggers = getattr(model._meta, "triggers", [])
    return [trigger.kind for trigger in triggers if getattr(trigger, "kind", "").startswith(PREFIX)]


def _kind(model: type[models.Model]) -> Kind:
    (name,) = _kinds_noted(model)
    fields = [field for field in model._meta.concrete_fields if field.name not in _ABOUT_THE_ROW]
    tracked: type[models.Model] = model.pgh_tracked_model  # type: ignore[attr-defined]  # set by pghistory
    return Kind(
        name=name,
        title=f"配置变更：{tracked._meta.verbose_name}",
        table=model._meta.db_table,
        columns={field.attname: f'fact."{field.column}"' for field in fields},
        key="pgh_id",
    )
