"""Two operators accept that an evidence log is not the one the signer remembers, e.g. after a restored backup.

    manage.py accept_shorter_log --stream 990100000/2026 --size 4100 --root <64 hex> \
        --reason "数据库于…恢复到…的备份" --by 张三 --second 李四

Run it as the signer's user, with the signer's settings. The decision stays in the signer's memory, and the log goes on
from this size and root; the roots signed before stay valid and will show that entries have gone.
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from core.errors import TreasuryError
from signer.roots import accept


class Command(BaseCommand):
    help = "Let the signer go on with an evidence log that is shorter than, or different from, the one it signed."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stream", required=True)
        parser.add_argument("--size", required=True, type=int)
        parser.add_argument("--root", required=True)
        for name in ("--reason", "--by", "--second"):
            parser.add_argument(name, required=True)

    def handle(self, *_args: Any, **options: Any) -> None:
        names = ("stream", "size", "root", "reason", "by", "second")
        try:
            before = accept(now=timezone.now(), **{name: options[name] for name in names})
        except TreasuryError as refusal:
            raise CommandError(refusal.message) from refusal
        was = f"第 {before.size} 条，根 {before.root}" if before is not None else "无"
        self.stdout.write(f"{options['stream']} 从第 {options['size']} 条继续；此前记忆：{was}。")
