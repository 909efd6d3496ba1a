"""Verify voucher signatures of the expected party, and of nobody else.

Nothing is taken from the message but the serial and the signature: the certificate comes from the register by party
and serial, the suite from the certificate's key and the party's profile on that date.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db.models import Q

from seals.certificates import canonical_serial, parse_certificate, suites_for
from seals.models import Certificate, SignatureProfile
from seals.suites import get_suite

LONGEST_SIGNATURE_B64 = 4 * 1024 // 3 + 4  # RSA-8192 needs 1,024 bytes; each suite refuses what is too long for it


@dataclass(frozen=True)
class TextToVerify:
    """A received text (see `seals.signing`), who should have signed it, and the signature it came with."""

    organisation_code: str
    text: bytes
    signature_b64: str
    serial_hex: str


@dataclass(frozen=True)
class Verdict:
    """Whether the signature holds; if not, a stable reason code and a sentence.

    Codes: signature_missing, certificate_unknown, certificate_of_other_party, certificate_revoked,
    certificate_expired, certificate_not_yet_valid, suite_not_allowed, signature_malformed, signature_invalid.
    `certificate_id` is set as soon as the party's own certificate was found, whatever the verdict.
    """

    ok: bool
    reason_code: str | None = None
    detail: str = ""
    certificate_id: UUID | None = None


def verify_texts(items: Sequence[TextToVerify], *, at: datetime, on: date) -> list[Verdict]:
    """Judge each item, in the order given. Two SQL statements, however many items.

    :param at: the instant at which certificates must be valid and not revoked: now for what has just arrived, the
        time of sealing for a later check.
    :param on: the business date by which the profile is chosen.
    """
    register = _Register(items, on)
    return [_judge(item, register, at) for item in items]


class _Register:
    """The certificates and profiles that the items of one call may need."""

    def __init__(self, items: Sequence[TextToVerify], on: date) -> None:
        rows = Certificate.objects.filter(serial_hex__in={_serial(item.serial_hex) for item in items})
        self._own: dict[tuple[str, str], Certificate] = {}
        self.serials: set[str] = set()
        for row in rows:
            self._own[row.organisation_code, row.serial_hex] = row
            self.serials.add(row.serial_hex)
        profiles: Iterable[tuple[str, str]] = SignatureProfile.objects.filter(
            Q(valid_to__isnull=True) | Q(valid_to__gte=on),
            organisation_code__in={item.organisation_code for item in items},
            valid_from__lte=on,
        ).values_list("organisation_code", "suite_id")
        self.allowed = set(profiles)

    def certificate(self, item: TextToVerify) -> Certificate | None:
        return self._own.get((item.organisation_code, _serial(item.serial_hex)))


def _judge(item: TextToVerify, register: _Register, at: datetime) -> Verdict:
    if not item.signature_b64:
        return Verdict(False, "signature_missing", "报文没有签名。")
    row = register.certificate(item)
    if row is None:
        if _serial(item.serial_hex) in register.serials:
            return Verdict(False, "certificate_of_other_party", f"证书不属于机构 {item.organisation_code}。")
        return Verdict(False, "certificate_unknown", "没有登记过该序列号的证书。")
    refused = _refuse_certificate(row, at)
    if refused is not None:
        return Verdict(False, *refused, certificate_id=row.pk)
    certificate = parse_certificate(row.pem)
    suites = [suite_id for suite_id in suites_for(certificate) if (row.organisation_code, suite_id) in register.allowed]
    if not suites:
        reason = f"与该机构的约定当日不允许套件 {row.suite_id}。"
        return Verdict(False, "suite_not_allowed", reason, certificate_id=row.pk)
    signature = decode_signature(item.signature_b64)
    if signature is None or len(signature) > max(get_suite(suite_id).longest_signature for suite_id in suites):
        return Verdict(False, "signature_malformed", "签名值不是规范的 base64。", certificate_id=row.pk)
    if not any(
        get_suite(suite_id).verify(certificate.public_key_for(suite_id), item.text, signature) for suite_id in suites
    ):
        return Verdict(False, "signature_invalid", "签名与内容不符。", certificate_id=row.pk)
    return Verdict(True, certificate_id=row.pk)


def _refuse_certificate(row: Certificate, at: datetime) -> tuple[str, str] | None:
    if row.revoked_at is not None and row.revoked_at <= at:
        return "certificate_revoked", f"证书已于 {row.revoked_at:%Y-%m-%d %H:%M} (UTC) 吊销。"
    if at < row.valid_from:
        return "certificate_not_yet_valid", f"证书自 {row.valid_from:%Y-%m-%d %H:%M} (UTC) 起生效。"
    if at > row.valid_to:
        return "certificate_expired", f"证书已于 {row.valid_to:%Y-%m-%d %H:%M} (UTC) 到期。"
    return None


def decode_signature(signature_b64: str) -> bytes | None:
    """The signature value, or None unless the text is the one base64 spelling of it (no blanks, no stray pad bits)."""
    if len(signature_b64) > LONGEST_SIGNATURE_B64:
        return None
    try:
        signature = base64.b64decode(signature_b64, validate=True)
    except (ValueError, binascii.Error):
        return None
    return signature if base64.b64encode(signature).decode("ascii") == signature_b64 else None


def _serial(serial_hex: str) -> str:
    """As registered; a serial that is no hexadecimal matches nothing."""
    try:
        return canonical_serial(serial_hex)
    except ValueError:
        return ""
