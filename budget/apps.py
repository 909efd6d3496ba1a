from django.apps import AppConfig


class BudgetConfig(AppConfig):
    name = "budget"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "指标、计划与额度"

    def ready(self) -> None:
        from budget.notifying import on_quota_arrival
        from vouchers import routing

        routing.register("2104", on_quota_arrival)
