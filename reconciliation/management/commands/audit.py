import json
import sys
import unicodedata
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from attachments.store import FileStore, file_store
from parties.models import Region
from reconciliation.audit.findings import Result
from reconciliation.audit.runner import SAMPLE, AuditUnknownInvariant, run_audit

STATUS = {"ok": "相符", "broken": "不符", "not_applicable": "未涉及"}
BROKEN, USAGE = 1, 2


class Command(BaseCommand):
    """Ask the invariants of docs/audit.md of the whole database, in one read-only snapshot.

    Exit code 0: none is broken; 1: at least one is; 2: it could not be asked (wrong question, no database).
    Example: manage.py audit --only I02,I07 --region 990100000 --json
    """

    help = "Check the invariants between all tables; changes nothing. Exit code 1 if one is broken."
    requires_system_checks: list[str] = []  # the books can be asked even when a page or a setting is broken

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON list instead of a table")
        parser.add_argument("--only", default="", metavar="I02,I07", help="ask only these invariants")
        parser.add_argument("--region", default=None, metavar="CODE", help="ask only of this region")
        parser.add_argument("--files", default=None, metavar="DIR", help="the file store (the configured one)")
        parser.add_argument("--no-files", action="store_true", help="the file store cannot be read from here")
        parser.add_argument("--sample", type=int, default=SAMPLE, metavar="N", help="findings told for each invariant")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["sample"] < 0:
            raise CommandError("--sample 不能为负数。", returncode=USAGE)
        only = [name.strip().upper() for name in options["only"].split(",") if name.strip()]
        try:
            results = self._ask(only, options["region"], options["sample"], _store(options))
        except AuditUnknownInvariant as error:
            raise CommandError(error.message, returncode=USAGE) from error
        except DatabaseError as error:  # nobody may take this for a finding, nor for a clean bill
            raise CommandError(f"未能核对：{error}", returncode=USAGE) from error
        if options["json"]:
            self.stdout.write(json.dumps([asdict(r) for r in results], ensure_ascii=False, indent=2, default=_plain))
        else:
            self._table(results)
        if any(result.status == "broken" for result in results):
            sys.exit(BROKEN)

    def _ask(self, only: list[str], region: str | None, sample: int, files: FileStore | None) -> list[Result]:
        if region is not None and not Region.objects.filter(adm_div_code=region).exists():
            raise CommandError(f"没有这个区划：{region}", returncode=USAGE)
        return run_audit(now=timezone.now(), only=only, region=region, sample=sample, files=files)

    def _table(self, results: list[Result]) -> None:
        width = max(_width(result.title) for result in results)
        self.stdout.write(f"编号  {_padded('不变式', width)}  结果    笔数    秒")
        for result in results:
            line = f"{result.id:4}  {_padded(result.title, width)}  {_padded(STATUS[result.status], 6)}"
            self.stdout.write(f"{line}{result.count:>6} {result.seconds:>5.1f}")
            if result.reason:
                self.stdout.write(f"      {result.reason}")
            for finding in result.samples:
                delta = "" if finding.delta is None else f"（差 {finding.delta:,.2f}）"
                self.stdout.write(f"      · {finding.table} {finding.id}：{finding.explanation}{delta}")
            if result.count > len(result.samples):
                self.stdout.write(f"      · 另有 {result.count - len(result.samples)} 笔")
        broken = [result.id for result in results if result.status == "broken"]
        asked = sum(result.status != "not_applicable" for result in results)
        verdict = f"不符：{'、'.join(broken)}" if broken else "全部相符"
        self.stdout.write(f"已核对 {asked} 条，{verdict}；未涉及 {len(results) - asked} 条。")


def _store(options: dict[str, Any]) -> FileStore | None:
    if options["no_files"]:
        return None
    if options["files"] is None:
        return file_store()
    if not Path(options["files"]).is_dir():  # a mistyped folder must not look like a store that lost everything
        raise CommandError(f"没有这个目录：{options['files']}", returncode=USAGE)
    return FileStore(Path(options["files"]))


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _width(text: str) -> int:
    """How many columns a terminal gives the text: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
