from django.apps import AppConfig


class PayrollConfig(AppConfig):
    name = "payroll"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "工资与补贴"

    def ready(self) -> None:
        from payments import rosters
        from payroll.selectors import roster_facts

        rosters.register(roster_facts)
