"""manage.py run_monitoring: ask the scheduled rules now, for regions whose business day has not had its run."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from monitoring.scheduled import run_all


class Command(BaseCommand):
    help = (
        "Ask the scheduled monitoring rules once for each open business day. Example: manage.py run_monitoring --json"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object a line instead of words")

    def handle(self, *args: Any, **options: Any) -> None:
        runs = run_all(now=timezone.now())
        for run in runs:
            values = {
                "adm_div_code": run.adm_div_code,
                "business_date": run.business_date.isoformat(),
                "found": run.found,
                "escalated": run.escalated,
                "without_source": run.without_source,
            }
            if options["json"]:
                self.stdout.write(json.dumps(values, ensure_ascii=False))
            else:
                missing = f"；无数据来源：{'、'.join(run.without_source)}" if run.without_source else ""
                self.stdout.write(
                    f"{run.adm_div_code} {run.business_date}：新预警 {run.found}，上升案件 {run.escalated}{missing}"
                )
        if not runs and not options["json"]:
            self.stdout.write("没有需要运行的业务日。")
