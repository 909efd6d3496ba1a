"""I18: the evidence log is whole: every fact has its entry, unchanged, under signed roots that continue each other."""

from collections.abc import Iterator

from core.errors import TreasuryError
from evidence.verifying import check_log
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope
from seals.certificates import parse_certificate
from seals.models import Certificate
from seals.stamps import Trust
from seals.suites import get_suite
from seals.timestamps import verify_token


def _log_is_whole(scope: Scope) -> Iterator[Finding]:
    trust = Trust.now(scope.now)
    certificates = {row.serial_hex: row for row in Certificate.objects.all()}

    def signed(text: bytes, signature: bytes, serial: str) -> str:
        row = certificates.get(serial)
        if row is None:
            return "签名证书未登记"
        holds = get_suite(row.suite_id).verify(parse_certificate(row.pem).public_key, text, signature)
        return "" if holds else "签名与根不符"

    def stamped(text: bytes, token: bytes) -> str:
        try:
            verify_token(token, text, trust.authorities, scope.now)
        except TreasuryError as refusal:
            return refusal.message
        return ""

    for found in check_log(scope.region, verify_root=signed, verify_token=stamped):
        place = f"存证日志 {found.stream}" + (f" 第 {found.seq} 条" if found.seq else "")
        yield Finding(found.table or "evidence_entry", found.row, f"{place}：{found.message}（{found.code}）")


I18 = Invariant(
    "I18",
    "存证日志连续",
    (
        CodeCheck(
            "Every fact has its entry and is still what was noted; the entries form one chain; the roots over them are "
            "signed, time-stamped, and not ahead of the anchors outside the database.",
            _log_is_whole,
        ),
    ),
)
