"""Gapless numbers per region, year and kind: the counter row is locked until the using transaction commits."""

from django.db import connection

from core.models import NumberRule

DEFAULT_PATTERN = "{year}{kind}{seq:07d}"


def take_numbers(*, adm_div_code: str, fiscal_year: int, kind: str, count: int) -> list[str]:
    """Return the next `count` numbers; two statements whatever the count. A step: runs in the caller's transaction."""
    if count == 0:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_numbercounter (adm_div_code, fiscal_year, kind, last) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (adm_div_code, fiscal_year, kind) "
            "DO UPDATE SET last = core_numbercounter.last + EXCLUDED.last RETURNING last",
            [adm_div_code, fiscal_year, kind, count],
        )
        last = cursor.fetchone()[0]
    rule = NumberRule.objects.filter(adm_div_code=adm_div_code, kind=kind).first()
    pattern = rule.pattern if rule else DEFAULT_PATTERN
    return [pattern.format(year=fiscal_year, kind=kind, seq=seq) for seq in range(last - count + 1, last + 1)]
