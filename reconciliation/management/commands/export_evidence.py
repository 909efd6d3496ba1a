import json
from argparse import RawDescriptionHelpFormatter
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from core.errors import TreasuryError
from evidence.errors import LogDamaged
from reconciliation.bundles.choosing import vouchers_between, vouchers_named
from reconciliation.bundles.exporting import export_bundle

EXAMPLES = """examples:
  manage.py export_evidence --voucher 5201/ZF0001 5201/ZF0002 --out zf.zip
  manage.py export_evidence --region 990100000 --year 2026 --from 2026-06-01 --to 2026-06-30 --out june.zip
  manage.py export_evidence --region 990100000 --year 2026 --whole-log --out year.zip --json

exit codes: 0 written; 1 the evidence log is damaged, nothing written; 2 nothing to export, or wrong usage"""
DAMAGED, USAGE = 1, 2


class Command(BaseCommand):
    """Write a bundle of vouchers with everything that proves them (docs/verifying.md)."""

    help = "Write sealed vouchers with everything that proves them into a zip; changes nothing."
    requires_system_checks: list[str] = []  # evidence must be had even when a page or a setting is broken

    def create_parser(self, *arguments: Any, **named: Any) -> Any:
        return super().create_parser(*arguments, epilog=EXAMPLES, formatter_class=RawDescriptionHelpFormatter, **named)

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--voucher", nargs="+", default=[], metavar="TYPE/NO", help="these vouchers")
        parser.add_argument("--region", metavar="CODE", help="all of this region; with --voucher: theirs")
        parser.add_argument("--year", type=int, metavar="YEAR", help="all of this fiscal year; with --voucher: theirs")
        parser.add_argument("--from", dest="first", type=date.fromisoformat, metavar="DATE", help="first voucher date")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="DATE", help="last voucher date")
        parser.add_argument("--whole-log", action="store_true", help="with the whole log of the region and year")
        parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the zip to write")
        parser.add_argument("--json", action="store_true", help="print what was written as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            exported = export_bundle(
                self._chosen(options), options["out"], now=timezone.now(), whole_log=options["whole_log"]
            )
        except LogDamaged as damage:
            raise CommandError(damage.message, returncode=DAMAGED) from damage
        except TreasuryError as refusal:
            raise CommandError(refusal.message, returncode=USAGE) from refusal
        except (DatabaseError, OSError) as error:
            raise CommandError(f"未能导出：{error}", returncode=USAGE) from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(exported) | {"file": str(options["out"])}, ensure_ascii=False))
            return
        self.stdout.write(
            f"已导出 {exported.vouchers} 张凭证、{exported.receipts} 份回单、{exported.approvals} 步审批、"
            f"{exported.entries} 条日志：{options['out']}"
        )
        if exported.unrooted:
            self.stdout.write(f"其中 {exported.unrooted} 条日志尚未签入带时间戳的根；过一两分钟再导出，验证才完整。")

    def _chosen(self, options: dict[str, Any]) -> list[UUID]:
        if options["voucher"]:
            if options["first"] or options["last"]:
                raise CommandError("--voucher 不与 --from、--to 同用。", returncode=USAGE)
            return vouchers_named(options["voucher"], region=options["region"], year=options["year"])
        if options["region"] is None or options["year"] is None:
            raise CommandError("请用 --voucher 指明凭证，或用 --region 和 --year 指明范围。", returncode=USAGE)
        return vouchers_between(
            region=options["region"], year=options["year"], first=options["first"], last=options["last"]
        )
