from django.apps import AppConfig


class VouchersConfig(AppConfig):
    name = "vouchers"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "电子凭证库"

    def ready(self) -> None:
        from vouchers import tasks  # noqa: F401  (registers the tasks and the wake-up)
        from vouchers.facts import register_facts

        register_facts()
