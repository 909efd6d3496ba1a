"""I19: nobody holds posts that may not be combined, and whoever decided or sealed held the post on that day.

By natural person: two log-ins of one person are one person.
"""

from budget.methods import METHODS, UNIT
from parties.duties import ADMIN_POSTS, forbidden_pairs
from reconciliation.audit.findings import Invariant, SqlCheck, in_region

_PAIRS = {"mine": [pair[0] for pair in forbidden_pairs()], "theirs": [pair[1] for pair in forbidden_pairs()]}

_INCOMPATIBLE = f"""
SELECT 'parties_postassignment' AS "table", a.id::text AS id,
       concat(p.name, ' 同时任 ', a.post, ' 与 ', b.post) AS explanation, NULL::numeric AS delta
  FROM parties_postassignment a JOIN parties_user ua ON ua.id = a.user_id
  JOIN parties_user ub ON ub.person_id = ua.person_id
  JOIN parties_postassignment b ON b.user_id = ub.id AND b.id > a.id
  JOIN parties_person p ON p.id = ua.person_id
  JOIN unnest(%(mine)s::text[], %(theirs)s::text[]) f (mine, theirs) ON f.mine = a.post AND f.theirs = b.post
 WHERE COALESCE(a.valid_to, 'infinity') >= b.valid_from AND COALESCE(b.valid_to, 'infinity') >= a.valid_from
   AND {in_region("a")}
"""

_SUPERUSERS = f"""
SELECT 'parties_user' AS "table", u.id::text AS id,
       concat('超级用户 ', u.username, ' 的持有人任业务岗位 ', a.post) AS explanation, NULL::numeric AS delta
  FROM parties_user u JOIN parties_user other ON other.id = u.id OR other.person_id = u.person_id
  JOIN parties_postassignment a ON a.user_id = other.id
 WHERE u.is_superuser AND u.is_active AND a.post <> ALL(%(admin_posts)s)
   AND COALESCE(a.valid_to, 'infinity') >= (%(now)s AT TIME ZONE 'Asia/Shanghai')::date AND {in_region("a")}
"""

# The business day that was open at an instant: days are opened one after the other.
_HELD = """
NOT EXISTS (SELECT 1 FROM parties_postassignment a JOIN parties_user u ON u.id = a.user_id
             WHERE u.person_id = x.person_id AND a.post = x.post AND a.adm_div_code = x.adm_div_code
               AND (a.unit_code = '' OR a.unit_code = x.unit_code) AND (a.section = '' OR a.section = x.section)
               AND o.day BETWEEN a.valid_from AND COALESCE(a.valid_to, 'infinity'))
"""
_OPEN_DAY = """
CROSS JOIN LATERAL (
    SELECT COALESCE((SELECT min(date) FROM core_businessday b
                      WHERE b.adm_div_code = x.adm_div_code AND (b.closed_at IS NULL OR b.closed_at >= x.at)),
                    (x.at AT TIME ZONE 'Asia/Shanghai')::date) AS day) o
"""

_DECISIONS = f"""
SELECT x."table", x.id, concat(p.name, ' 于 ', o.day, ' ', x.did, '，当日不任 ', x.post) AS explanation,
       NULL::numeric AS delta
  FROM (SELECT 'parties_reviewdecision' AS "table", d.id::text AS id, d.adm_div_code, d.person_id, d.post, d.at,
               '审核' AS did, u.code AS unit_code, u.section
          FROM parties_reviewdecision d
          LEFT JOIN payments_paymentrequest r ON r.id = d.document_id
          LEFT JOIN budget_spendingplan s ON s.id = d.document_id
          LEFT JOIN parties_budgetunit u ON u.id = COALESCE(r.unit_id, s.unit_id)
        UNION ALL
        SELECT 'monitoring_disposition', d.id::text, d.adm_div_code, d.person_id, 'monitor_officer', d.at, '处置预警',
               '', ''
          FROM monitoring_disposition d
        UNION ALL
        SELECT 'vouchers_voucher', v.id::text, v.adm_div_code, v.sealed_by_id,
               CASE WHEN r.payment_mode = ANY(%(by_unit)s) THEN 'unit_sealer' ELSE 'seal_keeper' END, v.sealed_at,
               '签章', u.code, u.section
          FROM vouchers_voucher v LEFT JOIN payments_paymentrequest r ON r.id = v.document_id
          LEFT JOIN parties_budgetunit u ON u.id = r.unit_id WHERE v.sealed_by_id IS NOT NULL) x
  JOIN parties_person p ON p.id = x.person_id
  {_OPEN_DAY}
 WHERE {in_region("x")} AND {_HELD}
"""

_BY_UNIT = {"by_unit": [row.code for row in METHODS.values() if row.office is UNIT]}

I19 = Invariant(
    "I19",
    "不相容岗位分离，办理人当时任岗",
    (
        SqlCheck("No person holds two posts at once that may not be combined.", _INCOMPATIBLE, _PAIRS),
        SqlCheck(
            "No superuser of the system holds a post in the business.",
            _SUPERUSERS,
            {"admin_posts": sorted(post.value for post in ADMIN_POSTS)},
        ),
        SqlCheck(
            "Who reviewed, disposed of an alert or sealed held that post on the business day.", _DECISIONS, _BY_UNIT
        ),
    ),
)
