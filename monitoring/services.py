"""Screening documents against a region's rules, keeping the alerts, and deciding on those that wait."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from django.db import transaction

from core.actors import Actor
from core.batch import copy_rows
from core.errors import RoleRequired
from core.transitions import move
from monitoring.casework import close_disposed, open_cases
from monitoring.definitions import Rule
from monitoring.errors import NothingPending, ReasonRequired
from monitoring.facts import Finding, Hit
from monitoring.levels import Action, worst_action
from monitoring.models import Alert, CaseTerms, Disposition, MonitoringRule, RuleSettings
from monitoring.points import Need, Point
from monitoring.registry import HARD, RULES
from monitoring.scope import in_scope
from monitoring.states import ALERT_FLOW, AlertState

REASON_LENGTH = 300


@transaction.atomic(savepoint=False)
def seed_rules(*, adm_div_code: str) -> None:
    """Give a region every rule of the catalogue it does not have, with the default settings.

    Hard rules have no settings. Rules that must be rehearsed first stand there switched off.
    """
    CaseTerms.objects.get_or_create(adm_div_code=adm_div_code)
    present = set(MonitoringRule.objects.filter(adm_div_code=adm_div_code).values_list("code", flat=True))
    MonitoringRule.objects.bulk_create(
        MonitoringRule(
            adm_div_code=adm_div_code,
            code=rule.code,
            severity=rule.severity,
            action=rule.action,
            parameters=rule.defaults,
            enabled=rule.start_enabled,
        )
        for rule in RULES.values()
        if rule.code not in present and not rule.hard
    )


@dataclass(frozen=True)
class RuleSet:
    """The settings of some regions, every version, by region and code; the last version of each code first."""

    regions: dict[str, dict[str, list[MonitoringRule]]] = field(default_factory=dict)

    def at(self, point: Point, adm_div_code: str, day: date) -> list[tuple[Rule, MonitoringRule]]:
        """Return what is asked at this point on this day, by code: the latest valid version of each, if it is on."""
        found = []
        for code, versions in self.regions.get(adm_div_code, {}).items():
            valid = next((version for version in versions if _is_valid(version, day)), None)
            if valid is not None and valid.enabled and point in RULES[code].points:
                found.append((RULES[code], valid))
        return found

    def needs(self, point: Point, adm_div_code: str, day: date) -> frozenset[Need]:
        """Return what must be looked up for the rules asked at this point, hard ones among them."""
        hard = [rule.needs for rule in HARD.values() if rule.evaluate is not None and point in rule.points]
        return frozenset().union(*hard, *(rule.needs for rule, _ in self.at(point, adm_div_code, day)))


def _is_valid(rule: RuleSettings, day: date) -> bool:
    begins, ends = rule.valid_from, rule.valid_to
    return (begins is None or begins <= day) and (ends is None or day <= ends)


def rules_of(adm_div_codes: Iterable[str]) -> RuleSet:
    """Read the rules of these regions (one query)."""
    regions: dict[str, dict[str, list[MonitoringRule]]] = {}
    rows = MonitoringRule.objects.filter(adm_div_code__in=set(adm_div_codes), code__in=RULES)
    for rule in rows.order_by("code", "-version"):
        regions.setdefault(rule.adm_div_code, {}).setdefault(rule.code, []).append(rule)
    return RuleSet(regions)


def screen(
    facts: Sequence[Any], *, point: Point = Point.PAYMENT_SUBMIT, rules: RuleSet | None = None
) -> dict[UUID, list[Hit]]:
    """Return for every document the rules it meets, in rule order; an empty list if it meets none.

    Every rule is evaluated, so that a clerk sees all hits at once. Writes nothing; one query whatever the batch, none
    if the rules are given.
    """
    rules = rules if rules is not None else rules_of(document.adm_div_code for document in facts)
    asked: dict[tuple[str, date], list[tuple[Rule, MonitoringRule]]] = {}
    hits: dict[UUID, list[Hit]] = {}
    for document in facts:
        key = document.adm_div_code, document.business_date
        if key not in asked:
            asked[key] = rules.at(point, *key)
        hits[document.document_id] = [
            hit for rule, setting in asked[key] if (hit := judge(rule, setting, document)) is not None
        ]
    return hits


def judge(rule: Rule, setting: MonitoringRule, document: Any) -> Hit | None:
    """Ask one rule, as one version sets it, about one document within its scope."""
    assert rule.evaluate is not None, "a rule with settings has something to evaluate"
    if not in_scope(setting.scope, document):
        return None
    found = rule.evaluate(document, rule.defaults | setting.parameters)
    return None if found is None else _hit(rule, setting, document.document_id, found)


def _hit(rule: Rule, setting: MonitoringRule, document_id: UUID, found: Finding) -> Hit:
    return Hit(
        document_id=document_id,
        rule_code=rule.code,
        rule_version=setting.version,
        rule_name=rule.name,
        severity=found.severity or setting.severity,
        action=found.action or setting.action,
        message=found.message,
        facts=found.seen,
        field=found.field,
        hint=setting.hint or rule.hint,
        attachment_required=setting.attachment_required,
    )


def hard_hits(facts: Sequence[Any], point: Point) -> dict[UUID, Hit]:
    """Return the first hard rule each document meets at this point; the caller refuses. No settings, no query."""
    found: dict[UUID, Hit] = {}
    for rule in HARD.values():
        if rule.evaluate is None or point not in rule.points:
            continue
        setting = MonitoringRule(code=rule.code, severity=rule.severity, action=rule.action)
        for document in facts:
            finding = rule.evaluate(document, {})
            if finding is not None and document.document_id not in found:
                found[document.document_id] = _hit(rule, setting, document.document_id, finding)
    return found


@transaction.atomic(savepoint=False)
def record_hits(
    *, facts: Sequence[Any], hits: dict[UUID, list[Hit]], at: datetime, point: Point = Point.PAYMENT_SUBMIT
) -> list[Alert]:
    """Keep what `screen` found and open the cases it calls for; returns the new alerts.

    A rule that has an alert on the same revision already is not recorded again. A hold on a document that another
    rule blocks waits for nobody: it is kept as blocked. The caller holds the documents' locks; the number of
    statements does not depend on how many.
    """
    found = [(document, hit) for document in facts for hit in hits.get(document.document_id, [])]
    if not found:
        return []
    kept = set(
        Alert.objects.filter(document_id__in={hit.document_id for _, hit in found}).values_list(
            "document_id", "revision", "rule_code"
        )
    )
    alerts = [
        _alert(document, hit, blocked=worst_action(hits[hit.document_id]) == Action.BLOCK, at=at, point=point)
        for document, hit in found
        if (hit.document_id, document.revision, hit.rule_code) not in kept
    ]
    copy_rows(alerts)
    open_cases(alerts, at=at)
    return alerts


def _alert(document: Any, hit: Hit, *, blocked: bool, at: datetime, point: Point) -> Alert:
    if hit.action in (Action.RECORD, Action.REMIND):
        state = AlertState.NOTED
    else:
        state = AlertState.BLOCKED if blocked else AlertState.PENDING
    return Alert(
        adm_div_code=document.adm_div_code,
        fiscal_year=document.fiscal_year,
        document_type=document.document_type,
        document_id=document.document_id,
        document_no=document.document_no,
        revision=document.revision,
        unit_code=document.unit_code,
        section=document.section,
        author_id=getattr(document, "author_id", None),
        point=point,
        business_date=document.business_date,
        rule_code=hit.rule_code,
        rule_version=hit.rule_version,
        severity=hit.severity,
        action=hit.action,
        field=hit.field[:80],
        message=hit.message,
        hint=hit.hint[:200],
        attachment_required=hit.attachment_required,
        facts=hit.facts,
        amount=document.amount,
        state=state,
        raised_at=at,
    )


def passed_rules(document_ids: Collection[UUID]) -> dict[UUID, set[tuple[int, str]]]:
    """Return for each document the (revision, rule code) pairs an officer has let pass; a key for every id."""
    passed: dict[UUID, set[tuple[int, str]]] = {document_id: set() for document_id in document_ids}
    rows = Alert.objects.filter(document_id__in=passed, state=AlertState.PASSED)
    for document_id, revision, rule_code in rows.values_list("document_id", "revision", "rule_code"):
        passed[document_id].add((revision, rule_code))
    return passed


@transaction.atomic(savepoint=False)
def dispose(
    *, document_ids: Collection[UUID], decision: Literal["pass", "reject"], reason: str, by: Actor, at: datetime
) -> None:
    """Decide on every waiting alert of these documents: all of them, or nothing is written.

    The caller holds the documents' locks and has checked that the officer is not the author.

    :raises RoleRequired: if the actor is no monitoring officer.
    :raises ReasonRequired: if the reason is empty or longer than 300 characters.
    :raises NothingPending: if one of the documents has no waiting alert.
    """
    if "monitor_officer" not in by.roles or by.person_id is None:
        raise RoleRequired("该操作需要岗位：动态监控。", field="role", role="monitor_officer", by=by.name)
    reason = reason.strip()
    if not 0 < len(reason) <= REASON_LENGTH:
        raise ReasonRequired(f"请填写处置理由（不超过 {REASON_LENGTH} 字）。", field="reason")
    waiting = Alert.objects.select_for_update(no_key=True).filter(
        document_id__in=document_ids, state=AlertState.PENDING
    )
    alerts = list(waiting.order_by("pk"))
    without = sorted(str(pk) for pk in set(document_ids) - {alert.document_id for alert in alerts})
    if without or not alerts:
        raise NothingPending("单据没有待处置的预警，可能已由他人处置。", field="document_id", document_ids=without)
    move(ALERT_FLOW, alerts, decision, by=by, at=at, reason=reason)
    copy_rows(
        [
            Disposition(
                adm_div_code=alert.adm_div_code,
                fiscal_year=alert.fiscal_year,
                alert=alert,
                decision=decision,
                reason=reason,
                person_id=by.person_id,
                actor_name=by.name,
                at=at,
            )
            for alert in alerts
        ]
    )
    close_disposed(alerts, decision, reason=reason, by=by, at=at)
