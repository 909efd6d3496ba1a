"""manage.py seed_monitoring_rules 990100000: give a region the rules of the catalogue it does not have yet."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from monitoring.models import MonitoringRule
from monitoring.services import seed_rules
from parties.models import Region


class Command(BaseCommand):
    help = (
        "Give a region every monitoring rule it does not have, with default settings; what it has set stays. "
        "Example: manage.py seed_monitoring_rules 990100000"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("adm_div_code", help="the region's code")

    def handle(self, *args: Any, **options: Any) -> None:
        code = options["adm_div_code"]
        if not Region.objects.filter(adm_div_code=code).exists():
            raise CommandError(f"no region {code}")
        before = MonitoringRule.objects.filter(adm_div_code=code).count()
        seed_rules(adm_div_code=code)
        rules = MonitoringRule.objects.filter(adm_div_code=code)
        self.stdout.write(
            f"{code}: {rules.count() - before} rules added, {rules.filter(enabled=True).count()} in force"
        )
