from django.apps import AppConfig


class EvidenceConfig(AppConfig):
    name = "evidence"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "存证日志"

    def ready(self) -> None:
        from evidence import checks  # noqa: F401  (registers itself)
        from evidence.history import register_histories

        register_histories()
