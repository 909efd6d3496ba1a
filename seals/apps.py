from django.apps import AppConfig


class SealsConfig(AppConfig):
    name = "seals"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "签名与证书"

    def ready(self) -> None:
        from seals import checks  # noqa: F401  (registers itself)
