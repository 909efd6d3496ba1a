"""What waits for whom when payments do not go as ordered: recalls, exemptions, corrections, money nobody can place."""

from django.db.models import Exists, OuterRef, QuerySet

from dashboards import selectors
from dashboards.desk import Desk
from parties.models import ReviewNode
from parties.selectors import visible_unit_codes
from payments.correcting import corrections_for
from payments.models import Correction, CutOffExemption, Recall, RefundCase
from payments.recalls import recalls_for
from payments.refund_cases import cases_for
from payments.states import (
    CONFIRMERS,
    PROPOSERS,
    RECALL_APPROVERS,
    REVIEWERS,
    CorrectionState,
    RecallState,
    RefundCaseState,
)

REVIEW_POSTS = tuple(REVIEWERS.split("|"))
NAMERS, CASE_DECIDERS = tuple(PROPOSERS.split("|")), tuple(CONFIRMERS.split("|"))
RECALL_DECIDERS = tuple(RECALL_APPROVERS.split("|"))
S = CorrectionState


def corrections_to_review(desk: Desk) -> QuerySet[Correction]:
    """Return the corrections that wait for one of the officer's posts."""
    node = ReviewNode.objects.filter(chain=OuterRef("chain"), ordinal=OuterRef("node"), post__in=desk.actor.roles)
    rows = corrections_for(desk.actor).filter(fiscal_year=desk.fiscal_year, state=S.IN_REVIEW)
    return rows.filter(Exists(node)).order_by("id")


def corrections_to_make(desk: Desk) -> QuerySet[Correction]:
    rows = corrections_for(desk.actor).filter(fiscal_year=desk.fiscal_year)
    return rows.filter(state__in=[S.APPROVED, S.PBOC_REFUSED]).order_by("id")


def corrections_to_seal(desk: Desk) -> QuerySet[Correction]:
    rows = corrections_for(desk.actor).filter(fiscal_year=desk.fiscal_year, state=S.VOUCHERED)
    defaults = {"5253": "seal_keeper", "5351": "seal_keeper"}
    return rows.filter(selectors.waits_for(desk, "voucher_id", defaults, "voucher_type")).order_by("id")


def waiting_recalls(desk: Desk) -> QuerySet[Recall]:
    """Return what units ask to withdraw and nobody has decided."""
    return recalls_for(desk.actor).filter(state=RecallState.REQUESTED).order_by("id")


def waiting_exemptions(desk: Desk) -> QuerySet[CutOffExemption]:
    """Return the salaries units ask to let through on the open day."""
    rows = CutOffExemption.objects.select_related("request__unit", "asked_by", "approved_by").filter(
        adm_div_code=desk.actor.adm_div_code
    )
    codes = visible_unit_codes(desk.actor)
    rows = rows if codes is None else rows.filter(request__unit__code__in=codes)
    today = desk.open_day.date if desk.open_day else None
    return rows.filter(business_date=today, approved_by__isnull=True).order_by("id")


def open_cases(desk: Desk) -> QuerySet[RefundCase]:
    """Return what nobody has named yet."""
    return cases_for(desk.actor).filter(state=RefundCaseState.OPEN)


def proposed_cases(desk: Desk) -> QuerySet[RefundCase]:
    """Return what somebody else has named and the officer may confirm."""
    return cases_for(desk.actor).filter(state=RefundCaseState.PROPOSED).exclude(proposed_by=desk.actor.person_id)
