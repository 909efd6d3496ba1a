"""Indicator documents (指标文): written, imported, split, decided and issued; and the code tables they stand on."""

import base64
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET, require_http_methods

from budget.code_import import KINDS, MAPPING
from budget.codes import ClassificationCode, EconomicMapping, TableImport
from budget.document_states import DocumentState
from budget.indicator_import import OPTIONAL, REQUIRED
from budget.ledgers import overdue_indicators
from budget.models import BudgetIndicator, DocumentKind, IndicatorDocument, PaymentMode
from budget.selectors import indicators_for
from budget.services import (
    DocumentInput,
    LineInput,
    cancel_documents,
    copy_codes,
    decide_documents,
    import_codes,
    import_indicators,
    issue_documents,
    save_document,
    submit_documents,
)
from budget.tables import MOST_BYTES, RowsRefused, TableInvalid
from budget.terms import Benefit, BudgetClass, DirectFund, Layer, Sanbao, Source, Terms
from core.errors import AmountInvalid, NotFound, TreasuryError, ValidationFailed
from core.models import Transition
from core.money import ZERO, yuan
from dashboards import selectors
from dashboards.acting import Done, accepted_item, action_key, chosen, done, perform, uuid_or_none
from dashboards.desk import READERS, Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import text_of
from dashboards.navigation import DOCUMENT_POSTS
from dashboards.refusals import findings_of, refused_items
from parties.duties import Post
from parties.models import BudgetUnit

BLANK_ROWS = 6
TERM_CHOICES = {
    "layer": Layer.choices,
    "payment_mode": PaymentMode.choices,
    "source": Source.choices,
    "budget_class": [("", "未分类"), *BudgetClass.choices],
    "sanbao": Sanbao.choices,
    "direct_fund": DirectFund.choices,
    "benefit": Benefit.choices,
}
ACTION_NAMES = {
    "submit": "提交审批",
    "cancel": "作废",
    "approve": "批准",
    "pass_on": "审核通过，送分管领导",
    "return": "退回",
    "reject": "否决",
    "issue": "下达",
}
CHANGES = (
    DocumentKind.ADD,
    DocumentKind.REDUCE,
    DocumentKind.TRANSFER,
    DocumentKind.FREEZE,
    DocumentKind.UNFREEZE,
    DocumentKind.RECOVER,
    DocumentKind.TAKE_BACK,
)


@require_GET
@officer(*DOCUMENT_POSTS)
def document_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List the year's documents; those that wait for the officer first."""
    return _list(request, desk)


def _list(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    state = request.GET.get("state", "")
    rows = selectors.documents(desk)
    if state in DocumentState.values:
        rows = rows.filter(state=state)
    page = selectors.page_of(rows, uuid_or_none(request.GET.get("before")))
    context = {
        "rows": page.rows,
        "following": page.following,
        "state": state,
        "states": DocumentState.choices,
        "waiting": list(selectors.documents_to_decide(desk)[:200]),
        "clerk": desk.holds(Post.BUDGET_CLERK),
        "me": desk.actor.person_id,
        "actionable": (DocumentState.DRAFT, DocumentState.RETURNED, DocumentState.APPROVED),
        "reasons": selectors.latest_reasons([row.pk for row in page.rows], ["return", "reject"]),
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "documents/list.html", context, status=error.http_status if error else 200)


@require_GET
@officer(*DOCUMENT_POSTS)
def document_detail(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show a document with its lines and the way it has gone."""
    document = selectors.documents(desk).filter(pk=pk).first()
    if document is None:
        raise NotFound("指标文不存在或不在您的权限范围内。", field="id")
    lines = list(document.lines.select_related("indicator", "parent", "unit", "payer_account").order_by("seq"))
    context = {
        "document": document,
        "lines": [(line, abs(line.amount), PaymentMode(line.payment_mode).label) for line in lines],
        "events": [
            (event, ACTION_NAMES[event.action], DocumentState(event.target).label)
            for event in Transition.objects.filter(document_id=document.pk).order_by("id")
        ],
        "clerk": desk.holds(Post.BUDGET_CLERK),
    }
    return render(request, "documents/detail.html", context)


@require_http_methods(["GET", "POST"])
@officer(Post.BUDGET_CLERK)
def new_document(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Write a document that changes indicators: `indicator`, `side` and `amount`, each repeated; `then=submit`."""
    return _write(request, desk, _changes, _changes_page)


@require_http_methods(["GET", "POST"])
@officer(Post.BUDGET_CLERK)
def new_indicator(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Write a document that makes one new indicator; many at once come by import."""
    return _write(request, desk, _terms_of_one, _terms_page)


@require_http_methods(["GET", "POST"])
@officer(Post.BUDGET_CLERK)
def split(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Give a department's indicator on to its units: `unit`, `gov_economic_code`, `payment_mode`, `amount` repeated."""
    parent = indicators_for(desk.actor, desk.fiscal_year).filter(pk=pk, layer=Layer.DEPARTMENT).first()
    if parent is None:
        raise NotFound("待分配指标不存在或不在您的权限范围内。", field="id")
    return _write(
        request,
        desk,
        lambda post: _split_lines(post, parent),
        lambda request, desk, error=None: _split_page(request, desk, parent, error),
    )


def _write(
    request: HttpRequest, desk: Desk, lines_of: Callable[[Any], list[LineInput]], shown: Callable[..., HttpResponse]
) -> HttpResponse:
    """Save what a form says and, if asked, submit it."""
    if request.method == "GET":
        return shown(request, desk)

    def do() -> Done:
        given = DocumentInput(
            kind=request.POST.get("kind", ""),
            doc_no=text_of(request.POST, "doc_no", "文号", most=60),
            lines=tuple(lines_of(request.POST)),
            note=text_of(request.POST, "note", "说明", most=200),
        )
        saved = save_document(given=given, clerk=desk.actor, now=desk.now, action_key=action_key(request))
        return _saved(request, desk, saved)

    return perform(request, desk, do, failed=lambda error: shown(request, desk, error))


def _saved(request: HttpRequest, desk: Desk, saved: IndicatorDocument) -> Done:
    address = reverse("document-detail", args=[saved.pk])
    if request.POST.get("then") != "submit":
        return Done("指标文已保存为草稿", address, [accepted_item(saved, saved.doc_no)])
    try:
        outcome = submit_documents(document_ids=[saved.pk], clerk=desk.actor, now=desk.now)
    except TreasuryError as refusal:
        items = refused_items(refusal, saved.pk, saved.doc_no)
        kept = [accepted_item(saved, saved.doc_no)]
        return Done("指标文已保存，但没有提交成功", address, kept, items, refusal.http_status)
    return done(outcome, verb="保存并提交", next=address, numbers={saved.pk: saved.doc_no}, no="doc_no")


def _changes(post: Any) -> list[LineInput]:
    """:raises ValidationFailed: naming the row of each amount or choice that cannot be read."""
    transfer = post.get("kind") == DocumentKind.TRANSFER
    columns = [post.getlist("indicator"), post.getlist("amount")]
    sides = post.getlist("side") or [""] * len(columns[0])
    lines, found = [], list[TreasuryError]()
    filled = [row for row in zip(*columns, sides, strict=False) if row[0] or row[1]]
    for number, (indicator, amount, side) in enumerate(filled, start=1):
        indicator_id = uuid_or_none(indicator)
        if indicator_id is None:
            found.append(ChoiceInvalid(f"第 {number} 行请选择指标。", field=f"lines.{number}.indicator_id"))
            continue
        value = _amount(amount, number, found)
        lines.append(LineInput(amount=-value if transfer and side == "out" else value, indicator_id=indicator_id))
    if found:
        raise ValidationFailed(found)
    return lines


def _amount(text: str, number: int, found: list[TreasuryError]) -> Any:
    try:
        return yuan(text.strip(), field=f"lines.{number}.amount")
    except AmountInvalid as error:
        found.append(AmountInvalid(f"第 {number} 行：{error.message}", field=error.field))
        return ZERO


def _terms_of_one(post: Any) -> list[LineInput]:
    level = post.get("source_level", "").strip()
    found: list[TreasuryError] = []
    amount = _amount(post.get("amount", ""), 1, found)
    if level and level not in "12345":
        found.append(ChoiceInvalid("来源级次应为 1 至 5。", field="lines.1.source_level"))
    if found:
        raise ValidationFailed(found)
    texts = ("unit_code", "fund_nature", "function_code", "gov_economic_code", "project_code", "project_name")
    terms = Terms(
        **{name: text_of(post, name, "内容", most=100) for name in (*texts, "upper_doc_no")},
        **{name: post.get(name, "") for name in TERM_CHOICES},
        source_level=int(level) if level else None,
        received_on=parse_date(post.get("received_on", "").strip()[:10]) if post.get("received_on") else None,
        to_person_or_firm=bool(post.get("to_person_or_firm")),
        procurement=bool(post.get("procurement")),
    )
    return [LineInput(amount=amount, terms=terms, payer_account_no=text_of(post, "payer_account_no", "账号", most=32))]


def _split_lines(post: Any, parent: BudgetIndicator) -> list[LineInput]:
    found: list[TreasuryError] = []
    columns = [post.getlist(name) for name in ("unit", "gov_economic_code", "payment_mode", "amount")]
    lines = []
    filled = [row for row in zip(*columns, strict=False) if row[0] or row[3]]
    for number, (unit, economic, mode, amount) in enumerate(filled, start=1):
        terms = Terms(
            unit_code=unit.strip()[:20],
            fund_nature=parent.fund_nature,
            function_code=parent.function_code,
            gov_economic_code=economic.strip()[:20],
            payment_mode=mode,
        )
        lines.append(LineInput(amount=_amount(amount, number, found), parent_id=parent.pk, terms=terms))
    if found:
        raise ValidationFailed(found)
    return lines


def _changes_page(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    post = request.POST
    rows = list(zip(post.getlist("indicator"), post.getlist("side"), post.getlist("amount"), strict=False))
    chosen_one = request.GET.get("indicator", "")
    rows = rows or ([(chosen_one, "", "")] if chosen_one else [])
    context = {
        "kinds": [(kind.value, kind.label) for kind in CHANGES],
        "indicators": list(indicators_for(desk.actor, desk.fiscal_year)),
        "rows": rows + [("", "", "")] * (BLANK_ROWS - len(rows)),
        **_found(error),
    }
    return render(request, "documents/new.html", context, status=error.http_status if error else 200)


def _terms_page(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    codes = ClassificationCode.objects.filter(fiscal_year=desk.fiscal_year, ended=False).order_by("code")
    context = {
        "kinds": [(kind.value, kind.label) for kind in (DocumentKind.INITIAL, DocumentKind.ADD)],
        "units": list(BudgetUnit.objects.filter(adm_div_code=desk.actor.adm_div_code).order_by("code")),
        "choices": TERM_CHOICES,
        "functions": [code for code in codes if code.kind == "function" and len(code.code) == 7],
        "economic": [code for code in codes if code.kind == "gov_economic" and len(code.code) == 5],
        "funds": [code for code in codes if code.kind == "fund_nature"],
        **_found(error),
    }
    return render(request, "documents/new_indicator.html", context, status=error.http_status if error else 200)


def _split_page(
    request: HttpRequest, desk: Desk, parent: BudgetIndicator, error: TreasuryError | None = None
) -> HttpResponse:
    post = request.POST
    names = ("unit", "gov_economic_code", "payment_mode", "amount")
    rows = list(zip(*(post.getlist(name) for name in names), strict=False))
    codes = ClassificationCode.objects.filter(fiscal_year=desk.fiscal_year, kind="gov_economic", ended=False)
    context = {
        "parent": parent,
        "units": list(
            BudgetUnit.objects.filter(
                adm_div_code=desk.actor.adm_div_code, department_code=parent.unit.department_code
            ).order_by("code")
        ),
        "economic": [code for code in codes.order_by("code") if len(code.code) == 5],
        "modes": PaymentMode.choices,
        "rows": rows + [("", parent.gov_economic_code, "", "")] * (BLANK_ROWS - len(rows)),
        **_found(error),
    }
    return render(request, "documents/split.html", context, status=error.http_status if error else 200)


def _found(error: TreasuryError | None) -> dict[str, Any]:
    findings = findings_of(error) if error else []
    named = [(f.field.split(".")[-1] if f.field.startswith("lines.1.") else f.field, f) for f in findings]
    return {"findings": named, "errors": {name: f.message for name, f in named}}


# Moves --------------------------------------------------------------------------------------------------------------


def _numbers(ids: list[UUID]) -> dict[UUID, str]:
    return dict(IndicatorDocument.objects.filter(pk__in=ids).values_list("pk", "doc_no"))


@action("document-list")
@officer(Post.BUDGET_CLERK)
def move_documents(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Submit, give up or issue documents: `do` says which."""

    def do() -> Done:
        ids, what = chosen(request), request.POST.get("do", "")
        services = {"submit": (submit_documents, "提交"), "cancel": (cancel_documents, "作废")}
        services |= {"issue": (issue_documents, "下达")}
        if what not in services:
            raise ChoiceInvalid("请选择要办理的事项。", field="do")
        service, verb = services[what]
        outcome = service(document_ids=ids, clerk=desk.actor, now=desk.now)
        return done(outcome, verb=verb, next=reverse("document-list"), numbers=_numbers(ids), no="doc_no")

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@action("document-list")
@officer(Post.BUDGET_CLERK)
def issue(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Issue approved documents: their indicators are made and changed now."""

    def do() -> Done:
        ids = chosen(request)
        outcome = issue_documents(document_ids=ids, clerk=desk.actor, now=desk.now)
        return done(outcome, verb="下达", next=reverse("document-list"), numbers=_numbers(ids), no="doc_no")

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@action("document-list")
@officer(Post.BUDGET_APPROVER, Post.BUREAU_LEADER)
def decide(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Approve, return or reject documents made by somebody else."""

    def do() -> Done:
        ids, decision = chosen(request), request.POST.get("decision", "")
        outcome = decide_documents(
            document_ids=ids,
            officer=desk.actor,
            decision=decision,
            reason=text_of(request.POST, "reason", "意见"),
            now=desk.now,
        )
        verb = {"approve": "批准", "return": "退回", "reject": "否决"}[decision]
        return done(outcome, verb=verb, next=reverse("document-list"), numbers=_numbers(ids), no="doc_no")

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


# Tables -------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@officer(Post.BUDGET_CLERK)
def import_page(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Bring a file of new indicators; what is wrong comes back beside each row, in a file of the same form."""
    if request.method == "GET":
        return _import_page(request)

    def do() -> Done:
        name, data = _file(request)
        saved = import_indicators(
            kind=request.POST.get("kind", ""),
            doc_no=text_of(request.POST, "doc_no", "文号", most=60),
            note=text_of(request.POST, "note", "说明", most=200),
            file_name=name,
            data=data,
            clerk=desk.actor,
            now=desk.now,
            action_key=action_key(request),
        )
        return _saved(request, desk, saved)

    return perform(request, desk, do, failed=lambda error: _import_page(request, error))


def _import_page(request: HttpRequest, error: TreasuryError | None = None) -> HttpResponse:
    context = {
        "kinds": [(kind.value, kind.label) for kind in (DocumentKind.INITIAL, DocumentKind.ADD)],
        "required": REQUIRED,
        "optional": OPTIONAL,
        **_refused_rows(error),
    }
    return render(request, "documents/import.html", context, status=error.http_status if error else 200)


def _refused_rows(error: TreasuryError | None) -> dict[str, Any]:
    if not isinstance(error, RowsRefused):
        return _found(error)
    name, content = error.error_file
    kind = "text/csv" if name.endswith(".csv") else "application/octet-stream"
    link = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return {**_found(error), "row_errors": error.shown, "error_name": name, "error_link": link}


def _file(request: HttpRequest) -> tuple[str, bytes]:
    """:raises TableInvalid: without a file, or with one that is too large to look at."""
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        raise TableInvalid("请选择文件。", field="file")
    return str(file.name)[:120], file.read(MOST_BYTES + 1)


@require_http_methods(["GET", "POST"])
@officer(Post.BUDGET_CLERK, Post.BUDGET_APPROVER)
def code_tables(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show a year's code tables; bring one from a file, or begin a year with another year's (`from_year`)."""
    if request.method == "GET":
        return _code_page(request, desk)

    def do() -> Done:
        year = _year_of(request.POST.get("year", ""), "year")
        address = f"{reverse('code-tables')}?year={year}"
        if "from_year" in request.POST:
            before = _year_of(request.POST["from_year"], "from_year")
            made = copy_codes(from_year=before, to_year=year, clerk=desk.actor, now=desk.now)
            return Done(f"已从 {before} 年度复制 {made.added} 条", address)
        name, data = _file(request)
        kind = request.POST.get("kind", "")
        made = import_codes(fiscal_year=year, kind=kind, file_name=name, data=data, clerk=desk.actor, now=desk.now)
        return Done(
            f"导入完成：新增 {made.added} 条，更改 {made.changed} 条，未变 {made.unchanged} 条",
            f"{address}&kind={kind}",
        )

    return perform(request, desk, do, failed=lambda error: _code_page(request, desk, error))


def _year_of(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) == 4):
        raise ChoiceInvalid("年度应为四位数字。", field=field)
    return int(text)


def _code_page(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    wanted = request.POST.get("year") or request.GET.get("year", "")
    year = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) == 4 else desk.fiscal_year
    kind = request.POST.get("kind") or request.GET.get("kind", "function")
    kind = kind if kind in KINDS else "function"
    if kind == MAPPING:
        pairs = EconomicMapping.objects.filter(fiscal_year=year).order_by("gov_code", "dept_code")
        rows = [(pair.gov_code, f"{pair.dept_code}（{pair.unit_nature}）", False) for pair in pairs]
    else:
        codes = ClassificationCode.objects.filter(fiscal_year=year, kind=kind).order_by("code")
        rows = [(code.code, code.name, code.ended) for code in codes]
    context = {
        "year": year,
        "years": sorted({*ClassificationCode.objects.values_list("fiscal_year", flat=True), desk.fiscal_year}),
        "kind": kind,
        "kinds": KINDS.items(),
        "rows": rows,
        "clerk": desk.holds(Post.BUDGET_CLERK),
        "empty_year": year + 1,
        "imports": TableImport.objects.filter(adm_div_code=desk.actor.adm_div_code, fiscal_year=year).order_by("-id")[
            :10
        ],
        **_refused_rows(error),
    }
    return render(request, "codes/tables.html", context, status=error.http_status if error else 200)


@require_GET
@officer(*READERS)
def overdue(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List money from above that was not given on in time."""
    today = desk.day.date if desk.day is not None else desk.now.date()
    rows = overdue_indicators(desk.actor, desk.fiscal_year, today)
    return render(request, "documents/overdue.html", {"rows": rows, "clerk": desk.holds(Post.BUDGET_CLERK)})
