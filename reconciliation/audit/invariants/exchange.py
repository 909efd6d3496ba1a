"""I14 and I15: nothing is stuck on its way out or in, and the outbox tells the same story as the vouchers."""

from datetime import timedelta

from reconciliation.audit.findings import Invariant, SqlCheck, in_region

OVERDUE = timedelta(hours=1)  # the relay looks every second; an hour means that nobody looks
WAITING = timedelta(days=3)  # a message whose precondition has not come in three days needs a person

_DELIVERIES = f"""
SELECT 'vouchers_delivery' AS "table", d.id::text AS id,
       concat('发件 ', v.voucher_type, ' ', v.voucher_no, '（', d.state, '）',
              CASE WHEN d.next_attempt_at IS NULL THEN '没有下次处理时间'
                   WHEN d.state = 'sending' AND (d.lease_until IS NULL OR d.lease_id IS NULL) THEN '发送中却没有租约'
                   WHEN d.state = 'sending' THEN concat('租约已于 ', d.lease_until, ' 到期')
                   ELSE concat('自 ', d.next_attempt_at, ' 起无人处理') END) AS explanation,
       NULL::numeric AS delta
  FROM vouchers_delivery d JOIN vouchers_voucher v ON v.id = d.voucher_id
  JOIN vouchers_exchangepartner p ON p.organisation = d.partner_id
 WHERE d.state IN ('queued', 'sending', 'unknown') AND {in_region("d")}
   AND (d.next_attempt_at IS NULL
        OR d.state = 'sending' AND (d.lease_until IS NULL OR d.lease_id IS NULL
                                    OR d.lease_until < %(now)s - %(overdue)s::interval)
        OR d.state <> 'sending' AND p.exchange_mode = 'push' AND p.enabled
           AND d.next_attempt_at < %(now)s - %(overdue)s::interval
           AND v.voucher_date <= COALESCE((SELECT max(date) FROM core_businessday b
                                            WHERE b.adm_div_code = d.adm_div_code), v.voucher_date))
"""

_MESSAGES = f"""
SELECT 'vouchers_inboxmessage' AS "table", m.id::text AS id,
       concat('来文 ', m.voucher_type, ' ', m.voucher_no, '（', m.state, '）',
              CASE WHEN m.next_attempt_at IS NULL THEN '没有下次处理时间'
                   WHEN m.next_attempt_at < %(now)s - %(overdue)s::interval
                   THEN concat('自 ', m.next_attempt_at, ' 起无人处理')
                   ELSE concat('自 ', m.received_at, ' 起一直等待前置单据') END) AS explanation,
       NULL::numeric AS delta
  FROM vouchers_inboxmessage m
 WHERE m.state IN ('received', 'parked') AND {in_region("m")}
   AND (m.next_attempt_at IS NULL OR m.next_attempt_at < %(now)s - %(overdue)s::interval
        OR m.received_at < %(now)s - %(waiting)s::interval)
"""

_AGES = {"overdue": OVERDUE, "waiting": WAITING}

I14 = Invariant(
    "I14",
    "没有卡住的收发",
    (
        SqlCheck(
            "Every delivery that is not finished has its next attempt, which a push partner does not let lie; every "
            "one being sent is held by a lease.",
            _DELIVERIES,
            _AGES,
        ),
        SqlCheck("Every message that waits has its next attempt, and does not wait for ever.", _MESSAGES, _AGES),
    ),
)

_SEALED = f"""
SELECT 'vouchers_voucher' AS "table", v.id::text AS id,
       concat('凭证 ', v.voucher_type, ' ', v.voucher_no, '（', v.state, '）',
              CASE WHEN d.id IS NULL THEN '已签章却不在发件箱' WHEN v.signature = '' THEN '未签章却在发件箱'
                   ELSE concat('发给了 ', d.partner_id, '，应发给 ', v.receiver) END) AS explanation,
       NULL::numeric AS delta
  FROM vouchers_voucher v LEFT JOIN vouchers_delivery d ON d.voucher_id = v.id
 WHERE {in_region("v")}
   AND ((v.signature <> '') <> (d.id IS NOT NULL) OR d.partner_id <> v.receiver)
"""

_ATTEMPTS = f"""
SELECT 'vouchers_deliveryattempt' AS "table", t.id::text AS id,
       concat('凭证 ', v.voucher_type, ' ', v.voucher_no, ' 第 ', t.number,
              ' 次收发的内容摘要与凭证不同') AS explanation,
       NULL::numeric AS delta
  FROM vouchers_deliveryattempt t JOIN vouchers_delivery d ON d.id = t.delivery_id
  JOIN vouchers_voucher v ON v.id = d.voucher_id WHERE t.digest <> v.digest AND {in_region("d")}
"""

_ENDS = f"""
SELECT 'vouchers_delivery' AS "table", d.id::text AS id,
       concat('发件 ', v.voucher_type, ' ', v.voucher_no, ' 为 ', d.state, '，凭证为 ', v.state,
              CASE WHEN t.delivery_id IS NULL THEN '，没有相应的应答记录' END) AS explanation,
       NULL::numeric AS delta
  FROM vouchers_delivery d JOIN vouchers_voucher v ON v.id = d.voucher_id
  LEFT JOIN (SELECT DISTINCT delivery_id, outcome FROM vouchers_deliveryattempt WHERE step = 'answered') t
    ON t.delivery_id = d.id AND t.outcome = d.state
 WHERE d.state IN ('delivered', 'refused') AND {in_region("d")}
   AND (t.delivery_id IS NULL OR d.delivered_at IS NULL OR v.state IN ('generated', 'sealed')
        OR d.state = 'refused' AND v.state NOT IN ('refused', 'returned', 'void', 'receipted'))
"""

I15 = Invariant(
    "I15",
    "签章即入发件箱，发送的就是签章的",
    (
        SqlCheck("A voucher is in the outbox if, and only if, it is sealed; addressed to its receiver.", _SEALED),
        SqlCheck("Every attempt carried the digest of the voucher.", _ATTEMPTS),
        SqlCheck("What counts as delivered or refused has an answer of that kind, and the voucher knows.", _ENDS),
    ),
)
