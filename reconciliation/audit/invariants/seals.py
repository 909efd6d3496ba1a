"""I07: every sealed voucher still carries a signature that holds, of the right party, and a record of its use."""

from collections.abc import Iterator

from reconciliation.audit.evidence import Register, Signed, chunks, every_core
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region
from seals.digests import sm3_hex

_VOUCHERS = f"""
SELECT v.id::text, v.voucher_type || ' ' || v.voucher_no, v.text, v.digest, v.sender, v.signature, v.signature_serial,
       v.sealed_at, v.state NOT IN ('generated', 'void') OR v.signature <> ''
  FROM vouchers_voucher v WHERE {in_region("v")}
"""


def _signatures_hold(scope: Scope) -> Iterator[Finding]:
    register = Register()
    with every_core() as pool:
        for rows in chunks(_VOUCHERS, {"region": scope.region}):
            sealed: list[tuple[str, str]] = []
            signed: list[Signed] = []
            for voucher_id, number, stored, digest, sender, signature, serial, sealed_at, is_sealed in rows:
                text = bytes(stored)
                if sm3_hex(text) != digest:
                    yield Finding("vouchers_voucher", voucher_id, f"凭证 {number} 的原文与其 SM3 摘要不符")
                if is_sealed and (not signature or sealed_at is None):
                    yield Finding("vouchers_voucher", voucher_id, f"凭证 {number} 已过签章，却没有签名或签章时间")
                elif is_sealed:
                    sealed.append((voucher_id, number))
                    signed.append(Signed(sender, text, ((serial, signature),), sealed_at))
            for (voucher_id, number), fault in zip(sealed, register.faults(signed, pool), strict=True):
                if fault:
                    yield Finding("vouchers_voucher", voucher_id, f"凭证 {number}：{fault}")


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

I07 = Invariant(
    "I07",
    "签章今天仍验得过",
    (
        CodeCheck(
            "The stored text has its digest; the sender's signature over it holds, by a certificate that was valid and "
            "not revoked when it was sealed.",
            _signatures_hold,
        ),
        SqlCheck("Every seal has its record of use: same text, key, person and time; and no use without a seal.", _USES),
    ),
)
