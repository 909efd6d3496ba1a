"""I16: every inbound document is what its envelope said, and had its effect if, and only if, it was applied."""

import re
from collections.abc import Iterator

from django.db import connection

from budget.methods import BY_TYPE, METHODS
from core.digests import sm3_hex
from reconciliation.audit.evidence import chunks, content_of, inner_bytes
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region
from reconciliation.audit.invariants.messages import Message, contents, signatures_hold

_PAYMENTS = sorted(BY_TYPE)
_REFUNDS = sorted({method.refund_type for method in METHODS.values()})
_DUE = {"payments": _PAYMENTS, "refunds": _REFUNDS}
_EFFECTS = f"""
WITH effect AS (
    SELECT message_id, 'receipt' AS kind FROM payments_paymentreceipt
    UNION SELECT message_id, 'refund' FROM payments_refund
    UNION SELECT message_id, 'refund' FROM payments_refundcase
    UNION SELECT message_id, 'correction' FROM payments_correctionreceipt
    UNION SELECT message_id, 'clearing' FROM payments_clearing
    UNION SELECT message_id, 'statement' FROM reconciliation_statement
), due (voucher_type, flag, kind) AS (
    SELECT unnest(%(payments)s::text[]), 1, 'receipt' UNION ALL SELECT unnest(%(refunds)s::text[]), 0, 'refund'
    UNION ALL VALUES ('2301', 1, 'clearing'), ('2302', 1, 'clearing'), ('5253', 1, 'correction'),
    ('5351', 1, 'correction'), ('2205', 0, 'statement'), ('2206', 0, 'statement'),
    ('3507', 0, 'statement'), ('3508', 0, 'statement'), ('3510', 0, 'statement')
)
SELECT 'vouchers_inboxmessage' AS "table", m.id::text AS id,
       concat('来文 ', m.voucher_type, ' ', m.voucher_no, ' 来自 ', m.sender, '（', m.state, '）',
              CASE WHEN m.state = 'applied' AND e.kind IS NULL THEN '已处理却没有结果'
                   WHEN m.state <> 'applied' THEN '没有处理却有结果' ELSE '的结果种类不对' END) AS explanation,
       NULL::numeric AS delta
  FROM vouchers_inboxmessage m
  LEFT JOIN due d ON d.voucher_type = m.voucher_type AND d.flag = m.flag
  LEFT JOIN effect e ON e.message_id = m.id
 WHERE {in_region("m")} AND (CASE WHEN m.state = 'applied' THEN d.kind END) IS DISTINCT FROM e.kind
"""

_MARKS = f"""
SELECT 'vouchers_inboxmessage' AS "table", m.id::text AS id,
       concat('来文 ', m.voucher_type, ' ', m.voucher_no, '（', m.state,
              '）的处理时间或拒绝代码与状态不符') AS explanation,
       NULL::numeric AS delta
  FROM vouchers_inboxmessage m
 WHERE {in_region("m")}
   AND ((m.state = 'applied') <> (m.applied_at IS NOT NULL) OR m.state IN ('refused', 'parked') AND m.code = '')
"""

_TEXTS = f"""
SELECT m.id::text, m.adm_div_code, m.fiscal_year::text, m.voucher_type, m.voucher_no, m.text, m.digest
  FROM vouchers_inboxmessage m WHERE {in_region("m")}
"""
_TAGS = ("AdmDivCode", "StYear", "VtCode", "VoucherNo")
_IDENTITY = re.compile(rb"<(AdmDivCode|StYear|VtCode|VoucherNo)>([^<]*)</")


def _is_what_it_says(scope: Scope) -> Iterator[Finding]:
    for rows in chunks(_TEXTS, {"region": scope.region}):
        for message_id, *claimed, stored, digest in rows:
            text = bytes(stored)
            if sm3_hex(text) != digest:
                yield Finding("vouchers_inboxmessage", message_id, f"来文 {claimed[2]} {claimed[3]} 的原文与其摘要不符")
            elif _identity(text) != claimed:
                yield Finding("vouchers_inboxmessage", message_id, f"来文 {claimed[2]} {claimed[3]} 的信封与原文不符")


def _identity(text: bytes) -> list[str]:
    """Read the identity from the main document; the codec is asked where the layout is not plainly main first."""
    head = inner_bytes(text).partition(b"<DetailList")[0]
    found = _IDENTITY.findall(head)
    if len(found) == len(_TAGS) == len(dict(found)) and head:
        values = {tag.decode(): value.decode("ascii", "replace") for tag, value in found}
        return [values[tag] for tag in _TAGS]
    content = content_of(text)
    if content is None:
        return []
    return [content.adm_div_code, f"{content.fiscal_year}", content.voucher_type, content.voucher_no]


_ARRIVED = f"""
SELECT v.adm_div_code, v.fiscal_year, v.voucher_no, n.id::text, n.amount_arrived, n.amount, v.receiver
  FROM budget_quotanotice n JOIN vouchers_voucher v ON v.id = n.voucher_id WHERE {in_region("n")}
"""


def _quota_arrived(scope: Scope) -> Iterator[Finding]:
    said: dict[tuple[str, int, str], Message] = {}
    for message in contents(scope, ("2104",), flag=0, states=("applied",)):
        region, year = message.identity[:2]
        number = message.content.main["OriVoucherNo"] if message.content else "（原文不能读取）"
        said[region, year, number] = message
    with connection.cursor() as cursor:
        cursor.execute(_ARRIVED, {"region": scope.region})
        for region, year, number, notice_id, arrived, amount, _receiver in cursor.fetchall():
            stated = amount if said.pop((region, year, number), None) else 0
            if arrived != stated:
                yield Finding(
                    "budget_quotanotice",
                    notice_id,
                    f"额度通知单 {number} 到账 {arrived}，到账通知 {stated}",
                    arrived - stated,
                )
    for key, message in said.items():
        yield Finding("vouchers_inboxmessage", message.id, f"到账通知所指的额度通知单 {key[2]} 不存在")


def _signatures(scope: Scope) -> Iterator[Finding]:
    return signatures_hold(scope, [*_PAYMENTS, *_REFUNDS, "2301", "2302", "5253", "5351"], among=False)


I16 = Invariant(
    "I16",
    "来文处理⇔有结果，信封等于原文",
    (
        SqlCheck(
            "An applied message of a type that does something did exactly that; no other message did.", _EFFECTS, _DUE
        ),
        SqlCheck("Applied messages say when, refused and waiting ones say why.", _MARKS),
        CodeCheck("The stored text has its digest; region, year, type and number are those inside.", _is_what_it_says),
        CodeCheck("Quota has arrived where, and only where, the bank's 2104 says so.", _quota_arrived),
        CodeCheck("The signature over every other applied message (arrivals, reports) holds.", _signatures),
    ),
)
