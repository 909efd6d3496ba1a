from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import ValidationError

from core.errors import TreasuryError
from parties.models import (
    AgentBank,
    BankAccount,
    BudgetUnit,
    GroupMenu,
    Person,
    PostAssignment,
    Region,
    ReviewChain,
    ReviewNode,
    UnitGroup,
    User,
)
from parties.services import check_grant


class PostAssignmentForm(forms.ModelForm):
    """Shows the clash as a form error; the service and the trigger hold it in any case."""

    class Meta:
        model = PostAssignment
        exclude = ["granted_by"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("user") and data.get("post") and data.get("valid_from"):
            try:
                check_grant(
                    user=data["user"],
                    post=data["post"],
                    unit_code=data.get("unit_code") or "",
                    valid_from=data["valid_from"],
                    valid_to=data.get("valid_to"),
                    instead_of=self.instance,
                )
            except TreasuryError as refusal:
                raise ValidationError({refusal.field or "post": refusal.message}) from None
        return data


@admin.register(PostAssignment)
class PostAssignmentAdmin(admin.ModelAdmin):
    form = PostAssignmentForm
    list_display = ["user", "post", "unit_code", "section", "valid_from", "valid_to", "granted_by"]
    list_filter = ["post"]

    def save_model(self, request: Any, obj: PostAssignment, form: Any, change: bool) -> None:
        obj.granted_by = request.user.get_username()
        super().save_model(request, obj, form, change)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False  # a post ends by its last day; who held what when stays known


class ReadOnly:
    """Looked at here, decided elsewhere: chains take two administrators, on their own page."""

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


class ReviewNodeInline(ReadOnly, admin.TabularInline):
    model = ReviewNode


@admin.register(ReviewChain)
class ReviewChainAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["adm_div_code", "document_kind", "name", "version", "state"]
    inlines = [ReviewNodeInline]


@admin.register(User)
class OfficerAdmin(UserAdmin):
    fieldsets = (*(UserAdmin.fieldsets or ()), ("人员", {"fields": ("person", "adm_div_code")}))
    list_display = ["username", "person", "adm_div_code", "is_active"]


@admin.register(BudgetUnit)
class BudgetUnitAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "nature", "section", "active"]
    search_fields = ["code", "name"]


@admin.register(BankAccount)
class BankAccountAdmin(admin.ModelAdmin):
    list_display = ["account_no", "name", "kind", "agent_bank", "unit", "active"]
    search_fields = ["account_no", "name"]


@admin.register(Region)
class RegionAdmin(admin.ModelAdmin):
    """Whether officers must sign with a UKey is decided here; who changed it, and when, stays in the history."""

    list_display = ["adm_div_code", "name", "ukey_required"]

    def get_readonly_fields(self, request: Any, obj: Any = None) -> Any:
        return ["adm_div_code"] if obj else []

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {
            "ukey_required": "勾选后，没有证书的人员只能打开「我的 UKey」。请先在「人员证书」页确认人人都已领到证书；"
            "至少两名印章管理员或安全保密员，才能互相核准。"
        }
        return super().get_form(request, obj, change, **kwargs)


class GroupMenuInline(admin.TabularInline):
    model = GroupMenu
    extra = 2


@admin.register(UnitGroup)
class UnitGroupAdmin(admin.ModelAdmin):
    """Units that share a menu of their own or extension fields."""

    list_display = ["adm_div_code", "code", "name"]
    filter_horizontal = ["units"]
    inlines = [GroupMenuInline]


admin.site.register([AgentBank, Person])
