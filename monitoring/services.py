"""Screening documents against a region's rules, keeping the alerts, and deciding on those that wait."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db import transaction

from core.actors import Actor
from core.batch import copy_rows
from core.errors import RoleRequired
from core.transitions import move
from monitoring.errors import NothingPending, ReasonRequired
from monitoring.facts import Hit, PaymentFacts
from monitoring.levels import Action, worst_action
from monitoring.models import Alert, Disposition, MonitoringRule
from monitoring.registry import RULES
from monitoring.states import ALERT_FLOW, AlertState

REASON_LENGTH = 300


@transaction.atomic(savepoint=False)
def seed_rules(*, adm_div_code: str) -> None:
    """Give a region every rule of the catalogue it does not have, with the default settings."""
    present = set(MonitoringRule.objects.filter(adm_div_code=adm_div_code).values_list("code", flat=True))
    MonitoringRule.objects.bulk_create(
        MonitoringRule(
            adm_div_code=adm_div_code,
            code=rule.code,
            severity=rule.severity,
            action=rule.action,
            parameters=rule.defaults,
        )
        for rule in RULES.values()
        if rule.code not in present
    )


def screen(facts: Sequence[PaymentFacts]) -> dict[UUID, list[Hit]]:
    """Return for every document the rules it meets, in rule order; an empty list if it meets none.

    Every rule is evaluated, so that a clerk sees all hits at once. Writes nothing; one query whatever the batch.
    """
    rules = MonitoringRule.objects.filter(adm_div_code__in={f.adm_div_code for f in facts}, enabled=True)
    by_region: dict[str, list[MonitoringRule]] = defaultdict(list)
    for rule in rules.order_by("code", "version"):
        by_region[rule.adm_div_code].append(rule)
    return {document.document_id: _hits(document, by_region[document.adm_div_code]) for document in facts}


def _hits(facts: PaymentFacts, rules: Sequence[MonitoringRule]) -> list[Hit]:
    valid = {rule.code: rule for rule in rules if _is_valid(rule, facts)}  # the latest version of each code wins
    hits = []
    for code, setting in valid.items():
        rule = RULES[code]
        found = rule.evaluate(facts, setting.parameters)
        if found:
            message, seen = found
            hits.append(
                Hit(
                    document_id=facts.document_id,
                    rule_code=code,
                    rule_version=setting.version,
                    rule_name=rule.name,
                    severity=setting.severity,
                    action=setting.action,
                    message=message,
                    facts=seen,
                )
            )
    return hits


def _is_valid(rule: MonitoringRule, facts: PaymentFacts) -> bool:
    begins, ends = rule.valid_from, rule.valid_to
    return (begins is None or begins <= facts.business_date) and (ends is None or facts.business_date <= ends)


@transaction.atomic(savepoint=False)
def record_hits(*, facts: Sequence[PaymentFacts], hits: dict[UUID, list[Hit]], at: datetime) -> None:
    """Keep what `screen` found. A rule that has an alert on the same revision already is not recorded again.

    A hold on a document that another rule blocks waits for nobody: it is kept as blocked. The caller holds the
    documents' locks; one query and one COPY.
    """
    found = [(document, hit) for document in facts for hit in hits.get(document.document_id, [])]
    if not found:
        return
    kept = set(
        Alert.objects.filter(document_id__in={hit.document_id for _, hit in found}).values_list(
            "document_id", "revision", "rule_code"
        )
    )
    copy_rows(
        [
            _alert(document, hit, blocked=worst_action(hits[hit.document_id]) == Action.BLOCK, at=at)
            for document, hit in found
            if (hit.document_id, document.revision, hit.rule_code) not in kept
        ]
    )


def _alert(document: PaymentFacts, hit: Hit, *, blocked: bool, at: datetime) -> Alert:
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
        business_date=document.business_date,
        rule_code=hit.rule_code,
        rule_version=hit.rule_version,
        severity=hit.severity,
        action=hit.action,
        message=hit.message,
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
