from django.apps import AppConfig


class SealsConfig(AppConfig):
    name = "seals"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "签名与证书"

    def ready(self) -> None:
        from parties.leaving import also_on_leaving
        from seals import checks, log_keeping  # noqa: F401  (registers itself)
        from seals.enrolment import end_certificates
        from seals.facts import register_facts

        register_facts()
        log_keeping.register()
        also_on_leaving(end_certificates)
