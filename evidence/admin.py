"""The log as it stands; nothing here can be changed by anybody."""

from django.contrib import admin

from core.admin import ReadOnlyAdmin
from evidence.models import Entry, EvidenceRoot, RootTimestamp


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    list_display = ["stream", "seq", "kind", "subject_table", "subject_id", "noted_at"]
    list_filter = ["kind"]
    search_fields = ["=subject_id", "=entry_sm3"]
    ordering = ["-id"]


@admin.register(EvidenceRoot)
class EvidenceRootAdmin(ReadOnlyAdmin):
    list_display = ["stream", "size", "root", "at", "certificate_serial"]
    search_fields = ["=stream", "=root"]
    ordering = ["-id"]


@admin.register(RootTimestamp)
class RootTimestampAdmin(ReadOnlyAdmin):
    list_display = ["root", "at"]
    ordering = ["-id"]
