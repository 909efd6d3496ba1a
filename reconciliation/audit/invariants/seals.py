"""I07: every sealed voucher still carries a signature that holds, of the right party, and a record of its use."""

from collections.abc import Iterator

from core.digests import sm3_hex
from reconciliation.audit.evidence import Row, Signed, chunks, judged
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region
from seals.certificates import parse_certificate, validate_chain
from seals.errors import CertificateRefused
from seals.models import Certificate, TrustedAuthority
from seals.stamps import Trust, property_info, report_on

_VOUCHERS = f"""
SELECT v.id::text, v.voucher_type || ' ' || v.voucher_no, v.text, v.digest, v.sender, v.signature, v.signature_serial,
       v.sealed_at, v.state NOT IN ('generated', 'void', 'paper') OR v.signature <> ''
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


_STAMPS = f"""
SELECT s.id::text, v.adm_div_code, v.fiscal_year, v.voucher_type, v.voucher_no, s.position, s.der, s.digest_sm3, v.text,
       s.at, e.organisation_code, v.sender
  FROM seals_stamp s JOIN vouchers_voucher v ON v.id = s.voucher_id JOIN seals_eseal e ON e.id = s.seal_id
 WHERE {in_region("v")}
"""


def _stamps_hold(scope: Scope) -> Iterator[Finding]:
    """Each stamp is judged as of the time it was affixed: what was revoked later does not undo it."""
    trust = Trust.now(scope.now)
    for rows in chunks(_STAMPS, {"region": scope.region}):
        for stamp_id, region, year, kind, number, position, der, digest, text, at, owner, sender in rows:
            fault = ""
            if sm3_hex(bytes(der)) != digest:
                fault = "签章数据与其 SM3 摘要不符"
            elif owner != sender:
                fault = f"所用印章属于 {owner}"
            else:
                place = property_info(region, year, kind, number, position)
                verdict = report_on(bytes(der), bytes(text), place, trust, at=at).verdict
                fault = "" if verdict.ok else verdict.reason
            if fault:
                yield Finding("seals_stamp", stamp_id, f"凭证 {kind} {number} 的「{position}」签章：{fault}")


_PLACES = f"""
SELECT 'vouchers_voucher' AS "table", v.id::text AS id,
       concat('凭证 ', v.voucher_type, ' ', v.voucher_no, ' 已签章，缺「', p.name, '」') AS explanation,
       NULL::numeric AS delta
  FROM vouchers_voucher v
  JOIN seals_sealposition p ON p.adm_div_code = v.adm_div_code AND p.fiscal_year = v.fiscal_year
   AND p.voucher_type = v.voucher_type AND p.flag = 0 AND p.required AND p.kind <> 'signature'
 WHERE v.signature <> '' AND {in_region("v")}
   AND NOT EXISTS (SELECT 1 FROM seals_stamp s WHERE s.voucher_id = v.id AND s.position = p.position)
   AND NOT EXISTS (SELECT 1 FROM seals_sealpositionevent e
                    WHERE e.pgh_obj_id = p.id AND e.pgh_label = 'insert' AND e.pgh_created_at > v.sealed_at)
"""

_USES = f"""
WITH marks AS (
    SELECT v.id, v.voucher_no, v.digest, v.sender AS organisation, v.signature_serial AS serial,
           v.sealed_by_id AS person, v.position, v.sealed_at AS at
      FROM vouchers_voucher v WHERE v.signature <> '' AND {in_region("v")}
    UNION ALL
    SELECT v.id, v.voucher_no, v.digest, c.organisation_code, c.serial_hex, s.person_id, s.position, s.at
      FROM seals_stamp s JOIN vouchers_voucher v ON v.id = s.voucher_id JOIN seals_eseal e ON e.id = s.seal_id
      JOIN seals_certificate c ON c.id = e.certificate_id WHERE {in_region("v")}
), uses AS (
    SELECT u.*, c.serial_hex FROM seals_sealuse u JOIN seals_certificate c ON c.id = u.certificate_id
     WHERE %(region)s::text IS NULL
        OR EXISTS (SELECT 1 FROM vouchers_voucher o WHERE o.id = u.voucher_id AND {in_region("o")})
)
SELECT CASE WHEN m.id IS NULL THEN 'seals_sealuse' ELSE 'vouchers_voucher' END AS "table",
       COALESCE(m.id, u.id)::text AS id,
       CASE WHEN u.id IS NULL THEN concat('凭证 ', m.voucher_no, ' 的「', m.position, '」已签章，没有用印记录')
            WHEN m.id IS NULL THEN '用印记录没有对应的已签章凭证'
            ELSE concat('凭证 ', m.voucher_no, ' 的「', m.position, '」用印记录与签章不一致') END AS explanation,
       NULL::numeric AS delta
  FROM marks m FULL JOIN uses u ON u.voucher_id = m.id AND u.position = m.position
 WHERE u.id IS NULL OR m.id IS NULL
    OR (u.signed_digest_sm3, u.organisation_code, u.serial_hex, u.person_id, u.at)
       IS DISTINCT FROM (m.digest, m.organisation, m.serial, m.person, m.at)
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
        CodeCheck("Every stamp still holds over its voucher, with the sender's own seal.", _stamps_hold),
        SqlCheck("Every sealed voucher bears every stamp that its region demanded when it was sealed.", _PLACES),
        SqlCheck("Every seal has its record of use (text, key, person, time), and every use its seal.", _USES),
    ),
)
