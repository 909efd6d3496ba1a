"""Changing a rule: one person proposes, the change is rehearsed on what was paid, another person puts it into force."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Max

from core.actors import Actor
from core.batch import copy_rows
from core.errors import NotFound, RoleRequired, TreasuryError, ValidationFailed
from core.models import BusinessDay
from core.transitions import check_move, move
from monitoring.errors import ChangeOpen, ReasonRequired, RuleIsHard, SecondPersonNeeded, SettingsInvalid
from monitoring.facts import Hit
from monitoring.levels import Action
from monitoring.models import MonitoringRule, RehearsalHit, RuleChange
from monitoring.registry import RULES
from monitoring.states import CHANGE_FLOW, RULE_KEEPERS

MOST_MONTHS = 24
_SETTINGS = (
    *("severity", "action", "parameters", "scope", "attachment_required", "hint", "basis", "enabled"),
    *("valid_from", "valid_to"),
)


@dataclass(frozen=True)
class Settings:
    """What a region sets about a rule, as somebody wishes it."""

    severity: str
    action: str
    parameters: dict[str, str]
    scope: dict[str, list[str]] = field(default_factory=dict)
    attachment_required: bool = False
    hint: str = ""
    basis: str = ""
    enabled: bool = True
    valid_from: date | None = None
    valid_to: date | None = None


@transaction.atomic(durable=True)
def propose_change(*, code: str, settings: Settings, note: str, by: Actor, now: datetime) -> RuleChange:
    """Propose other settings for a rule. Nothing changes yet.

    :raises NotFound: if there is no such rule. :raises RuleIsHard: if it has no settings.
    :raises ValidationFailed: with everything that is wrong with the settings.
    :raises ChangeOpen: if another change of it waits.
    """
    _require_keeper(by)
    rule = RULES.get(code)
    if rule is None:
        raise NotFound("没有这条规则。", field="code")
    if rule.hard:
        raise RuleIsHard("硬性规则没有设置，不能变更或停用。", field="code")
    note = " ".join(note.split())
    if not 0 < len(note) <= 300:
        raise ReasonRequired("请填写变更理由（不超过 300 字）。", field="note")
    assert by.person_id is not None
    change = RuleChange(
        adm_div_code=by.adm_div_code,
        fiscal_year=_year(by.adm_div_code, now),
        code=code,
        note=note,
        proposed_by_id=by.person_id,
        proposer_name=by.name,
        proposed_at=now,
        **{name: getattr(settings, name) for name in _SETTINGS},
    )
    _check(change)
    try:
        with transaction.atomic():
            change.save()
    except IntegrityError:  # one_open_change_per_rule: somebody else was quicker
        raise ChangeOpen("这条规则已有一项变更待办，请先启用或撤回。", field="code") from None
    return change


def _check(change: RuleChange) -> None:
    found: list[TreasuryError] = []
    try:
        others = {f.name for f in RuleChange._meta.fields} - set(_SETTINGS) | {"parameters", "scope"}
        change.clean_fields(exclude=others)
        change.clean()
    except ValidationError as error:
        for name, messages in error.message_dict.items():
            found += [SettingsInvalid(message, field=name) for message in messages]
    if found:
        raise ValidationFailed(found)


def lock_change(change_id: UUID, by: Actor) -> RuleChange:
    """:raises NotFound: if the region has no such change."""
    _require_keeper(by)
    rows = RuleChange.objects.select_for_update(no_key=True).filter(pk=change_id, adm_div_code=by.adm_div_code)
    change = rows.first()
    if change is None:
        raise NotFound("规则变更不存在。", field="id")
    return change


def as_rule(change: RuleChange) -> MonitoringRule:
    """Return the rule as it would stand with the change, for a rehearsal; never stored."""
    return MonitoringRule(
        adm_div_code=change.adm_div_code, code=change.code, version=0, **{n: getattr(change, n) for n in _SETTINGS}
    )


def record_rehearsal(
    change: RuleChange,
    *,
    judged: int,
    found: Sequence[tuple[Any, Hit]],
    months: int,
    by: Actor,
    now: datetime,
) -> RuleChange:
    """Keep what a rehearsal found among `judged` documents, in place of an earlier one. A step; the change is locked.

    :param found: the facts of each document that was hit, with the hit.
    """
    check_move(CHANGE_FLOW, change, "rehearse", by)
    RehearsalHit.objects.filter(change=change).delete()
    copy_rows(
        [
            RehearsalHit(
                adm_div_code=change.adm_div_code,
                fiscal_year=facts.fiscal_year,
                change=change,
                document_id=facts.document_id,
                document_no=facts.document_no,
                unit_code=facts.unit_code,
                business_date=facts.business_date,
                amount=facts.amount,
                severity=hit.severity,
                action=hit.action,
                message=hit.message,
            )
            for facts, hit in found
        ]
    )
    stopped = [facts.amount for facts, hit in found if hit.action in (Action.HOLD, Action.BLOCK)]
    move(CHANGE_FLOW, [change], "rehearse", by=by, at=now)
    change.rehearsed_at, change.rehearsed_by_name = now, by.name
    change.months, change.judged = months, judged
    change.hit_count, change.hit_amount = len(found), sum((facts.amount for facts, _ in found), Decimal("0.00"))
    change.stopped_count, change.stopped_amount = len(stopped), sum(stopped, Decimal("0.00"))
    change.save(
        update_fields=[
            *("rehearsed_at", "rehearsed_by_name", "months", "judged", "hit_count", "hit_amount"),
            *("stopped_count", "stopped_amount"),
        ]
    )
    return change


@transaction.atomic(durable=True)
def enable_change(*, change_id: UUID, by: Actor, now: datetime) -> MonitoringRule:
    """Put a rehearsed change into force: a new version of the rule.

    :raises SecondPersonNeeded: if the person is the one who proposed it.
    :raises TransitionNotAllowed: if it has not been rehearsed.
    """
    change = lock_change(change_id, by)
    check_move(CHANGE_FLOW, change, "enable", by)
    if by.person_id is None or by.person_id == change.proposed_by_id:
        raise SecondPersonNeeded("提出变更的人不能自己启用，须由另一人启用（四眼）。", field="by")
    _check(change)  # the catalogue may have become stricter since
    rows = MonitoringRule.objects.select_for_update().filter(adm_div_code=change.adm_div_code, code=change.code)
    latest = rows.order_by("version").last()
    rule = as_rule(change)
    rule.version = (latest.version if latest is not None else 0) + 1
    rule.save(force_insert=True)
    move(CHANGE_FLOW, [change], "enable", by=by, at=now)
    change.decided_by_id, change.decider_name, change.decided_at = by.person_id, by.name, now
    change.version = rule.version
    change.save(update_fields=["decided_by", "decider_name", "decided_at", "version"])
    return rule


@transaction.atomic(durable=True)
def withdraw_change(*, change_id: UUID, reason: str, by: Actor, now: datetime) -> RuleChange:
    """Give up a change that is not in force."""
    change = lock_change(change_id, by)
    check_move(CHANGE_FLOW, change, "withdraw", by)
    reason = " ".join(reason.split())
    if not 0 < len(reason) <= 300:
        raise ReasonRequired("请填写撤回理由（不超过 300 字）。", field="reason")
    move(CHANGE_FLOW, [change], "withdraw", by=by, at=now, reason=reason)
    return change


def _require_keeper(by: Actor) -> None:
    if by.roles.isdisjoint(RULE_KEEPERS.split("|")) or by.person_id is None:
        raise RoleRequired(f"该操作需要岗位：{RULE_KEEPERS}。", field="role", by=by.name)


def _year(adm_div_code: str, now: datetime) -> int:
    latest = BusinessDay.objects.filter(adm_div_code=adm_div_code).aggregate(last=Max("date"))["last"]
    return int(latest.year) if latest is not None else now.year
