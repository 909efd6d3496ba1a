from django.contrib import admin

from attachments.models import Invoice, StoredFile
from core.admin import ReadOnlyAdmin


@admin.register(StoredFile)
class StoredFileAdmin(ReadOnlyAdmin):
    list_display = ["digest", "media_type", "size", "pages", "stored_at"]
    search_fields = ["=digest"]


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    list_display = ["code", "number", "amount", "seller_name", "issued_on"]
    search_fields = ["=number"]
