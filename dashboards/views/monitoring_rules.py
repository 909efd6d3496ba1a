"""The catalogue of rules, one rule with its versions, and changes: proposed, rehearsed, enabled by a second person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET

from core.errors import NotFound, TreasuryError
from dashboards.acting import Done, perform
from dashboards.desk import BUREAU_READERS, Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import text_of, uuid_of
from dashboards.refusals import findings_of
from monitoring.changes import MOST_MONTHS, Settings, enable_change, propose_change, withdraw_change
from monitoring.definitions import Rule
from monitoring.levels import Severity
from monitoring.models import Alert, MonitoringRule, RuleChange, ScheduledRun
from monitoring.parameters import value_words
from monitoring.registry import CATALOGUE, RULES
from monitoring.scope import DIMENSIONS
from monitoring.services import rules_of
from monitoring.sources import without_source
from monitoring.states import RULE_KEEPERS, ChangeState
from parties.duties import Post
from payments.rehearsing import rehearse_change

KEEPERS = tuple(RULE_KEEPERS.split("|"))
READERS = (*BUREAU_READERS, Post.SYSTEM_ADMIN)
SHOWN_HITS = 200
OPEN = (ChangeState.PROPOSED, ChangeState.REHEARSED)


@dataclass(frozen=True)
class RuleRow:
    """A rule of the catalogue as the region applies it on its business day."""

    rule: Rule
    setting: MonitoringRule | None
    hits: int
    change: RuleChange | None
    mute: bool

    @property
    def standing(self) -> str:
        if self.rule.hard:
            return "硬性"
        if self.setting is None:
            return "未配置"
        if not self.setting.enabled:
            return "停用"
        return "无数据来源" if self.mute else "启用"

    @property
    def tone(self) -> str:
        return {"启用": "ok", "硬性": "ok", "无数据来源": "warn"}.get(self.standing, "off")


@require_GET
@officer(*READERS)
def rule_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show every rule with its trigger, level, action and what it found this year."""
    region = desk.actor.adm_div_code
    found = dict(
        Alert.objects.filter(adm_div_code=region, fiscal_year=desk.fiscal_year)
        .values_list("rule_code")
        .annotate(Count("pk"))
    )
    waiting = {c.code: c for c in RuleChange.objects.filter(adm_div_code=region, state__in=OPEN)}
    settings = _settings(desk)
    rows = [
        RuleRow(rule, settings.get(rule.code), found.get(rule.code, 0), waiting.get(rule.code), without_source(rule))
        for rule in CATALOGUE
    ]
    context = {
        "rows": rows,
        "on": sum(1 for row in rows if row.standing in ("启用", "硬性")),
        "waiting": len(waiting),
        "run": ScheduledRun.objects.filter(adm_div_code=region).order_by("-business_date").first(),
    }
    return render(request, "monitoring/rules.html", context)


def _settings(desk: Desk) -> dict[str, MonitoringRule]:
    """The version of each rule that counts on the region's business day, on or off."""
    day = desk.day.date if desk.day is not None else desk.now.date()
    versions = rules_of([desk.actor.adm_div_code]).regions.get(desk.actor.adm_div_code, {})
    found = {}
    for code, rules in versions.items():
        valid = [r for r in rules if (r.valid_from or day) <= day <= (r.valid_to or day)]
        if valid:
            found[code] = valid[0]
    return found


@require_GET
@officer(*READERS)
def rule_page(request: HttpRequest, desk: Desk, code: str) -> HttpResponse:
    """Show one rule: what it asks, its versions, its changes, and what the last rehearsal found."""
    return _page(request, desk, code)


def _page(request: HttpRequest, desk: Desk, code: str, error: TreasuryError | None = None) -> HttpResponse:
    rule = RULES.get(code)
    if rule is None:
        raise NotFound("没有这条规则。", field="code")
    region = desk.actor.adm_div_code
    versions = list(MonitoringRule.objects.filter(adm_div_code=region, code=code).order_by("-version"))
    setting = _settings(desk).get(code)
    changes = list(RuleChange.objects.filter(adm_div_code=region, code=code).order_by("-id")[:20])
    waiting = next((change for change in changes if change.state in OPEN), None)
    context = {
        "rule": rule,
        "row": RuleRow(rule, setting, 0, waiting, without_source(rule)),
        "setting": setting,
        "parameters": _parameters(rule, setting.parameters if setting is not None else {}),
        "versions": [(version, _parameters(rule, version.parameters)) for version in versions],
        "changes": changes,
        "waiting": waiting,
        "waiting_parameters": _parameters(rule, waiting.parameters) if waiting is not None else [],
        "hits": list(waiting.hits.order_by("-amount", "document_no")[:SHOWN_HITS]) if waiting is not None else [],
        "shown_hits": SHOWN_HITS,
        "mine": waiting is not None and waiting.proposed_by_id == desk.actor.person_id,
        "keeper": desk.holds(*KEEPERS),
        "severities": Severity.choices,
        "actions": [(a.value, a.label) for a in rule.actions],
        "dimensions": _dimensions(request.POST if error is not None else None, setting),
        "most_months": MOST_MONTHS,
        "errors": {finding.field for finding in findings_of(error)} if error is not None else set(),
        "findings": [(_target(f.field), f) for f in findings_of(error)] if error is not None else [],
    }
    return render(request, "monitoring/rule.html", context, status=error.http_status if error else 200)


def _target(field: str) -> str:
    return "note" if field in ("note", "code") else "settings"


def _parameters(rule: Rule, values: Mapping[str, str]) -> list[tuple[Any, str]]:
    return [(parameter, values.get(parameter.name, parameter.default)) for parameter in rule.parameters]


def _dimensions(post: Mapping[str, str] | None, setting: MonitoringRule | None) -> list[tuple[str, str, str]]:
    stored = setting.scope if setting is not None else {}
    return [
        (name, label, post.get(f"s-{name}", "") if post is not None else "，".join(stored.get(name, [])))
        for name, label in DIMENSIONS.items()
    ]


@action("rule-list")
@officer(*KEEPERS)
def propose(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Propose other settings for a rule; they count when another person has enabled them."""
    code = request.POST.get("code", "")

    def do() -> Done:
        change = propose_change(
            code=code,
            settings=_wished(request.POST, code),
            note=text_of(request.POST, "note", "变更理由"),
            by=desk.actor,
            now=desk.now,
        )
        return _done(change, "已提出变更，请试运行后由另一人启用")

    return perform(request, desk, do, failed=lambda error: _page(request, desk, code, error))


def _wished(post: Mapping[str, str], code: str) -> Settings:
    rule = RULES.get(code)
    if rule is None:
        raise NotFound("没有这条规则。", field="code")
    scope = {name: value_words(text_of(post, f"s-{name}", label)) for name, label in DIMENSIONS.items()}
    return Settings(
        severity=post.get("severity", ""),
        action=post.get("action", ""),
        parameters={p.name: text_of(post, f"p-{p.name}", p.label, most=1000) for p in rule.parameters},
        scope={name: values for name, values in scope.items() if values},
        attachment_required="attachment_required" in post,
        hint=text_of(post, "hint", "提示语", most=200),
        basis=text_of(post, "basis", "政策依据", most=200),
        enabled="enabled" in post,
        valid_from=_date_of(post, "valid_from", "生效日"),
        valid_to=_date_of(post, "valid_to", "失效日"),
    )


def _date_of(post: Mapping[str, str], name: str, label: str) -> date | None:
    text = post.get(name, "").strip()
    if not text:
        return None
    try:
        found = parse_date(text)
    except ValueError:
        found = None
    if found is None:
        raise ChoiceInvalid(f"{label}应为有效日期，如 2026-07-01。", field=name)
    return found


@action("rule-list")
@officer(*KEEPERS)
def rehearse(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Ask the proposed rule about the documents of the last months."""
    change = _change(request, desk)

    def do() -> Done:
        text = request.POST.get("months", "").strip()
        months = int(text) if text.isascii() and text.isdigit() and len(text) <= 2 else 0
        done = rehearse_change(change_id=change.id, months=months, by=desk.actor, now=desk.now)
        return _done(done, f"试运行完成：{done.judged} 笔单据中命中 {done.hit_count} 笔")

    return perform(request, desk, do, failed=lambda error: _page(request, desk, change.code, error))


@action("rule-list")
@officer(*KEEPERS)
def enable(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Put a rehearsed change into force; never by the person who proposed it."""
    change = _change(request, desk)

    def do() -> Done:
        rule = enable_change(change_id=change.id, by=desk.actor, now=desk.now)
        change.state = ChangeState.ENABLED
        return _done(change, f"已生效为第 {rule.version} 版")

    return perform(request, desk, do, failed=lambda error: _page(request, desk, change.code, error))


@action("rule-list")
@officer(*KEEPERS)
def withdraw(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Give up a change that is not in force."""
    change = _change(request, desk)

    def do() -> Done:
        reason = text_of(request.POST, "reason", "撤回理由")
        return _done(withdraw_change(change_id=change.id, reason=reason, by=desk.actor, now=desk.now), "已撤回变更")

    return perform(request, desk, do, failed=lambda error: _page(request, desk, change.code, error))


def _change(request: HttpRequest, desk: Desk) -> RuleChange:
    pk: UUID = uuid_of(request.POST, "id", "规则变更")
    change = RuleChange.objects.filter(Q(adm_div_code=desk.actor.adm_div_code), pk=pk).first()
    if change is None:
        raise NotFound("规则变更不存在。", field="id")
    return change


def _done(change: RuleChange, message: str) -> Done:
    item = {"id": str(change.pk), "no": change.code, "state": change.state, "label": change.get_state_display()}
    return Done(f"{change.code} {RULES[change.code].name}：{message}", reverse("rule-page", args=[change.code]), [item])
