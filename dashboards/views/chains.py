"""Review chains for the administrators: what is in force, drafts tried on a sample, and the second pair of eyes."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from budget.methods import METHODS
from budget.models import PaymentMode
from core.errors import NotFound, TreasuryError
from core.money import yuan
from dashboards.acting import Done, perform, uuid_or_none
from dashboards.desk import Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import text_of
from dashboards.refusals import findings_of
from parties.chain_rules import ChainFacts, Conditions, NodeSpec, conditions_of
from parties.chains import (
    KINDS,
    Sample,
    Trial,
    activate_chain,
    discard_draft,
    draft_chain,
    kind_label,
    posts_for,
    restore_chain,
    try_chain,
)
from parties.duties import Post
from parties.models import BudgetUnit, Person, ReviewChain
from parties.states import ChainState
from payments.models import BusinessType

READERS = (Post.SYSTEM_ADMIN, Post.SECURITY_ADMIN, Post.SECURITY_AUDITOR)
WRITERS = (Post.SYSTEM_ADMIN, Post.SECURITY_ADMIN)
ROWS = 8  # nodes a form offers
_NODE_FIELDS = ("post", "from", "to", "persons", "due", "remind", "below", "vacant")
_MODES, _BUSINESS = dict(PaymentMode.choices), dict(BusinessType.choices)


@dataclass(frozen=True)
class Profile:
    """All versions of one name, newest first; `active` is the one in force, if any."""

    kind: str
    name: str
    active: ReviewChain | None
    drafts: list[ReviewChain]
    older: list[ReviewChain]


@require_GET
@officer(*READERS)
def chain_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show every kind's chains in force with their nodes, drafts that wait for a second person, and older versions."""
    return _list(request, desk)


def _list(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    groups: dict[tuple[str, str], list[ReviewChain]] = defaultdict(list)
    rows = ReviewChain.objects.filter(adm_div_code=desk.actor.adm_div_code).prefetch_related("nodes")
    for row in rows.select_related("drafted_by", "activated_by").order_by("document_kind", "name", "-version"):
        groups[row.document_kind, row.name].append(row)
    profiles = [
        Profile(
            kind_label(kind),
            name,
            next((row for row in versions if row.state == ChainState.ACTIVE), None),
            [row for row in versions if row.state == ChainState.DRAFT],
            [row for row in versions if row.state == ChainState.RETIRED],
        )
        for (kind, name), versions in groups.items()
    ]
    profiles.sort(key=lambda one: (one.kind, one.active is None, not (one.active and one.active.is_default), one.name))
    context = {
        "profiles": profiles,
        "drafts": [draft for one in profiles for draft in one.drafts],
        "conditions": {row.pk: conditions_in_words(row.conditions) for members in groups.values() for row in members},
        "writer": desk.holds(*WRITERS),
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "chains/list.html", context, status=error.http_status if error else 200)


def conditions_in_words(data: Mapping[str, Any]) -> list[str]:
    """What a chain's conditions say, one phrase each; an empty list for the default."""
    conditions = conditions_of(data)
    named = (
        ("支付方式", (_MODES.get(code, code) for code in sorted(conditions.payment_modes))),
        ("资金性质", sorted(conditions.fund_natures)),
        ("业务类型", (_BUSINESS.get(code, code) for code in sorted(conditions.business_types))),
        ("标识", sorted(conditions.tags)),
        ("单位", sorted(conditions.units)),
        ("主管部门", sorted(conditions.departments)),
    )
    phrases = [f"{label}：{text}" for label, values in named for text in ["、".join(map(str, values))] if text]
    low, high = conditions.amount_from, conditions.amount_to
    if low is not None or high is not None:
        bounds = (f"{low:,.2f} 起" if low is not None else "", f"不到 {high:,.2f}" if high is not None else "")
        phrases.append("金额：" + "，".join(filter(None, bounds)))
    return phrases


def find_chain(desk: Desk, pk: UUID | None) -> ReviewChain:
    """:raises NotFound: for an unknown version, and one of another region."""
    rows = ReviewChain.objects.filter(adm_div_code=desk.actor.adm_div_code).prefetch_related("nodes")
    found = rows.select_related("drafted_by", "activated_by").filter(pk=pk).first() if pk else None
    if found is None:
        raise NotFound("没有这个版本，或不在您的权限范围内。", field="id")
    return found


@require_GET
@officer(*READERS)
def chain_detail(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show one version node by node, and try it on a sample (`?amount=…`)."""
    chain = find_chain(desk, pk)
    trial: Trial | None = None
    error: TreasuryError | None = None
    if "amount" in request.GET:
        try:
            trial = try_chain(chain, _sample(request, desk, chain), on=desk.today)
        except TreasuryError as refusal:
            error = refusal
    in_force = ReviewChain.objects.filter(
        adm_div_code=chain.adm_div_code, document_kind=chain.document_kind, name=chain.name, state=ChainState.ACTIVE
    ).exclude(pk=chain.pk)
    context = {
        "chain": chain,
        "kind": kind_label(chain.document_kind),
        "phrases": conditions_in_words(chain.conditions),
        "nodes": list(chain.nodes.all()),
        "instead_of": in_force.first(),
        "trial": trial,
        "units": list(BudgetUnit.objects.filter(adm_div_code=desk.actor.adm_div_code, active=True).order_by("code")),
        "modes": _modes_of(chain.document_kind),
        "business": BusinessType.choices if chain.document_kind != "plan" else [],
        "mine": chain.drafted_by_id is not None and chain.drafted_by_id == desk.actor.person_id,
        "writer": desk.holds(*WRITERS),
        "today": desk.today,
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "chains/detail.html", context, status=error.http_status if error else 200)


def _modes_of(kind: str) -> list[tuple[str, str]]:
    only = next((method.code for method in METHODS.values() if method.chain == kind), None)
    return [(str(code), str(label)) for code, label in PaymentMode.choices if only in (None, code)]


def _sample(request: HttpRequest, desk: Desk, chain: ReviewChain) -> Sample:
    amount = _amount(request.GET, "amount")
    if amount is None or amount <= 0:
        raise ChoiceInvalid("样例金额须大于零。", field="amount")
    unit = BudgetUnit.objects.filter(
        adm_div_code=desk.actor.adm_div_code, code=text_of(request.GET, "unit", "预算单位", most=15)
    ).first()
    if unit is None:
        raise ChoiceInvalid("请选择预算单位。", field="unit")
    staff_no = text_of(request.GET, "clerk", "经办人工号", most=30)
    clerk = Person.objects.filter(staff_no=staff_no, users__adm_div_code=desk.actor.adm_div_code).first()
    if staff_no and clerk is None:
        raise ChoiceInvalid("没有这个工号。", field="clerk")
    facts = ChainFacts(
        kind=chain.document_kind,
        amount=amount,
        payment_mode=text_of(request.GET, "mode", "支付方式", most=3),
        fund_nature=text_of(request.GET, "fund_nature", "资金性质", most=10),
        business_type=text_of(request.GET, "business_type", "业务类型", most=2),
        tags=frozenset(_codes(request.GET, "tags")),
        unit_code=unit.code,
        department_code=unit.department_code,
    )
    return Sample(facts, unit, clerk.pk if clerk else None)


def _codes(values: Mapping[str, str], name: str) -> list[str]:
    text = text_of(values, name, "条件", most=200)
    return [word for word in text.replace("、", " ").replace(",", " ").replace("，", " ").split() if word]


@require_http_methods(["GET", "POST"])
@officer(*WRITERS)
def chain_draft(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Ask for a new version: an empty form, one filled from an older version (`?from=`), or a draft to be kept."""
    if request.method == "GET":
        source = uuid_or_none(request.GET.get("from"))
        return _form(request, desk, _filled(find_chain(desk, source)) if source else {"kind": "payment_direct"})

    def do() -> Done:
        chain = draft_chain(**_drafted(request), by=desk.actor, now=desk.now)
        item = {"id": str(chain.pk), "no": str(chain), "state": chain.state, "label": chain.get_state_display()}
        return Done("草案已保存，请先试走，再由另一名管理员核准启用", reverse("chain-detail", args=[chain.pk]), [item])

    return perform(request, desk, do, failed=lambda error: _form(request, desk, request.POST.dict(), error))


def _filled(chain: ReviewChain) -> dict[str, str]:
    conditions = conditions_of(chain.conditions)
    values = {"kind": chain.document_kind, "name": chain.name, "priority": str(chain.priority)}
    for field in ("payment_modes", "business_types", "fund_natures", "tags", "units", "departments"):
        values[field] = " ".join(sorted(getattr(conditions, field)))
    values["amount_from"], values["amount_to"] = _text(conditions.amount_from), _text(conditions.amount_to)
    for node in chain.nodes.all():
        texts = (
            *(node.post, _text(node.amount_from), _text(node.amount_to), str(node.countersign)),
            *(str(node.due_hours or ""), str(node.remind_hours or "")),
            *(node.skip_if.get("amount_below", ""), "1" if node.skip_if.get("post_vacant") else ""),
        )
        values |= {f"node-{node.ordinal}-{field}": text for field, text in zip(_NODE_FIELDS, texts, strict=True)}
    return values


def _text(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:.2f}"


def _form(
    request: HttpRequest, desk: Desk, values: Mapping[str, str], error: TreasuryError | None = None
) -> HttpResponse:
    kind = values.get("kind", "payment_direct")
    rows = [
        {"number": number, **{field: values.get(f"node-{number}-{field}", "") for field in _NODE_FIELDS}}
        for number in range(1, ROWS + 1)
    ]
    context = {
        "values": values,
        "rows": rows,
        "kinds": KINDS.items(),
        "posts": [
            (post.value, post.label) for post in dict.fromkeys([*posts_for("payment_direct"), *posts_for("plan")])
        ],
        "kind": kind,
        "modes": PaymentMode.choices,
        "business": BusinessType.choices,
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "chains/form.html", context, status=error.http_status if error else 200)


def _drafted(request: HttpRequest) -> dict[str, Any]:
    post = request.POST
    nodes: list[NodeSpec] = []
    for number in range(1, ROWS + 1):
        if post.get(f"node-{number}-post"):
            nodes.append(_node(post, number, len(nodes) + 1))
    conditions = Conditions(
        **{
            name: frozenset(_codes(post, name))
            for name in ("payment_modes", "fund_natures", "business_types", "tags", "units", "departments")
        },
        amount_from=_amount(post, "amount_from"),
        amount_to=_amount(post, "amount_to"),
    )
    return {
        "document_kind": post.get("kind", ""),
        "name": text_of(post, "name", "名称", most=40),
        "note": text_of(post, "note", "说明", most=200),
        "priority": _whole(post, "priority") or 0,
        "nodes": nodes,
        "conditions": conditions,
    }


def _node(post: Mapping[str, str], number: int, ordinal: int) -> NodeSpec:
    key = f"node-{number}-"
    if post[key + "post"] not in Post.values:
        raise ChoiceInvalid(f"第 {number} 行的岗位不存在。", field=key + "post")
    below = _amount(post, key + "below")
    skip: dict[str, Any] = {"amount_below": f"{below:.2f}"} if below is not None else {}
    if post.get(key + "vacant"):
        skip["post_vacant"] = True
    return NodeSpec(
        ordinal=ordinal,
        post=post[key + "post"],
        amount_from=_amount(post, key + "from") or Decimal("0.00"),
        amount_to=_amount(post, key + "to"),
        countersign=_whole(post, key + "persons") or 1,
        skip_if=skip,
        due_hours=_whole(post, key + "due"),
        remind_hours=_whole(post, key + "remind"),
    )


def _amount(post: Mapping[str, str], name: str) -> Decimal | None:
    """Read an amount; thresholds are mostly whole, so "50000" is as good as "50000.00"."""
    text = post.get(name, "").strip().replace(",", "")
    return yuan(f"{text}.00" if text.isascii() and text.isdigit() else text) if text else None


def _whole(post: Mapping[str, str], name: str) -> int | None:
    text = post.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 5):
        raise ChoiceInvalid("请填写整数。", field=name, given=text[:20])
    return int(text) if text else None


def _decide(request: HttpRequest, desk: Desk, verb: str, service: Any) -> HttpResponse:
    def do() -> Done:
        pk = uuid_or_none(request.POST.get("id"))
        if pk is None:
            raise NotFound("没有这个版本。", field="id")
        chain = service(chain_id=pk, by=desk.actor, now=desk.now)
        item = {"id": str(chain.pk), "no": str(chain), "state": chain.state, "label": chain.get_state_display()}
        where = reverse("chain-detail", args=[chain.pk]) if chain.state == ChainState.DRAFT else reverse("chain-list")
        return Done(f"{verb}：{kind_label(chain.document_kind)} {chain.name} 第 {chain.version} 版", where, [item])

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@action("chain-list")
@officer(*WRITERS)
def activate(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Put another administrator's draft in force."""
    return _decide(request, desk, "已启用", activate_chain)


@action("chain-list")
@officer(*WRITERS)
def discard(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Give a draft up."""
    return _decide(request, desk, "已放弃草案", discard_draft)


@action("chain-list")
@officer(*WRITERS)
def restore(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Draft an older version anew."""
    return _decide(request, desk, "已恢复为新草案", restore_chain)
