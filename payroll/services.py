"""What views, tasks and other apps may call. One verb each."""

from payroll.deciding import (
    check_salary_batches,
    confirm_benefit_lists,
    confirm_salary_batches,
    publish_benefit_lists,
    return_rosters,
    submit_salary_batches,
    void_rosters,
)
from payroll.importing import (
    BenefitHeader,
    SalaryHeader,
    SourceFile,
    import_benefit_list,
    import_salary_batch,
    keep_rejection,
)
from payroll.paying import Correction, generate_payments, reissue_failed, submit_payments

__all__ = [
    "BenefitHeader",
    "Correction",
    "SalaryHeader",
    "SourceFile",
    "check_salary_batches",
    "confirm_benefit_lists",
    "confirm_salary_batches",
    "generate_payments",
    "import_benefit_list",
    "import_salary_batch",
    "keep_rejection",
    "publish_benefit_lists",
    "reissue_failed",
    "return_rosters",
    "submit_payments",
    "submit_salary_batches",
    "void_rosters",
]
