from django.apps import AppConfig


class ReconciliationConfig(AppConfig):
    name = "reconciliation"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "对账与日结"

    def ready(self) -> None:
        from reconciliation.handlers import (
            on_appropriation_statement,
            on_bank_report,
            on_clearing_statement,
            on_limit_statement,
        )
        from vouchers.routing import register

        register("2205", on_bank_report)
        register("2206", on_bank_report)
        register("3507", on_clearing_statement)
        register("3508", on_appropriation_statement)
        register("3510", on_limit_statement)
