"""I07: every sealed voucher still carries a signature that holds, of the right party, and a record of its use."""

from collections.abc import Iterator

from reconciliation.audit.evidence import Row, Signed, chunks, judged
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region
from seals.certificates import parse_certificate, validate_chain
from core.digests import sm3_hex
from seals.errors import CertificateRefused
from seals.models import Certificate, TrustedAuthority

_VOUCHERS = f"""
SELECT v.id::text, v.voucher_type || ' ' || v.voucher_no, v.text, v.digest, v.sender, v.signature, v.signature_serial,
       v.sealed_at, v.state NOT IN ('generated', 'void') OR v.signature <> ''
  FROM vouchers_voucher v WHERE {in_region("v")}
"""


def _signatures_hold(scope: Scope) -> Iterator[Finding]:
    for row, unsigned in judged(chunks(_VOUCHERS, {"region": scope.region}), _signed):
        voucher_id, number, text, digest, _sender, signature, _serial, sealed_at, is_sealed = row
        fault = unsigned
        if sm3_hex(bytes(text)) != digest:
            fault = "原文与其 SM3 摘要不符"
        elif is_sealed and not (signature and sealed_at):
            fault = "已过签章，却没有签名或签章时间"
        if fault:
            yield Finding("vouchers_voucher", voucher_id, f"凭证 {number}：{fault}")


def _signed(row: Row) -> Signed | None:
    _id, _number, text, _digest, sender, signature, serial, sealed_at, is_sealed = row
    if not is_sealed or not signature or sealed_at is None:
        return None
    return Signed(sender, bytes(text), ((serial, signature),), sealed_at)


_USES = f"""
SELECT CASE WHEN v.id IS NULL THEN 'seals_sealuse' ELSE 'vouchers_voucher' END AS "table",
       COALESCE(v.id, u.id)::text AS id,
       CASE WHEN u.id IS NULL THEN concat('凭证 ', v.voucher_no, ' 已签章，没有用印记录')
            WHEN v.id IS NULL THEN '用印记录没有对应的已签章凭证'
            ELSE concat('凭证 ', v.voucher_no, ' 的用印记录与签章不一致') END AS explanation, NULL::numeric AS delta
  FROM (SELECT * FROM vouchers_voucher v WHERE v.signature <> '' AND {in_region("v")}) v
  FULL JOIN (SELECT u.*, c.serial_hex FROM seals_sealuse u JOIN seals_certificate c ON c.id = u.certificate_id
              WHERE %(region)s::text IS NULL
                 OR EXISTS (SELECT 1 FROM vouchers_voucher o WHERE o.id = u.voucher_id AND {in_region("o")})) u
    ON u.voucher_id = v.id
 WHERE u.id IS NULL OR v.id IS NULL
    OR (u.signed_digest_sm3, u.organisation_code, u.serial_hex, u.person_id, u.position, u.at)
       IS DISTINCT FROM (v.digest, v.sender, v.signature_serial, v.sealed_by_id, v.position, v.sealed_at)
"""


def _certificates_vouched_for(scope: Scope) -> Iterator[Finding]:
    del scope  # the register belongs to no region
    authorities = [parse_certificate(authority.pem) for authority in TrustedAuthority.objects.filter(active=True)]
    for row in Certificate.objects.all():
        try:
            parsed = parse_certificate(row.pem)
            validate_chain(parsed, authorities, parsed.valid_from)
            said = (parsed.serial_hex, parsed.issuer, parsed.suite_id, parsed.valid_from, parsed.valid_to)
            kept = (row.serial_hex, row.issuer, row.suite_id, row.valid_from, row.valid_to)
            fault = "" if said == kept else "与证书本身不同"
        except CertificateRefused as refusal:
            fault = f"不被信任（{refusal.code}）"
        if fault:
            yield Finding(
                "seals_certificate", str(row.id), f"登记的证书 {row.organisation_code} {row.serial_hex} {fault}"
            )


I07 = Invariant(
    "I07",
    "签章今天仍验得过",
    (
        CodeCheck(
            "The stored text has its digest; the sender's signature over it holds, by a certificate that was valid and "
            "not revoked when it was sealed.",
            _signatures_hold,
        ),
        CodeCheck(
            "Every registered certificate is what it says, and a trusted authority stands for it.",
            _certificates_vouched_for,
        ),
        SqlCheck("Every seal has its record of use (text, key, person, time), and every use its seal.", _USES),
    ),
)
