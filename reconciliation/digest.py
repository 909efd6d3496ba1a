"""The fingerprint of a closed day: SM3 over every balance entry of that day, in the order they were made.

Computed again later it must be equal, or somebody changed a closed day.
"""

from datetime import date

from django.db import connection

from core.digests import sm3

CHUNK = 2000

_ENTRIES = """
SELECT concat_ws('|', tab, id, account_id, kind, document_type, document_id, changes, business_date, actor_name, note)
  FROM (
    SELECT 'indicator' AS tab, id, indicator_id AS account_id, kind, document_type, document_id,
           business_date, actor_name, note,
           concat_ws(',', round(total_change, 2), round(frozen_change, 2), round(reserved_change, 2),
                     round(paid_change, 2), round(refunded_change, 2), round(planned_change, 2)) AS changes
      FROM budget_indicatorentry WHERE adm_div_code = %(region)s AND business_date = %(date)s
    UNION ALL
    SELECT 'quota', id, quota_id, kind, document_type, document_id, business_date, actor_name, note,
           concat_ws(',', round(granted_change, 2), round(reserved_change, 2), round(spent_change, 2),
                     round(refunded_change, 2))
      FROM budget_quotaentry WHERE adm_div_code = %(region)s AND business_date = %(date)s
    UNION ALL
    SELECT 'limit', id, limit_id, kind, document_type, document_id, business_date, actor_name, note,
           concat_ws(',', round(issued_change, 2), round(cleared_change, 2), round(refunded_change, 2))
      FROM budget_clearinglimitentry WHERE adm_div_code = %(region)s AND business_date = %(date)s
  ) entries
 ORDER BY id, tab
"""


def day_digest(adm_div_code: str, day: date) -> str:
    """Return the digest of the day's entries, 64 hexadecimal digits. Rows are chained in chunks, so any day fits."""
    state = sm3(f"{adm_div_code}|{day.isoformat()}".encode())
    with connection.cursor() as cursor:
        cursor.execute(_ENTRIES, {"region": adm_div_code, "date": day})
        while rows := cursor.fetchmany(CHUNK):
            state = sm3(state + "\n".join(row[0] for row in rows).encode())
    return state.hex()
