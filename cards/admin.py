from django.contrib import admin

from cards.models import CardTransaction
from core.admin import ReadOnlyAdmin


@admin.register(CardTransaction)
class CardTransactionAdmin(ReadOnlyAdmin):
    list_display = ["transaction_no", "unit", "holder_name", "merchant", "amount", "consumed_on", "due_on"]
    search_fields = ["=transaction_no"]
