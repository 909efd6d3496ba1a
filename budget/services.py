"""What other apps, views and tasks may call."""

from budget.cancelling import (
    apply_cancellations,
    confirm_by_unit,
    enter_bank_list,
    propose_cancellations,
)
from budget.code_import import copy_codes, import_codes
from budget.documents import (
    DocumentInput,
    LineInput,
    cancel_documents,
    decide_documents,
    issue_documents,
    revise_document,
    save_document,
    submit_documents,
)
from budget.income import IncomeInput, decide_incomes, record_income
from budget.indicator_import import import_indicators
from budget.month_end import lapse_unused_plans
from budget.notifying import issue_quota_notices, prepare_notice_sealing, seal_quota_notices
from budget.opening import OpeningIndicator, import_clearing_limit, import_indicator
from budget.planning import (
    PlanInput,
    approve_plans,
    cancel_plans,
    prepare_plan_decision,
    return_plans,
    save_plans,
    submit_plans,
)
from budget.year_end import close_year, decide_carry_overs, propose_carry_overs, set_carry_over

__all__ = [
    "DocumentInput",
    "IncomeInput",
    "LineInput",
    "OpeningIndicator",
    "PlanInput",
    "apply_cancellations",
    "approve_plans",
    "cancel_documents",
    "cancel_plans",
    "close_year",
    "confirm_by_unit",
    "copy_codes",
    "decide_carry_overs",
    "decide_documents",
    "decide_incomes",
    "enter_bank_list",
    "import_clearing_limit",
    "import_codes",
    "import_indicator",
    "import_indicators",
    "issue_documents",
    "issue_quota_notices",
    "lapse_unused_plans",
    "prepare_notice_sealing",
    "prepare_plan_decision",
    "propose_cancellations",
    "propose_carry_overs",
    "record_income",
    "return_plans",
    "revise_document",
    "save_document",
    "save_plans",
    "seal_quota_notices",
    "set_carry_over",
    "submit_documents",
    "submit_plans",
]
