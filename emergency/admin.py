from django.contrib import admin

from core.admin import ReadOnlyAdmin
from emergency.models import DrillPrint, PaperAnswer, PaperVoucher, PartyConfirmation, Window

admin.site.register([Window, PaperVoucher, PaperAnswer, PartyConfirmation, DrillPrint], ReadOnlyAdmin)
