from django.contrib import admin

from core.admin import ReadOnlyAdmin
from payroll.models import (
    BenefitList,
    BenefitRow,
    ImportRejection,
    RosterPayment,
    SalaryBatch,
    SalaryRow,
    WithholdingRoute,
)


@admin.register(WithholdingRoute)
class WithholdingRouteAdmin(admin.ModelAdmin):
    list_display = ["adm_div_code", "withholding", "payee"]
    list_filter = ["adm_div_code"]


admin.site.register([SalaryBatch, SalaryRow, BenefitList, BenefitRow, RosterPayment, ImportRejection], ReadOnlyAdmin)
