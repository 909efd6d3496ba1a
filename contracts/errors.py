from core.errors import Conflict, TreasuryError


class ContractFieldInvalid(TreasuryError):
    """One field of a contract, supplement, acceptance, project or certificate is missing or wrong."""

    code = "contract_field_invalid"


class ContractNumberTaken(Conflict):
    code = "contract_number_taken"


class ContractInUse(Conflict):
    """Payments are under way, or more was paid than would be left."""

    code = "contract_in_use"


class SupplementTooLarge(TreasuryError):
    """Added items may not exceed a tenth of the original amount (《政府采购法》第四十九条)."""

    code = "supplement_too_large"


# What stands against a payment ---------------------------------------------------------------------------------------


class ContractRequired(TreasuryError):
    """A procurement payment, or one from a procurement indicator, that names no contract."""

    code = "contract_required"


class ContractUnknown(TreasuryError):
    """No such contract, or another unit's: the two are not told apart."""

    code = "contract_unknown"


class ContractNotPayable(TreasuryError):
    """Still a draft, or completed, or terminated."""

    code = "contract_not_payable"


class ContractPayeeDiffers(TreasuryError):
    """The payee is not the contract's supplier, or the account is none of those it names."""

    code = "contract_payee_differs"


class ContractExceeded(TreasuryError):
    code = "contract_exceeded"


class ContractAllocationExceeded(TreasuryError):
    """The indicator bears no part of the contract, or less than is asked for."""

    code = "contract_allocation_exceeded"


class ContractStageNotDue(TreasuryError):
    """More than the stages that are due, or than may be paid before the final acceptance."""

    code = "contract_stage_not_due"


class AcceptanceMissing(TreasuryError):
    code = "acceptance_missing"


class ProjectRequired(TreasuryError):
    """An investment payment whose contract belongs to no project, or a project's contract paid as something else."""

    code = "project_required"


class ProjectNotApproved(TreasuryError):
    code = "project_not_approved"


class CertificateExceeded(TreasuryError):
    """More than the certified work less the retention money."""

    code = "certificate_exceeded"


class EstimateExceeded(TreasuryError):
    code = "estimate_exceeded"
