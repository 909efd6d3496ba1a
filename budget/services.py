"""What other apps, views and tasks may call."""

from budget.adjusting import create_adjustment, decide_adjustments
from budget.income import IncomeInput, decide_incomes, record_income
from budget.notifying import issue_quota_notices, prepare_notice_sealing, seal_quota_notices
from budget.opening import OpeningIndicator, import_clearing_limit, import_indicator
from budget.planning import (
    PlanInput,
    approve_plans,
    prepare_plan_decision,
    return_plans,
    save_plans,
    submit_plans,
)

__all__ = [
    "IncomeInput",
    "OpeningIndicator",
    "PlanInput",
    "approve_plans",
    "create_adjustment",
    "decide_adjustments",
    "decide_incomes",
    "import_clearing_limit",
    "import_indicator",
    "issue_quota_notices",
    "prepare_notice_sealing",
    "prepare_plan_decision",
    "record_income",
    "return_plans",
    "save_plans",
    "seal_quota_notices",
    "submit_plans",
]
