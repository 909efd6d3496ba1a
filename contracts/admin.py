from django.contrib import admin

from contracts.models import (
    Acceptance,
    Contract,
    ContractAllocation,
    ContractTerm,
    InvestmentProject,
    ProgressCertificate,
    ProjectIndicator,
    ProjectSource,
    SupplementAllocation,
    SupplementaryContract,
)
from core.admin import ReadOnlyAdmin


@admin.register(Contract)
class ContractAdmin(ReadOnlyAdmin):
    list_display = ["contract_no", "unit", "supplier_name", "total", "state"]
    search_fields = ["=contract_no", "=procurement_id"]


@admin.register(InvestmentProject)
class InvestmentProjectAdmin(ReadOnlyAdmin):
    list_display = ["code", "name", "unit", "approved_estimate", "state"]
    search_fields = ["=code"]


admin.site.register(
    [
        *(ContractTerm, ContractAllocation, SupplementaryContract, SupplementAllocation, Acceptance),
        *(ProjectSource, ProjectIndicator, ProgressCertificate),
    ],
    ReadOnlyAdmin,
)
