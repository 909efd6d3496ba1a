"""The left-hand navigation and the workbench: what each post can use, and what waits for it."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import QuerySet
from django.urls import reverse

from budget.income import incomes_of
from dashboards import exception_queues, selectors
from dashboards.contract_queues import drafts_to_file, open_supplements, projects_to_approve
from dashboards.desk import BUREAU_READERS, BUSINESS, READERS, Desk
from emergency.models import PaperVoucher, Window
from emergency.states import SECONDS, PaperState, WindowState
from parties.duties import ADMIN_POSTS, Post
from parties.models import GroupMenu
from payments.states import REVIEWERS, RequestState
from payroll.models import BenefitList, SalaryBatch
from payroll.progress import visible_rosters

REVIEW_POSTS = tuple(REVIEWERS.split("|"))
PLAN_POSTS = (Post.UNIT_REVIEWER, Post.SECTION_REVIEWER, Post.PLAN_REVIEWER)
INCOME_POSTS = (Post.UNIT_CLERK, Post.UNIT_REVIEWER, Post.UNIT_LEADER)
YEAR_END_POSTS = (
    *(Post.BUDGET_CLERK, Post.BUDGET_APPROVER, Post.RECONCILER, Post.TREASURY_CHIEF, Post.BUREAU_LEADER),
    *(Post.UNIT_CLERK, Post.SECURITY_AUDITOR),
)
DOCUMENT_POSTS = (Post.BUDGET_CLERK, Post.BUDGET_APPROVER, Post.BUREAU_LEADER)
RECONCILIATION_POSTS = (Post.RECONCILER, Post.TREASURY_CHIEF, Post.SECURITY_AUDITOR)
KEY_MANAGERS = (Post.SEAL_KEEPER, Post.SECURITY_ADMIN)
WINDOW_SECONDS = tuple(SECONDS.split("|"))
EXCHANGE_WATCHERS = (Post.RECONCILER, Post.VOUCHER_MAKER, Post.SEAL_KEEPER)


CASE_UNIT_POSTS = (Post.UNIT_CLERK, Post.UNIT_REVIEWER, Post.UNIT_LEADER)
CASE_VERIFIERS = (Post.MONITOR_OFFICER, Post.SECTION_REVIEWER, Post.TREASURY_CHIEF)
CASE_READERS = (*BUREAU_READERS, *CASE_UNIT_POSTS)


@dataclass(frozen=True)
class Entry:
    """One page in the navigation and who sees it."""

    name: str
    label: str
    posts: tuple[str, ...]
    todo: str = ""
    group: str = ""


ENTRIES = (
    Entry("workbench", "工作台", ()),
    Entry("payment-list", "支付申请", READERS, "mine", "支付"),
    Entry("card-list", "公务卡消费", READERS, "", "支付"),
    Entry("review-queue", "待我审核", REVIEW_POSTS, "review", "支付"),
    Entry("salary-list", "统发工资", (*READERS, Post.ROSTER_CHECKER), "batches", "支付"),
    Entry("benefit-list", "惠民补贴", READERS, "lists", "支付"),
    Entry("delegations", "委托", BUSINESS, "delegated", "支付"),
    Entry("review-dwell", "审核时效", BUREAU_READERS, "", "支付"),
    Entry("alert-list", "动态监控", (*BUREAU_READERS, Post.UNIT_CLERK), "held", "支付"),
    Entry("recall-list", "撤回与放行", READERS, "recalls", "支付"),
    Entry("correction-list", "更正", READERS, "corrections", "支付"),
    Entry("refund-case-list", "待查退款", READERS, "refund_cases", "支付"),
    Entry("prior-year-list", "以前年度退款", READERS, "", "支付"),
    Entry("voucher-make", "制单", selectors.MAKERS, "make", "凭证"),
    Entry("voucher-seal", "签章", selectors.SEALERS, "seal", "凭证"),
    Entry("voucher-list", "凭证库", READERS, "", "凭证"),
    Entry("emergency", "应急纸质凭证", (*BUREAU_READERS, Post.UNIT_CLERK), "emergency", "凭证"),
    Entry("exchange-monitor", "交换监控", BUREAU_READERS, "unknown", "凭证"),
    Entry("indicator-list", "指标台账", READERS, "", "预算"),
    Entry("document-list", "指标文", DOCUMENT_POSTS, "documents", "预算"),
    Entry("code-tables", "科目代码表", (Post.BUDGET_CLERK, Post.BUDGET_APPROVER), "", "预算"),
    Entry("indicator-overdue", "超期未下达", BUREAU_READERS, "", "预算"),
    Entry("plan-list", "用款计划", READERS, "", "预算"),
    Entry("plan-review", "计划审核", PLAN_POSTS, "plans", "预算"),
    Entry("plan-notices", "额度通知", (Post.VOUCHER_MAKER, *selectors.KEEPERS), "notices", "预算"),
    Entry("quota-list", "额度", READERS, "", "预算"),
    Entry("income-list", "单位收入", INCOME_POSTS, "incomes", "预算"),
    Entry("year-end", "年终结转", YEAR_END_POSTS, "carry_overs", "预算"),
    Entry("clearing", "清算", BUREAU_READERS, "", "清算与对账"),
    Entry("reconciliation-day", "对账与日结", RECONCILIATION_POSTS, "discrepancies", "清算与对账"),
    Entry("day-list", "业务日", RECONCILIATION_POSTS, "", "清算与对账"),
    Entry("my-key", "我的 UKey", BUSINESS, "", "签名与印章"),
    Entry("officer-keys", "人员证书", KEY_MANAGERS, "key_requests", "签名与印章"),
    Entry(
        "seal-register", "印章台账", (*selectors.SEALERS, Post.SECURITY_AUDITOR, Post.SECURITY_ADMIN), "", "签名与印章"
    ),
    Entry("evidence", "存证日志", (*BUREAU_READERS, Post.SECURITY_ADMIN), "", "签名与印章"),
    Entry("contract-list", "采购合同", READERS, "contracts", "采购与项目"),
    Entry("project-list", "投资项目", READERS, "projects", "采购与项目"),
    Entry("case-list", "预警案件", CASE_READERS, "cases", "动态监控"),
    Entry("monitoring-statistics", "监控统计", BUREAU_READERS, "", "动态监控"),
    Entry("rule-list", "监控规则", (*BUREAU_READERS, Post.SYSTEM_ADMIN), "", "动态监控"),
    Entry("monitoring-registers", "名单与限额", BUREAU_READERS, "", "动态监控"),
    Entry("supervision", "监督查看", (Post.SUPERVISOR, Post.SECURITY_AUDITOR), "", "动态监控"),
    Entry("chain-list", "审核链", tuple(ADMIN_POSTS), "chain_drafts", "系统"),
    Entry("people", "人员与应急", tuple(ADMIN_POSTS), "emergencies", "系统"),
    Entry("admin:index", "系统管理", tuple(ADMIN_POSTS), "", "系统"),
)


@dataclass(frozen=True)
class Todo:
    """Something that may wait for an officer: whose it is, where it is done, and the rows it counts."""

    key: str
    label: str
    action: str
    page: str
    posts: tuple[str, ...]
    rows: Callable[[Desk], QuerySet]
    query: str = ""


def _mine(*states: str) -> Callable[[Desk], QuerySet]:
    return lambda desk: selectors.requests_for(desk.actor, desk.fiscal_year).filter(state__in=states)


def _rosters(desk: Desk, model: type[SalaryBatch] | type[BenefitList], state_of: dict[str, str]) -> QuerySet:
    """The rosters of the year that wait for one of the officer's posts; for clerks those to submit or to pay."""
    mine = [state for post, state in state_of.items() if desk.holds(post)]
    mine += ["draft", "confirmed"] if desk.holds("unit_clerk") else []
    rows: QuerySet = visible_rosters(model, desk.actor).filter(fiscal_year=desk.fiscal_year)
    return rows.filter(state__in=mine)


def _windows(state: str) -> Callable[[Desk], QuerySet]:
    return lambda desk: Window.objects.filter(adm_div_code=desk.actor.adm_div_code, state=state)


def _papers(state: str) -> Callable[[Desk], QuerySet]:
    return lambda desk: PaperVoucher.objects.filter(adm_div_code=desk.actor.adm_div_code, state=state)


S = RequestState
TODOS = (
    Todo("review", "待我审核的支付申请", "去审核", "review-queue", REVIEW_POSTS, selectors.review_queue),
    Todo("overdue", "待我审核且已超时", "先审这些", "review-queue", REVIEW_POSTS, selectors.overdue_queue),
    Todo("delegated", "委托给我代办的岗位", "去代办", "delegations", BUSINESS, selectors.delegated_to_me),
    Todo(
        "chain_drafts",
        "审核链草案待核准",
        "去核准",
        "chain-list",
        (Post.SYSTEM_ADMIN, Post.SECURITY_ADMIN),
        selectors.chain_drafts,
        "#drafts",
    ),
    Todo(
        "emergencies",
        "应急岗位待核准",
        "去核准",
        "people",
        (Post.SYSTEM_ADMIN, Post.SECURITY_ADMIN),
        selectors.emergency_asks,
        "#asked",
    ),
    Todo("held", "监控挂起待处置", "去处置", "alert-list", (Post.MONITOR_OFFICER,), selectors.held_queue),
    Todo("make", "已终审待制单", "去制单", "voucher-make", selectors.MAKERS, selectors.make_queue),
    Todo(
        "seal",
        "凭证待签章",
        "去签章",
        "voucher-seal",
        selectors.SEALERS,
        lambda desk: selectors.unsealed_queue(desk, selectors.SEALERS),
    ),
    Todo(
        "seal_notices",
        "额度通知待签章",
        "去签章",
        "voucher-seal",
        selectors.KEEPERS,
        selectors.notices_to_seal,
        "#notices",
    ),
    Todo(
        "bank_refused",
        "银行退回待处理",
        "去处理",
        "voucher-make",
        selectors.MAKERS,
        selectors.bank_refused_queue,
        "#refused",
    ),
    Todo(
        "batches",
        "工资批次待我办理",
        "去办理",
        "salary-list",
        ("unit_clerk", Post.ROSTER_CHECKER, Post.SECTION_REVIEWER),
        lambda desk: _rosters(desk, SalaryBatch, {"roster_checker": "submitted", "section_reviewer": "checked"}),
    ),
    Todo(
        "lists",
        "补贴清单待我办理",
        "去办理",
        "benefit-list",
        ("unit_clerk", Post.SECTION_REVIEWER),
        lambda desk: _rosters(desk, BenefitList, {"section_reviewer": "published"}),
    ),
    Todo("key_requests", "UKey 证书申请待核准", "去核准", "officer-keys", KEY_MANAGERS, selectors.key_requests),
    Todo("plans", "待我审核的用款计划", "去审核", "plan-review", PLAN_POSTS, selectors.plan_queue),
    Todo("notices", "已批复待下达额度", "去下达", "plan-notices", (Post.VOUCHER_MAKER,), selectors.plans_to_notify),
    Todo(
        "documents",
        "指标文待我审批",
        "去审批",
        "document-list",
        (Post.BUDGET_APPROVER, Post.BUREAU_LEADER),
        selectors.documents_to_decide,
    ),
    Todo(
        "documents_to_issue",
        "指标文已审待下达",
        "去下达",
        "document-list",
        (Post.BUDGET_CLERK,),
        selectors.documents_to_issue,
        "?state=approved",
    ),
    Todo(
        "carry_overs",
        "年终结转待审批",
        "去审批",
        "year-end",
        (Post.BUDGET_APPROVER,),
        selectors.carry_overs_to_decide,
        "#carry-overs",
    ),
    Todo(
        "returned", "退回给我修改", "去修改", "payment-list", (Post.UNIT_CLERK,), _mine(S.RETURNED), "?state=returned"
    ),
    Todo("drafts", "草稿未提交", "去提交", "payment-list", (Post.UNIT_CLERK,), _mine(S.DRAFT), "?state=draft"),
    Todo("blocked", "被监控拦截", "去查看", "payment-list", (Post.UNIT_CLERK,), _mine(S.BLOCKED), "?state=blocked"),
    Todo(
        "reissuable",
        "失败或退款可重发",
        "去重发",
        "payment-list",
        (Post.UNIT_CLERK,),
        selectors.reissuable,
        "?state=reissuable",
    ),
    Todo(
        "incomes",
        "单位收入待确认",
        "去确认",
        "income-list",
        (Post.UNIT_REVIEWER, Post.UNIT_LEADER),
        lambda desk: incomes_of(desk.actor).filter(fiscal_year=desk.fiscal_year, decision__isnull=True),
    ),
    Todo("windows", "应急窗口待确认", "去确认", "emergency", WINDOW_SECONDS, _windows(WindowState.DECLARED)),
    Todo("papers", "纸质凭证待补录", "去补录", "emergency", (Post.RECONCILER,), _papers(PaperState.PRINTED)),
    Todo("answers", "纸质回单待复核", "去复核", "emergency", (Post.TREASURY_CHIEF,), _papers(PaperState.ENTERED)),
    Todo("cases", "预警案件待办", "去办理", "case-list", (*CASE_UNIT_POSTS, *CASE_VERIFIERS), selectors.cases_to_do),
    Todo(
        "recalls",
        "撤回申请待批准",
        "去审批",
        "recall-list",
        exception_queues.RECALL_DECIDERS,
        exception_queues.waiting_recalls,
    ),
    Todo(
        "exemptions",
        "工资截止后放行待批",
        "去审批",
        "recall-list",
        exception_queues.RECALL_DECIDERS,
        exception_queues.waiting_exemptions,
    ),
    Todo(
        "corrections_review",
        "待我审核的更正",
        "去审核",
        "correction-list",
        REVIEW_POSTS,
        exception_queues.corrections_to_review,
    ),
    Todo(
        "corrections_make",
        "更正待制单",
        "去制单",
        "correction-list",
        (Post.VOUCHER_MAKER,),
        exception_queues.corrections_to_make,
    ),
    Todo(
        "corrections_seal",
        "更正凭证待签章",
        "去签章",
        "correction-list",
        selectors.KEEPERS,
        exception_queues.corrections_to_seal,
    ),
    Todo(
        "refund_cases",
        "待查退款待认定",
        "去认定",
        "refund-case-list",
        exception_queues.NAMERS,
        exception_queues.open_cases,
    ),
    Todo(
        "refund_cases_confirm",
        "待查退款待复核",
        "去复核",
        "refund-case-list",
        exception_queues.CASE_DECIDERS,
        exception_queues.proposed_cases,
        "?state=proposed",
    ),
    Todo("unknown", "发送结果未知", "去查看", "exchange-monitor", EXCHANGE_WATCHERS, selectors.unknown_deliveries),
    Todo(
        "discrepancies",
        "对账差错未处理",
        "去处理",
        "reconciliation-day",
        (Post.RECONCILER,),
        selectors.open_discrepancies,
    ),
    Todo(
        "filings", "采购合同待备案", "去备案", "contract-list", (Post.SECTION_REVIEWER,), drafts_to_file, "?state=draft"
    ),
    Todo(
        "supplements",
        "补充合同待审批",
        "去审批",
        "contract-list",
        (Post.SECTION_REVIEWER,),
        open_supplements,
        "?state=supplement",
    ),
    Todo("projects", "投资项目待批准", "去批准", "project-list", (Post.SECTION_REVIEWER,), projects_to_approve),
)
NAV_SUM = {
    "contracts": ("filings", "supplements"),
    "emergency": ("windows", "papers", "answers"),
    "documents": ("documents", "documents_to_issue"),
    "recalls": ("recalls", "exemptions"),
    "corrections": ("corrections_review", "corrections_make", "corrections_seal"),
    "refund_cases": ("refund_cases", "refund_cases_confirm"),
    "mine": ("returned",),
    "seal": ("seal", "seal_notices"),
    "make": ("make", "bank_refused"),
}


def todo_counts(desk: Desk) -> dict[str, int]:
    """Return how much of each kind waits for this officer, by key; one query for each kind the posts allow."""
    return {todo.key: todo.rows(desk).order_by().count() for todo in TODOS if desk.holds(*todo.posts)}


@dataclass(frozen=True)
class Link:
    label: str
    address: str
    count: int
    active: bool
    group: str


def links(desk: Desk, counts: dict[str, int], path: str) -> list[Link]:
    """Return the navigation of this officer; the entry whose address is the longest part of the path is active."""
    mine = [(entry, reverse(entry.name)) for entry in ENTRIES if not entry.posts or desk.holds(*entry.posts)]
    here = max((address for _, address in mine if path.startswith(address)), key=len, default="")
    found = []
    for entry, address in mine:
        keys = NAV_SUM.get(entry.todo, (entry.todo,))
        count = sum(counts.get(key, 0) for key in keys)
        found.append(Link(entry.label, address, count, address == here, entry.group))
    return found + _group_menus(desk)


def _group_menus(desk: Desk) -> list[Link]:
    """What the unit's groups put into the navigation of their clerks."""
    if not desk.holds(Post.UNIT_CLERK):
        return []
    rows = GroupMenu.objects.select_related("group").filter(
        group__adm_div_code=desk.actor.adm_div_code, group__units__code__in=desk.actor.units
    )
    new = reverse("payment-new")
    return [
        Link(menu.label, f"{new}?business_type={menu.business_type}", 0, False, menu.group.name)
        for menu in rows.distinct().order_by("group__code", "ordinal", "label")
    ]
