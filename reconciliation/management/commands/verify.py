import os
import sys
import tempfile
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error as DatabaseFailure

from seals.certificates import parse_certificate
from seals.models import Certificate, OfficerCertificate, RevocationList, SealMaker, TrustedAuthority
from verifier import guoku_verify

EXAMPLES = """examples:
  manage.py verify bundle.zip
  manage.py verify voucher.pdf --json
  manage.py verify bundle.zip --trust roots/ --report report.html --at 2036-01-31T00:00:00Z

exit codes: 0 genuine; 1 altered or failed; 2 wrong usage or unreadable; 3 cannot be decided with what is at hand"""
PATIENCE = "3"  # seconds for a database that may not be there


class Command(BaseCommand):
    """Verify a bundle, MOF envelope, voucher, seal, stamp or PDF with the offline program (docs/verifying.md).

    The program itself touches no database. Only where no --trust is given are the trusted authorities asked of one.
    """

    help = "Verify evidence with the offline program; needs no database."
    requires_system_checks: list[str] = []

    def create_parser(self, *arguments: Any, **named: Any) -> Any:
        return super().create_parser(*arguments, epilog=EXAMPLES, formatter_class=RawDescriptionHelpFormatter, **named)

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("file", metavar="FILE", help="bundle (zip), MOF XML, voucher XML, PDF, seal or stamp")
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument("--report", metavar="FILE", help="also write an HTML report")
        parser.add_argument("--trust", metavar="DIR", help="the roots you trust; default: those of the database")
        parser.add_argument("--at", metavar="TIME", help="judge as of this instant, e.g. 2036-01-31T00:00:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        given = [options["file"], *(["--json"] if options["json"] else [])]
        for name in ("report", "at"):
            given += [f"--{name}", options[name]] if options[name] else []
        if options["trust"]:
            sys.exit(guoku_verify.main([*given, "--trust", options["trust"]]))
        with tempfile.TemporaryDirectory(prefix="guoku-trust-") as folder:
            known = _write_trust(Path(folder))
            if not known:
                self.stderr.write("没有可用的数据库，也没有 --trust：不知道信任哪些根证书。")
            sys.exit(guoku_verify.main([*given, *(["--trust", folder] if known else [])]))


def _write_trust(folder: Path) -> bool:
    """Put the register's authorities, certificates and lists where the program looks for them; False without any."""
    os.environ.setdefault("PGCONNECT_TIMEOUT", PATIENCE)
    try:
        roots, others, makers, lists = _register()
    except DatabaseFailure:
        return False
    for name, rows in (("", roots), ("certificates", others), ("makers", makers)):
        (folder / name).mkdir(exist_ok=True)
        for number, pem in enumerate(rows):
            (folder / name / f"{number}.pem").write_text(pem)
    (folder / "crls").mkdir()
    for number, encoded in enumerate(lists):
        (folder / "crls" / f"{number}.crl").write_bytes(encoded)
    return bool(roots)


def _register() -> tuple[list[str], list[str], list[str], list[bytes]]:
    """Self-issued authorities, all other certificates, seal makers' certificates, and the newest lists.

    :raises django.db.Error: without a database, or with one that has no such tables.
    """
    authorities = list(TrustedAuthority.objects.filter(active=True))
    roots = [row.pem for row in authorities if parse_certificate(row.pem).self_issued]
    others = [row.pem for row in authorities if not parse_certificate(row.pem).self_issued]
    others += list(Certificate.objects.values_list("pem", flat=True))
    others += list(OfficerCertificate.objects.exclude(pem="").values_list("pem", flat=True))
    makers = list(SealMaker.objects.filter(active=True).values_list("certificate__pem", flat=True))
    lists = RevocationList.objects.filter(authority__in=authorities).order_by("authority", "-number")
    return roots, others, makers, [bytes(row.der) for row in lists.distinct("authority")]
