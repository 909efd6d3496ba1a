from django.apps import AppConfig


class EmergencyConfig(AppConfig):
    name = "emergency"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "应急纸质凭证"
