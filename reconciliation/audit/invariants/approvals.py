"""I06: what was sealed is what was approved: by every needed node, by different people, to the last character."""

import json
from collections.abc import Iterator

from core.digests import sm3_hex
from core.money import wire_yuan
from payments.content import content_digest, details_of
from payments.correcting import correction_digest
from payments.models import Correction, PaymentRequest
from reconciliation.audit.evidence import CHUNK, Fields, chunks, inner_bytes, own_fields
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region
from seals.certificates import parse_certificate
from seals.statements import parse_item, parse_statement, tbs, verify_item
from seals.suites import get_suite

# Whether a node is needed, said once more without `parties.chain_rules`: over document `s` and node `n`.
NEEDED = """
s.amount >= n.amount_from AND (n.amount_to IS NULL OR s.amount < n.amount_to)
AND s.amount >= COALESCE((n.skip_if->>'amount_below')::numeric, 0)
AND NOT (n.skip_if->'post_vacant' IS NOT DISTINCT FROM 'true'::jsonb
         AND EXISTS (SELECT 1 FROM parties_reviewskip k
                      WHERE k.document_id = s.id AND k.revision = s.revision AND k.node_id = n.id))
"""

# Documents whose voucher is sealed: payments, corrections, and the plans behind a sealed 5105.
_SEALED = f"""
sealed AS (
    SELECT r.id, 'payments_paymentrequest' AS "table", r.request_no AS no, r.chain_id, r.amount, r.revision,
           r.content_digest, r.created_by_id, v.made_by_id, v.sealed_by_id
      FROM payments_paymentrequest r JOIN vouchers_voucher v ON v.id = r.voucher_id
     WHERE v.signature <> '' AND NOT r.imported AND {in_region("r")}
    UNION ALL
    SELECT p.id, 'budget_spendingplan', p.plan_no, p.chain_id, p.amount, p.revision, p.content_digest,
           p.created_by_id, v.made_by_id, v.sealed_by_id
      FROM budget_spendingplan p JOIN budget_quotanotice n ON n.id = p.notice_id
      JOIN vouchers_voucher v ON v.id = n.voucher_id
     WHERE v.signature <> '' AND {in_region("p")}
    UNION ALL
    SELECT c.id, 'payments_correction', c.correction_no, c.chain_id, c.amount, c.revision, c.content_digest,
           c.created_by_id, v.made_by_id, v.sealed_by_id
      FROM payments_correction c JOIN vouchers_voucher v ON v.id = c.voucher_id
     WHERE v.signature <> '' AND {in_region("c")}
), needed AS (
    SELECT s.id, n.ordinal, n.post, n.countersign FROM sealed s
      JOIN parties_reviewnode n ON n.chain_id = s.chain_id AND {NEEDED}
), given AS (
    SELECT s.id, d.ordinal, d.post, d.person_id, d.content_digest, g.delegator_id FROM sealed s
      JOIN parties_reviewdecision d
        ON d.document_id = s.id AND d.revision = s.revision AND d.decision = 'approve'
      LEFT JOIN parties_delegation g ON g.id = d.delegation_id
), involved AS (
    SELECT id, person_id FROM given UNION ALL SELECT id, delegator_id FROM given WHERE delegator_id IS NOT NULL
)
"""

_COMPLETE = f"""
WITH {_SEALED}
SELECT s."table", s.id::text AS id,
       concat(s.no, ' 已签章，但第 ', COALESCE(n.ordinal, g.ordinal), ' 节点 ',
              CASE WHEN n.id IS NULL THEN '不在审核链内' WHEN g.id IS NULL THEN '没有通过意见'
                   ELSE concat('须 ', n.countersign, ' 人，有 ', g.seats, ' 人通过') END) AS explanation,
       NULL::numeric AS delta
  FROM needed n
  FULL JOIN (SELECT id, ordinal, post, count(*) AS seats FROM given GROUP BY id, ordinal, post) g
    ON g.id = n.id AND g.ordinal = n.ordinal AND g.post = n.post
  JOIN sealed s ON s.id = COALESCE(n.id, g.id)
 WHERE n.id IS NULL OR g.id IS NULL OR n.countersign <> g.seats
UNION ALL
SELECT s."table", s.id::text, concat(s.no, ' 已签章，但审核链没有任何节点'), NULL
  FROM sealed s WHERE NOT EXISTS (SELECT 1 FROM needed n WHERE n.id = s.id)
"""

_PERSONS = f"""
WITH {_SEALED}
SELECT s."table", s.id::text AS id, concat(s.no, ' 的审核人同时是录入、制单或签章人') AS explanation,
       NULL::numeric AS delta
  FROM sealed s JOIN involved g ON g.id = s.id AND g.person_id IN (s.created_by_id, s.made_by_id, s.sealed_by_id)
UNION ALL
SELECT s."table", s.id::text, concat(s.no, ' 的签章人同时是录入或制单人'), NULL
  FROM sealed s WHERE s.sealed_by_id IS NULL OR s.sealed_by_id IN (s.created_by_id, s.made_by_id)
UNION ALL
SELECT s."table", s.id::text,
       concat(s.no, ' 的 ', count(*), ' 个审核席次（含委托人）只有 ', count(DISTINCT g.person_id), ' 人'),
       count(*) - count(DISTINCT g.person_id)
  FROM sealed s JOIN involved g ON g.id = s.id GROUP BY s."table", s.id, s.no
HAVING count(*) <> count(DISTINCT g.person_id)
"""

_SAME_DIGEST = f"""
WITH {_SEALED}
SELECT s."table", s.id::text AS id, concat(s.no, ' 第 ', g.ordinal, ' 节点审核的内容摘要与单据不同') AS explanation,
       NULL::numeric AS delta
  FROM sealed s JOIN given g ON g.id = s.id AND g.content_digest <> s.content_digest
"""


def _content_unchanged(scope: Scope) -> Iterator[Finding]:
    sealed = PaymentRequest.objects.exclude(voucher__signature="").filter(voucher__isnull=False, imported=False)
    if scope.region is not None:
        sealed = sealed.filter(adm_div_code=scope.region)
    batch: list[PaymentRequest] = []
    for request in sealed.order_by("id").iterator(chunk_size=CHUNK):
        batch.append(request)
        if len(batch) == CHUNK:
            yield from _changed(batch)
            batch = []
    yield from _changed(batch)
    corrections = Correction.objects.exclude(voucher__signature="").filter(voucher__isnull=False)
    if scope.region is not None:
        corrections = corrections.filter(adm_div_code=scope.region)
    for correction in corrections.order_by("id").iterator(chunk_size=CHUNK):
        if correction_digest(correction) != correction.content_digest:
            number = correction.correction_no
            yield Finding("payments_correction", str(correction.id), f"{number} 现在的内容与审核通过的内容不同")


def _changed(requests: list[PaymentRequest]) -> Iterator[Finding]:
    details = details_of(requests)
    for request in requests:
        if content_digest(request, details[request.id]) != request.content_digest:
            yield Finding(
                "payments_paymentrequest", str(request.id), f"{request.request_no} 现在的内容与审核通过的内容不同"
            )


_SIGNED = f"""
SELECT g.id::text, g.text, g.signature, c.suite_id, c.pem, c.person_id::text, c.valid_from, c.valid_to, c.revoked_at,
       g.at
  FROM seals_statementsignature g JOIN seals_officercertificate c ON c.id = g.certificate_id WHERE {in_region("g")}
"""
_STEPS = f"""
SELECT s.id::text, g.text, g.signature, s.item, s.index, s.path, s.document_id::text, s.revision, s.action, s.post,
       s.signature_sm3
  FROM seals_stepsignature s JOIN seals_statementsignature g ON g.id = s.signed_id WHERE {in_region("s")}
"""


def _officers_signed(scope: Scope) -> Iterator[Finding]:
    """Every officer's signature holds under the officer's own certificate as it was then."""
    for rows in chunks(_SIGNED, {"region": scope.region}):
        for row_id, text, signature, suite_id, pem, person, start, end, revoked_at, at in rows:
            key = parse_certificate(pem).public_key
            fault = ""
            if not get_suite(suite_id).verify(key, tbs(text), bytes(signature)):
                fault = "与声明不符"
            elif parse_statement(text).person_id != person:
                fault = "不是声明所称人员的证书所签"
            elif not start <= at <= end or (revoked_at is not None and revoked_at <= at):
                fault = "所用证书当时无效"
            if fault:
                yield Finding("seals_statementsignature", row_id, f"人员签名{fault}")


def _steps_are_what_was_signed(scope: Scope) -> Iterator[Finding]:
    """Every step is an item under the root that was signed, and says what its row says."""
    for rows in chunks(_STEPS, {"region": scope.region}):
        for step_id, text, signature, item, index, path, document, revision, action, post, digest in rows:
            statement, said = parse_statement(text), parse_item(item)
            same = (said.document_id, said.revision, statement.action) == (document, revision, action)
            holds = verify_item(statement, item, index, json.loads(path) if isinstance(path, str) else path)
            if not (same and holds and statement.post == post and digest == sm3_hex(bytes(signature))):
                yield Finding("seals_stepsignature", step_id, f"单据 {said.document_no} 的签名项与所签声明不符")


_UNSIGNED = f"""
SELECT 'parties_reviewdecision' AS "table", d.id::text AS id,
       concat('审核意见没有与之相符的人员签名（', d.actor_name, '）') AS explanation, NULL::numeric AS delta
  FROM parties_reviewdecision d LEFT JOIN seals_stepsignature s ON s.id = d.signature_id
  LEFT JOIN seals_statementsignature g ON g.id = s.signed_id
  LEFT JOIN seals_officercertificate c ON c.id = g.certificate_id
 WHERE {in_region("d")} AND d.signature_id IS NOT NULL
   AND (d.document_id, d.revision, d.decision, d.post, d.person_id)
       IS DISTINCT FROM (s.document_id, s.revision, s.action, s.post, c.person_id)
"""

_TEXTS = f"""
SELECT v.id::text, v.voucher_no, v.text, v.amount, r.amount, a.account_no,
       (SELECT jsonb_agg(jsonb_build_array(d.seq::text, d.amount::text, d.payee_account_no, d.payee_name)
                         ORDER BY d.seq)
          FROM payments_paymentdetail d WHERE d.request_id = r.id)
  FROM vouchers_voucher v JOIN payments_paymentrequest r ON r.voucher_id = v.id
  JOIN parties_bankaccount a ON a.id = r.payer_account_id
 WHERE v.signature <> '' AND {in_region("v")}
"""
_LINE = ("Id", "PayAmt", "PayeeAcctNo", "PayeeAcctName")
_SAID = (*_LINE, "PayAcctNo")


def _texts_say_it(scope: Scope) -> Iterator[Finding]:
    for rows in chunks(_TEXTS, {"region": scope.region}):
        for voucher_id, number, text, noted, amount, account_no, details in rows:
            main, lines = own_fields(inner_bytes(bytes(text)), _SAID)
            expected = [(seq, _wire(value), account, name) for seq, value, account, name in json.loads(details or "[]")]
            if (main.get("PayAmt"), main.get("PayAcctNo")) != (wire_yuan(amount), account_no) or noted != amount:
                yield Finding(
                    *("vouchers_voucher", voucher_id),
                    f"凭证 {number} 原文的金额或付款账户与支付申请不同（原文 {main.get('PayAmt')}）",
                    noted - amount,
                )
            if [_line(line) for line in lines] != expected:
                yield Finding("vouchers_voucher", voucher_id, f"凭证 {number} 原文的收款明细与支付申请不同")


def _line(line: Fields) -> tuple[str, ...]:
    return tuple(line.get(tag, "") for tag in _LINE)


def _wire(stored: str) -> str:
    """ "500.0" or "500" in the database is "500.00" on the wire."""
    whole, _, fraction = stored.partition(".")
    return f"{whole}.{fraction:0<2}"


I06 = Invariant(
    "I06",
    "签章的正是审核通过的：节点齐全、各人各岗、内容未变",
    (
        SqlCheck(
            "Every needed node has approved the sealed revision, by as many as it asks for, and no other node.",
            _COMPLETE,
        ),
        SqlCheck(
            "Reviewers and whom they acted for are different persons, none of them clerk, maker or sealer.", _PERSONS
        ),
        SqlCheck("Each approved exactly the digest that the document has.", _SAME_DIGEST),
        CodeCheck("The digest of the request and its details, computed anew, is the one approved.", _content_unchanged),
        CodeCheck("The sealed text orders what the request says: amount, account, every payee.", _texts_say_it),
        CodeCheck("Every officer's signature holds under the officer's own certificate.", _officers_signed),
        CodeCheck("Every signed step is an item of the statement that was signed.", _steps_are_what_was_signed),
        SqlCheck("A decision that names a signature is the one that was signed.", _UNSIGNED),
    ),
)
