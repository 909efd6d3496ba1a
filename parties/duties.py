"""Posts, the duty each one carries, and which duties one natural person may not combine.

Source: separation-of-duties matrix in docs/duties.md. Pure: no database, no clock.
"""

from collections.abc import Iterable

from django.db.models import TextChoices


class Post(TextChoices):
    """岗位. The value is the role name that tables of moves use."""

    UNIT_CLERK = "unit_clerk", "单位经办"
    UNIT_REVIEWER = "unit_reviewer", "单位复核"
    UNIT_LEADER = "unit_leader", "单位负责人"
    UNIT_SEALER = "unit_sealer", "单位印鉴管理"
    UNIT_NAME_SEAL = "unit_name_seal", "单位名章管理"
    BUDGET_CLERK = "budget_clerk", "预算科经办"
    BUDGET_APPROVER = "budget_approver", "预算科负责人"
    SECTION_REVIEWER = "section_reviewer", "业务科审核"
    PLAN_REVIEWER = "plan_reviewer", "国库计划审核"
    PAYMENT_REVIEWER = "payment_reviewer", "国库支付审核"
    TREASURY_CHIEF = "treasury_chief", "国库科长"
    VOUCHER_MAKER = "voucher_maker", "国库制单"
    SEAL_KEEPER = "seal_keeper", "业务专用章管理"
    NAME_SEAL = "name_seal", "国库名章管理"
    RECONCILER = "reconciler", "国库对账"
    MONITOR_OFFICER = "monitor_officer", "动态监控"
    ROSTER_CHECKER = "roster_checker", "编办人社核定"
    BUREAU_LEADER = "bureau_leader", "分管领导"
    SYSTEM_ADMIN = "system_admin", "系统管理员"
    SECURITY_ADMIN = "security_admin", "安全保密员"
    SECURITY_AUDITOR = "security_auditor", "安全审计员"
    SUPERVISOR = "supervisor", "监督查看"


UNIT_POSTS = frozenset({Post.UNIT_CLERK, Post.UNIT_REVIEWER, Post.UNIT_LEADER, Post.UNIT_SEALER, Post.UNIT_NAME_SEAL})
ADMIN_POSTS = frozenset({Post.SYSTEM_ADMIN, Post.SECURITY_ADMIN, Post.SECURITY_AUDITOR})
# Outside the bureau (纪检监察、审计、人大): sees cases of level one and what became of them, and nothing else.
OUTSIDE_POSTS = frozenset({Post.SUPERVISOR})

# Sending is what the last seal does, and no post keeps payees apart from making: these two duties have no post of their
# own, but acts on documents have them, and a post that is given one falls under the matrix at once.
MAKE, REVIEW, APPROVE, SEAL, SEND, RECONCILE = "make", "review", "approve", "seal", "send", "reconcile"
PAYEE = "payee"
SYSTEM, SECURITY, AUDIT = "system", "security", "audit"

DUTY_OF = {
    Post.UNIT_CLERK: MAKE,
    Post.BUDGET_CLERK: MAKE,
    Post.VOUCHER_MAKER: MAKE,
    Post.UNIT_REVIEWER: REVIEW,
    Post.SECTION_REVIEWER: REVIEW,
    Post.PLAN_REVIEWER: REVIEW,
    Post.MONITOR_OFFICER: REVIEW,
    Post.ROSTER_CHECKER: REVIEW,
    Post.UNIT_LEADER: APPROVE,
    Post.BUDGET_APPROVER: APPROVE,
    Post.PAYMENT_REVIEWER: APPROVE,
    Post.TREASURY_CHIEF: APPROVE,
    Post.BUREAU_LEADER: APPROVE,
    Post.UNIT_SEALER: SEAL,
    Post.UNIT_NAME_SEAL: SEAL,
    Post.SEAL_KEEPER: SEAL,
    Post.NAME_SEAL: SEAL,
    Post.RECONCILER: RECONCILE,
    Post.SYSTEM_ADMIN: SYSTEM,
    Post.SECURITY_ADMIN: SECURITY,
    Post.SECURITY_AUDITOR: AUDIT,
    Post.SUPERVISOR: AUDIT,
}

_ADMIN = (SYSTEM, SECURITY, AUDIT)
_BUSINESS = frozenset({MAKE, REVIEW, APPROVE, SEAL, SEND, RECONCILE, PAYEE})
_FORBIDDEN = {
    frozenset(pair)
    for pair in [(MAKE, APPROVE), (MAKE, SEAL), (MAKE, RECONCILE), (APPROVE, RECONCILE), (SEAL, RECONCILE)]
    + [(SEND, RECONCILE), (PAYEE, APPROVE), (PAYEE, SEAL), (PAYEE, RECONCILE)]
    + [(admin, duty) for admin in _ADMIN for duty in _BUSINESS]
    + [(SYSTEM, SECURITY), (SYSTEM, AUDIT), (SECURITY, AUDIT)]
}
# What one person may do, but not with the same document. Who sends a voucher is who puts the last seal on it: that pair
# is one act, and the matrix keeps it apart from all the others.
_APART_ON_DOCUMENT = _FORBIDDEN | {
    frozenset(pair)
    for pair in (
        *((MAKE, REVIEW), (MAKE, SEND), (MAKE, PAYEE)),
        *((REVIEW, APPROVE), (REVIEW, SEAL), (REVIEW, RECONCILE), (REVIEW, PAYEE)),
        *((APPROVE, SEAL), (APPROVE, SEND), (SEAL, SEND)),
    )
}
# Posts whose holder may let another person act for him: those that review on a chain. A seal, the making of vouchers,
# reconciliation and administration are handed over by giving the post itself.
DELEGABLE = frozenset(
    {
        *(Post.UNIT_REVIEWER, Post.UNIT_LEADER, Post.SECTION_REVIEWER),
        *(Post.PLAN_REVIEWER, Post.PAYMENT_REVIEWER, Post.TREASURY_CHIEF),
    }
)
# One voucher bears the organisation's seal and a personal one: no person may keep both. Source: docs/duties.md.
_APART = {frozenset({Post.SEAL_KEEPER, Post.NAME_SEAL}), frozenset({Post.UNIT_SEALER, Post.UNIT_NAME_SEAL})}


def _barred(one: Post, other: Post) -> bool:
    return frozenset({DUTY_OF[one], DUTY_OF[other]}) in _FORBIDDEN or frozenset({one, other}) in _APART


def of_side(posts: Iterable[str], *, unit: bool) -> list[bool]:
    """Say of each of the posts that seal one type whether it has a part in a voucher of a unit (or of the bureau).

    Only a type that both issue (国库集中支付凭证) has posts of both; elsewhere each post has its part.
    """
    listed = list(posts)
    of_unit = {post in UNIT_POSTS for post in listed if post}
    return [len(of_unit) < 2 or not post or (post in UNIT_POSTS) == unit for post in listed]


def conflicting_posts(held: Iterable[str], wanted: str) -> list[str]:
    """Return the posts among `held` that one natural person may not combine with `wanted`."""
    return [post for post in held if _barred(Post(post), Post(wanted))]


def forbidden_pairs() -> list[tuple[str, str]]:
    """Return every ordered pair of posts one person may not hold, for the trigger beneath."""
    return [(a.value, b.value) for a in Post for b in Post if _barred(a, b)]


def apart_on_document(one: str, other: str) -> bool:
    """Whether one natural person may not take both duties on the same document (matrix cells X and v).

    A duty is not kept apart from itself here: that nobody reviews one revision twice is the chain's own rule.
    """
    return one != other and frozenset({one, other}) in _APART_ON_DOCUMENT


def apart_as_posts(one: str, other: str) -> bool:
    """Whether one natural person may not hold posts of both duties at all (matrix cells X)."""
    return one != other and frozenset({one, other}) in _FORBIDDEN
