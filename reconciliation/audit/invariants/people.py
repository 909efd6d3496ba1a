"""I19: nobody holds posts that may not be combined, and whoever decided or sealed held the post on that day.

By natural person: two log-ins of one person are one person.
"""

from budget.methods import METHODS, UNIT
from parties.duties import ADMIN_POSTS, DELEGABLE, forbidden_pairs
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

# Who acts for another counts as both while it lasts.
_DELEGATED = f"""
SELECT 'parties_delegation' AS "table", d.id::text AS id,
       concat(q.name, ' 代 ', p.name, ' 期间，两人所任 ', a.post, ' 与 ', b.post, ' 不相容') AS explanation,
       NULL::numeric AS delta
  FROM parties_delegation d JOIN parties_person p ON p.id = d.delegator_id
  JOIN parties_person q ON q.id = d.delegate_person_id
  JOIN parties_user ua ON ua.person_id = d.delegator_id JOIN parties_postassignment a ON a.user_id = ua.id
  JOIN parties_user ub ON ub.person_id = d.delegate_person_id JOIN parties_postassignment b ON b.user_id = ub.id
  JOIN unnest(%(mine)s::text[], %(theirs)s::text[]) f (mine, theirs) ON f.mine = a.post AND f.theirs = b.post
 WHERE GREATEST(a.valid_from, b.valid_from, d.valid_from)
       <= LEAST(COALESCE(a.valid_to, 'infinity'), COALESCE(b.valid_to, 'infinity'), d.valid_to,
                COALESCE((d.revoked_at AT TIME ZONE 'Asia/Shanghai')::date, 'infinity'))
   AND {in_region("d")}
UNION ALL
SELECT 'parties_delegation', d.id::text, concat('委托与其所据的岗位不符：', a.post), NULL
  FROM parties_delegation d JOIN parties_postassignment a ON a.id = d.assignment_id
  JOIN parties_user u ON u.id = a.user_id JOIN parties_user t ON t.id = d.delegate_id
 WHERE {in_region("d")}
   AND (a.post <> d.post OR u.person_id IS DISTINCT FROM d.delegator_id OR d.post <> ALL(%(delegable)s)
        OR t.person_id IS DISTINCT FROM d.delegate_person_id OR d.delegator_id = d.delegate_person_id)
"""

_EMERGENCIES = f"""
SELECT 'parties_emergencypost' AS "table", e.id::text AS id,
       concat(p.name, ' 的应急岗位 ', a.post, ' 不是由另外两人核准，或超过 24 小时') AS explanation,
       NULL::numeric AS delta
  FROM parties_emergencypost e JOIN parties_postassignment a ON a.id = e.assignment_id
  JOIN parties_user u ON u.id = a.user_id JOIN parties_person p ON p.id = u.person_id
 WHERE {in_region("a")}
   AND (e.asked_by_id = e.granted_by_id OR p.id IN (e.asked_by_id, e.granted_by_id)
        OR e.ends_at > e.granted_at + interval '24 hours')
"""

_CHAINS = f"""
SELECT 'parties_reviewchain' AS "table", c.id::text AS id,
       concat('审核链 ', c.document_kind, ' ', c.name, ' 第 ', c.version, ' 版不是由两名管理员启用的') AS explanation,
       NULL::numeric AS delta
  FROM parties_reviewchain c
 WHERE {in_region("c")} AND c.activated_at IS NOT NULL AND NOT c.imported
   AND (c.drafted_by_id IS NULL OR c.activated_by_id IS NULL OR c.drafted_by_id = c.activated_by_id)
"""

# The business day that was open at an instant: days are opened one after the other.
_HELD = """
NOT EXISTS (SELECT 1 FROM parties_postassignment a JOIN parties_user u ON u.id = a.user_id
              LEFT JOIN parties_emergencypost e ON e.assignment_id = a.id
             WHERE u.person_id = x.person_id AND a.post = x.post
               AND (e.id IS NULL OR x.at BETWEEN e.granted_at AND e.ends_at) AND a.adm_div_code = x.adm_div_code
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
  FROM (SELECT 'parties_reviewdecision' AS "table", d.id::text AS id, d.adm_div_code,
               COALESCE(g.delegator_id, d.person_id) AS person_id, d.post, d.at,
               CASE WHEN g.id IS NULL THEN '审核' ELSE '由人代为审核' END AS did, u.code AS unit_code, u.section
          FROM parties_reviewdecision d
          LEFT JOIN parties_delegation g ON g.id = d.delegation_id
          LEFT JOIN payments_paymentrequest r ON r.id = d.document_id
          LEFT JOIN budget_spendingplan s ON s.id = d.document_id
          LEFT JOIN payments_correction k ON k.id = d.document_id
          LEFT JOIN parties_budgetunit u ON u.id = COALESCE(r.unit_id, s.unit_id, k.unit_id)
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
_ACTED_FOR = f"""
SELECT x."table", x.id, concat(p.name, ' 于 ', o.day, ' 代为审核，所据委托当时无效') AS explanation,
       NULL::numeric AS delta
  FROM (SELECT 'parties_reviewdecision' AS "table", d.id::text AS id, d.adm_div_code, d.person_id, d.post, d.at,
               g.delegate_person_id, g.post AS delegated, g.valid_from, g.valid_to, g.revoked_at
          FROM parties_reviewdecision d JOIN parties_delegation g ON g.id = d.delegation_id) x
  JOIN parties_person p ON p.id = x.person_id
  {_OPEN_DAY}
 WHERE {in_region("x")}
   AND (x.person_id <> x.delegate_person_id OR x.post <> x.delegated OR x.revoked_at <= x.at
        OR NOT o.day BETWEEN x.valid_from AND x.valid_to)
"""

_SKIPPED = f"""
SELECT 'parties_reviewskip' AS "table", k.id::text AS id,
       concat('第 ', n.ordinal, ' 节点因空缺跳过，但当日有人任 ', n.post, '，或该节点不许跳过') AS explanation,
       NULL::numeric AS delta
  FROM parties_reviewskip k JOIN parties_reviewnode n ON n.id = k.node_id
 WHERE {in_region("k")}
   AND (n.skip_if->'post_vacant' IS DISTINCT FROM 'true'::jsonb
        OR EXISTS (SELECT 1 FROM parties_postassignment a JOIN parties_user u ON u.id = a.user_id AND u.is_active
                     LEFT JOIN parties_budgetunit b ON b.adm_div_code = k.adm_div_code AND b.code = k.unit_code
                    WHERE a.post = n.post AND a.adm_div_code = k.adm_div_code AND a.unit_code IN ('', k.unit_code)
                      AND a.section IN ('', COALESCE(b.section, ''))
                      AND k.day BETWEEN a.valid_from AND COALESCE(a.valid_to, 'infinity')))
"""

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
            "Who reviewed (or was acted for), disposed of an alert or sealed held that post on the business day.",
            _DECISIONS,
            _BY_UNIT,
        ),
        SqlCheck(
            "Nobody acts for another while they hold posts that one person may not combine.",
            _DELEGATED,
            _PAIRS | {"delegable": sorted(post.value for post in DELEGABLE)},
        ),
        SqlCheck("Who acted for another did so while that delegation held.", _ACTED_FOR),
        SqlCheck("An emergency post was given by two others and ended within a day.", _EMERGENCIES),
        SqlCheck("Every chain was put in force by another administrator than drafted it.", _CHAINS),
        SqlCheck("A node was left out only where it may be and nobody held its post.", _SKIPPED),
    ),
)
