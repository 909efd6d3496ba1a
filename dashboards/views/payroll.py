"""Salary batches and benefit lists: the list, the file in, the way to the bank, and what came back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET

from budget.selectors import dept_codes_for, indicators_for
from core.errors import NotFound, RoleRequired, TreasuryError
from core.models import Transition
from dashboards import selectors
from dashboards.acting import Done, accepted_item, chosen, done, perform, uuid_or_none
from dashboards.desk import READERS, Desk, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import month_of, text_of, uuid_of
from dashboards.masking import mask_account, mask_name
from dashboards.refusals import Finding, findings_of, refused_items
from parties.duties import Post
from payroll import progress, services
from payroll.errors import FileRefused, RowError, RowsInvalid
from payroll.models import BenefitList, ImportRejection, SalaryBatch, Withholding
from payroll.parsing import BENEFIT_TEMPLATE, PERSON_COLUMNS, SALARY_TEMPLATE
from payroll.spreadsheets import error_file, template

ROSTER_READERS = (*READERS, Post.ROSTER_CHECKER)
ROWS = 50
PAGE = 20
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True)
class Kind:
    """One of the two kinds of roster, as the pages need it."""

    model: type[Any]
    title: str
    page: str  # prefix of the addresses' names
    columns: tuple[str, ...]
    posts: tuple[str, ...]


KINDS = {
    "salary": Kind(SalaryBatch, "统发工资", "salary", SALARY_TEMPLATE, ROSTER_READERS),
    "benefit": Kind(BenefitList, "惠民补贴", "benefit", BENEFIT_TEMPLATE, READERS),
}
# Who may press what on rosters in which state; the services decide again.
STEPS: Mapping[str, tuple[tuple[str, str, str, tuple[str, ...]], ...]] = {
    "salary": (
        ("submit", "提交核定", "unit_clerk", ("draft",)),
        ("check", "编办人社核定", "roster_checker", ("submitted",)),
        ("confirm", "财政核定", "section_reviewer", ("checked",)),
        ("return", "退回", "roster_checker", ("submitted",)),
        ("return", "退回", "section_reviewer", ("checked",)),
        ("void", "作废", "unit_clerk", ("draft", "confirmed", "generated")),
    ),
    "benefit": (
        ("publish", "开始公示", "unit_clerk", ("draft",)),
        ("confirm", "财政核定", "section_reviewer", ("published",)),
        ("return", "退回", "section_reviewer", ("published",)),
        ("void", "作废", "unit_clerk", ("draft", "confirmed", "generated")),
    ),
}
NOT_FOR_MANY = ("generated",)  # voiding what has payments is done on the roster's own page


@require_GET
@officer(*ROSTER_READERS)
def roster_list(request: HttpRequest, desk: Desk, what: str) -> HttpResponse:
    """List the year's rosters with how far each has come; for clerks with the form for a file."""
    _check_post(desk, what)
    return _list(request, desk, what)


def _check_post(desk: Desk, what: str) -> None:
    """:raises RoleRequired: for who checks pay and has no part in benefits."""
    if not desk.holds(*KINDS[what].posts):
        raise RoleRequired(f"该页面需要岗位：{'|'.join(KINDS[what].posts)}。", field="role", by=desk.actor.name)


def _list(request: HttpRequest, desk: Desk, what: str, error: TreasuryError | None = None) -> HttpResponse:
    kind = KINDS[what]
    rows = progress.visible_rosters(kind.model, desk.actor).filter(fiscal_year=desk.fiscal_year)
    page = selectors.page_of(rows, uuid_or_none(request.GET.get("before")), PAGE)
    standing = progress.progress_of(kind.model, page.rows)
    steps = _steps(desk, what)
    clerk = desk.holds("unit_clerk")
    indicators = list(indicators_for(desk.actor, desk.fiscal_year).filter(quota__isnull=False)) if clerk else []
    context = {
        "what": what,
        "title": kind.title,
        "names": _names(kind),
        "rows": [(row, standing[row.id], _may(steps, row.state)) for row in page.rows],
        "following": page.following,
        "steps": steps,
        "clerk": clerk,
        "returning": any(step == "return" for step, *_ in steps),
        "indicators": indicators,
        "codes": _codes(indicators) if what == "benefit" else [],
        "kinds": SalaryBatch.Kind.choices,
        "months": range(1, 13),
        "month_now": desk.day.date.month if desk.day else desk.now.month,
        "rejections": list(_rejections(desk, what)[:5]) if clerk else [],
        **_said(error),
    }
    return render(request, "payroll/list.html", context, status=error.http_status if error else 200)


def _said(error: TreasuryError | None) -> dict[str, Any]:
    """The findings of a refusal; of a refused file the first errors, row by row."""
    if isinstance(error, RowsInvalid):
        found = [Finding(error.code, "file", str(wrong)) for wrong in error.errors[:10]]
        rest = error.counted - len(found)
        if rest:
            found.append(Finding(error.code, "file", f"还有 {rest} 处，见错误清单。"))
    else:
        found = findings_of(error) if error else []
    fields = {"indicator_id": "indicator"}
    named = [(fields.get(f.field, f.field), f) for f in found]
    return {"findings": named, "errors": {name: f.message for name, f in reversed(named)}}


def _names(kind: Kind) -> dict[str, str]:
    """The addresses of one kind's pages, by what they do."""
    plain = {name: reverse(f"{kind.page}-{name}") for name in ("list", "import", "template", "step")}
    return plain | {"roster": f"{kind.page}-roster"}


def _steps(desk: Desk, what: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """What the officer may press, each with the states it is for."""
    return [(step, label, states) for step, label, post, states in STEPS[what] if desk.holds(post)]


def _may(steps: list[tuple[str, str, tuple[str, ...]]], state: str) -> bool:
    return state not in NOT_FOR_MANY and any(state in states for _, _, states in steps)


def _codes(indicators: list[Any]) -> list[tuple[str, str]]:
    codes = {code.code: code.name for indicator in indicators for code in dept_codes_for(indicator)}
    return sorted(codes.items())


def _rejections(desk: Desk, what: str) -> Any:
    rows = ImportRejection.objects.filter(
        adm_div_code=desk.actor.adm_div_code, unit_code__in=desk.actor.units, what=what
    )
    return rows.order_by("-id")


def import_file(request: HttpRequest, what: str) -> HttpResponse:
    """Take a file in, whole or not at all; the errors of a refused one are kept for the clerk."""
    return _posted(request, what, _import)


@officer("unit_clerk")
def _import(request: HttpRequest, desk: Desk, what: str) -> HttpResponse:
    kind = KINDS[what]

    def do() -> Done:
        file = _source(request)
        header: Any = _salary_header(request) if what == "salary" else _benefit_header(request)
        take: Callable[..., Any] = services.import_salary_batch if what == "salary" else services.import_benefit_list
        try:
            made = take(header=header, file=file, clerk=desk.actor, now=desk.now)
        except RowsInvalid as refusal:
            services.keep_rejection(
                refusal=refusal, what=what, indicator_id=header.indicator_id, file=file, clerk=desk.actor, now=desk.now
            )
            raise
        item = accepted_item(made, made.roster_no)
        return Done(f"已导入 {made.head_count} 人，{made.title}", _address(kind, made.pk), [item])

    return perform(request, desk, do, failed=lambda error: _list(request, desk, what, error))


def _source(request: HttpRequest) -> services.SourceFile:
    upload = request.FILES.get("file")
    if upload is None or not upload.name or upload.file is None:
        raise FileRefused("请选择要导入的文件。", field="file")
    return services.SourceFile(upload.name, upload.size or 0, upload.file)


def _salary_header(request: HttpRequest) -> services.SalaryHeader:
    post = request.POST
    return services.SalaryHeader(uuid_of(post, "indicator", "指标"), month_of(post), post.get("kind", ""))


def _benefit_header(request: HttpRequest) -> services.BenefitHeader:
    post = request.POST
    days = {}
    for name, label in (("notice_from", "公示起"), ("notice_to", "公示止")):
        try:
            day = parse_date(post.get(name, ""))
        except ValueError:
            day = None
        if day is None:
            raise ChoiceInvalid(f"请填写{label}日期。", field=name)
        days[name] = day
    return services.BenefitHeader(
        indicator_id=uuid_of(post, "indicator", "指标"),
        dept_economic_code=post.get("dept_economic_code", ""),
        policy=text_of(post, "policy", "补贴政策", most=40),
        period=text_of(post, "period", "补贴期间", most=20),
        township=text_of(post, "township", "乡镇街道", most=30),
        **days,
    )


@require_GET
@officer("unit_clerk")
def roster_template(request: HttpRequest, desk: Desk, what: str) -> HttpResponse:
    """An empty spreadsheet with the names of the columns."""
    kind = KINDS[what]
    return _download(template(kind.columns, texts=PERSON_COLUMNS, title=kind.title), f"{what}-template.xlsx")


@require_GET
@officer("unit_clerk")
def roster_errors(request: HttpRequest, desk: Desk, what: str, pk: UUID) -> HttpResponse:
    """The errors of a file that was not imported, as a spreadsheet."""
    kept = _rejections(desk, what).filter(pk=pk).first()
    if kept is None:
        raise NotFound("错误清单不存在。", field="id")
    return _download(error_file(RowError(*error) for error in kept.errors), f"errors-{kept.at:%Y%m%d%H%M}.xlsx")


def _download(data: bytes, name: str) -> HttpResponse:
    return HttpResponse(data, content_type=XLSX, headers={"Content-Disposition": f'attachment; filename="{name}"'})


# One roster ---------------------------------------------------------------------------------------------------------


@require_GET
@officer(*ROSTER_READERS)
def roster_page(request: HttpRequest, desk: Desk, what: str, pk: UUID) -> HttpResponse:
    """Show one roster: how far it has come, what it consists of, what failed, and its rows, persons masked."""
    _check_post(desk, what)
    return _page(request, desk, what, pk)


def _page(request: HttpRequest, desk: Desk, what: str, pk: UUID, error: TreasuryError | None = None) -> HttpResponse:
    kind = KINDS[what]
    roster = progress.visible_roster(kind.model, pk, desk.actor)
    standing = progress.progress_of(kind.model, [roster])[roster.id]
    after = request.GET.get("after", "")
    first = int(after) if after.isascii() and after.isdigit() and len(after) < 8 else 0
    rows = list(
        roster.rows.filter(row_no__gt=first)
        .select_related("detail__request", "detail__receipt_line")
        .order_by("row_no")[: ROWS + 1]
    )
    results = progress.results_of(rows[:ROWS])
    requests = progress.requests_of(kind.model, pk, desk.actor)
    clerk = desk.holds("unit_clerk")
    reader = desk.holds(*READERS)
    failed = progress.failed_lines(kind.model, pk, desk.actor) if standing.failed.lines else []
    steps = [(step, label) for step, label, states in _steps(desk, what) if roster.state in states]
    if standing.lines > standing.dropped.lines:
        steps = []  # somebody is paid, or is being paid: nothing is voided any more
    context = {
        "what": what,
        "title": kind.title,
        "names": _names(kind),
        "roster": roster,
        "standing": standing,
        "requests": requests if reader else [],
        "request_count": len(requests),
        "rows": [_shown(row, results.get(row.id)) for row in rows[:ROWS]],
        "after": rows[ROWS - 1].row_no if len(rows) > ROWS else "",
        "first": first,
        "failed": [_failed(line) for line in failed],
        "withheld": [(label, getattr(roster, value)) for value, label in Withholding.choices if what == "salary"],
        "steps": steps,
        "returning": any(step == "return" for step, _ in steps),
        "may_generate": clerk and roster.state == "confirmed",
        "may_submit": clerk and any(request.state in ("draft", "returned") for request in requests),
        "clerk": clerk,
        "events": list(Transition.objects.filter(document_id=roster.id).order_by("id")),
        **_said(error),
    }
    return render(request, "payroll/roster.html", context, status=error.http_status if error else 200)


def _shown(row: Any, line: Any) -> dict[str, Any]:
    """A row as lists show it."""
    receipt = getattr(line, "receipt_line", None) if line is not None else None
    return {
        "row_no": row.row_no,
        "name": mask_name(row.name),
        "identity": row.identity_masked,
        "card": mask_account(line.payee_account_no if line is not None else row.card_no),
        "bank": row.bank_name,
        "gross": getattr(row, "gross", None),
        "standard": getattr(row, "standard", None),
        "quantity": getattr(row, "quantity", None),
        "amount": row.net if hasattr(row, "net") else row.amount,
        "line": line,
        "reason": receipt.reason if receipt is not None else "",
        "request": line.request if line is not None else None,
    }


def _failed(line: progress.FailedLine) -> dict[str, Any]:
    """A failed row; the clerk who mends it sees the name and card as they stand on the voucher."""
    return {
        "id": line.detail.id,
        "row_no": line.row_no,
        "name": line.detail.payee_name if line.row_no is None else mask_name(line.detail.payee_name),
        "identity": line.identity_masked,
        "card": mask_account(line.detail.payee_account_no),
        "bank": line.detail.payee_bank_name,
        "amount": line.detail.amount,
        "reason": line.reason,
        "request": line.detail.request,
    }


def step(request: HttpRequest, what: str) -> HttpResponse:
    """Submit, check, confirm, publish, return or void the chosen rosters."""
    return _posted(request, what, _step)


@officer("unit_clerk", Post.ROSTER_CHECKER, "section_reviewer")
def _step(request: HttpRequest, desk: Desk, what: str) -> HttpResponse:
    kind = KINDS[what]

    def do() -> Done:
        ids, wanted = chosen(request), request.POST.get("step", "")
        labels = {step: label for step, label, *_ in STEPS[what]}
        if wanted not in labels:
            raise ChoiceInvalid("请选择要办理的步骤。", field="step")
        reason = text_of(request.POST, "reason", "原因")
        outcome = _take(wanted, kind, ids, desk, reason)
        numbers = dict(kind.model.objects.filter(pk__in=ids).values_list("pk", "roster_no"))
        back = _address(kind, ids[0]) if request.POST.get("back") == "roster" else _names(kind)["list"]
        return done(outcome, verb=labels[wanted], next=back, numbers=numbers, no="roster_no")

    return perform(request, desk, do, failed=lambda error: _list(request, desk, what, error))


def _take(step: str, kind: Kind, ids: list[UUID], desk: Desk, reason: str) -> Any:
    """One service for one step."""
    who, now = desk.actor, desk.now
    if step == "return":
        return services.return_rosters(model=kind.model, ids=ids, officer=who, reason=reason, now=now)
    if step == "void":
        return services.void_rosters(model=kind.model, ids=ids, clerk=who, reason=reason, now=now)
    if step == "submit":
        return services.submit_salary_batches(batch_ids=ids, clerk=who, now=now)
    if step == "check":
        return services.check_salary_batches(batch_ids=ids, checker=who, now=now)
    if step == "publish":
        return services.publish_benefit_lists(list_ids=ids, clerk=who, now=now)
    if kind.model is SalaryBatch:
        return services.confirm_salary_batches(batch_ids=ids, reviewer=who, now=now)
    return services.confirm_benefit_lists(list_ids=ids, reviewer=who, now=now)


def generate(request: HttpRequest, what: str, pk: UUID) -> HttpResponse:
    """Make the payment requests of a confirmed roster and submit them for review."""
    return _posted(request, what, _generate, pk=pk)


@officer("unit_clerk")
def _generate(request: HttpRequest, desk: Desk, what: str, pk: UUID) -> HttpResponse:
    kind = KINDS[what]

    def do() -> Done:
        made = services.generate_payments(model=kind.model, roster_id=pk, clerk=desk.actor, now=desk.now)
        try:
            outcome = services.submit_payments(model=kind.model, roster_id=pk, clerk=desk.actor, now=desk.now)
        except TreasuryError as refusal:
            items = [accepted_item(row, row.request_no) for row in made]
            refused = [item for row in made for item in refused_items(refusal, row.pk, row.request_no)]
            return Done("支付申请已生成，但没有提交成功", _address(kind, pk), items, refused, refusal.http_status)
        numbers = {row.pk: row.request_no for row in made}
        return done(outcome, verb="生成并提交支付申请", next=_address(kind, pk), numbers=numbers)

    return perform(request, desk, do, failed=lambda error: _page(request, desk, what, pk, error))


def submit_again(request: HttpRequest, what: str, pk: UUID) -> HttpResponse:
    """Submit what is still, or again, a draft among the payments of a roster."""
    return _posted(request, what, _submit, pk=pk)


@officer("unit_clerk")
def _submit(request: HttpRequest, desk: Desk, what: str, pk: UUID) -> HttpResponse:
    kind = KINDS[what]

    def do() -> Done:
        outcome = services.submit_payments(model=kind.model, roster_id=pk, clerk=desk.actor, now=desk.now)
        return done(outcome, verb="提交支付申请", next=_address(kind, pk))

    return perform(request, desk, do, failed=lambda error: _page(request, desk, what, pk, error))


def reissue(request: HttpRequest, what: str, pk: UUID) -> HttpResponse:
    """Pay the ticked failed rows again, each to the card typed beside it or to the same one."""
    return _posted(request, what, _reissue, pk=pk)


@officer("unit_clerk")
def _reissue(request: HttpRequest, desk: Desk, what: str, pk: UUID) -> HttpResponse:
    kind = KINDS[what]

    def do() -> Done:
        ids = chosen(request)
        outcome = services.reissue_failed(
            model=kind.model,
            roster_id=pk,
            corrections={
                detail_id: services.Correction(
                    card_no=text_of(request.POST, f"card-{detail_id}", "卡号", most=32),
                    bank_name=text_of(request.POST, f"bank-{detail_id}", "开户银行", most=60),
                )
                for detail_id in ids
            },
            clerk=desk.actor,
            now=desk.now,
            only=ids,
        )
        return done(outcome, verb="重发失败行", next=_address(kind, pk))

    return perform(request, desk, do, failed=lambda error: _page(request, desk, what, pk, error))


def _address(kind: Kind, pk: UUID) -> str:
    return reverse(f"{kind.page}-roster", args=[pk])


def _posted(request: HttpRequest, what: str, view: Callable[..., HttpResponse], **given: Any) -> HttpResponse:
    """Let a view be posted to only; whoever opens its address is led to the page it belongs to."""
    kind = KINDS[what]
    if request.method != "POST":
        return HttpResponseRedirect(_address(kind, given["pk"]) if given else reverse(f"{kind.page}-list"))
    return view(request, what=what, **given)
