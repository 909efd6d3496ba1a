"""I21: an idempotency key stands for one content and one answer."""

from reconciliation.audit.findings import Invariant, SqlCheck

_KEYS = """
SELECT 'core_idempotencykey' AS "table", k.id::text AS id,
       concat('幂等键 ', k.owner, '/', k.key, ' 没有内容摘要或答复') AS explanation, NULL::numeric AS delta
  FROM core_idempotencykey k
 WHERE k.payload_digest !~ '^[0-9a-f]{64}$' OR k.status NOT BETWEEN 100 AND 599 OR k.answer IS NULL
"""

I21 = Invariant(
    "I21",
    "幂等键带内容摘要",
    (SqlCheck("Every key has the digest of what was asked and a proper answer. Keys belong to no region.", _KEYS),),
)
