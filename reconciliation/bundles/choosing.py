"""Which vouchers go into a bundle: by number, or all of a region and year between two dates."""

import re
from collections.abc import Sequence
from datetime import date
from uuid import UUID

from django.db.models import Q, QuerySet

from reconciliation.bundles.errors import BundleEmpty, VoucherNotFound
from vouchers.models import Voucher

_NAMED = re.compile(r"([0-9]{4})/([0-9A-Za-z_-]{1,42})")


def sealed() -> QuerySet[Voucher]:
    """What may be exported: an unsealed voucher proves nothing yet."""
    return Voucher.objects.exclude(signature="")


def vouchers_named(names: Sequence[str], *, region: str | None = None, year: int | None = None) -> list[UUID]:
    """The ids of sealed vouchers given as `<type>/<number>`, e.g. `5201/ZF0001`. One SQL statement.

    :raises VoucherNotFound: naming the first that is unknown, not sealed, or borne by vouchers of several regions or
        years where neither is given.
    """
    wanted = {}
    for name in names:
        match = _NAMED.fullmatch(name)
        if match is None:
            raise VoucherNotFound(f"凭证应写作 类型/编号，如 5201/ZF0001，不是 {name[:60]}。", field="voucher")
        wanted[match[1], match[2]] = name
    rows = sealed().filter(voucher_type__in={kind for kind, _ in wanted}, voucher_no__in={no for _, no in wanted})
    if region is not None:
        rows = rows.filter(adm_div_code=region)
    if year is not None:
        rows = rows.filter(fiscal_year=year)
    found: dict[tuple[str, str], list[UUID]] = {}
    for pk, kind, number in rows.values_list("pk", "voucher_type", "voucher_no"):
        found.setdefault((kind, number), []).append(pk)
    for key, name in wanted.items():
        if key not in found:
            raise VoucherNotFound(f"没有已签章的凭证 {name}。", field="voucher", given=name)
        if len(found[key]) > 1:
            raise VoucherNotFound(f"{name} 不止一张，请用 --region、--year 指明。", field="voucher", given=name)
    return [found[key][0] for key in wanted]


def vouchers_between(*, region: str, year: int, first: date | None = None, last: date | None = None) -> list[UUID]:
    """The ids of all sealed vouchers of a region and year, of voucher dates from `first` to `last`, both included.

    :raises BundleEmpty: if there is none.
    """
    dates = Q()
    if first is not None:
        dates &= Q(voucher_date__gte=first)
    if last is not None:
        dates &= Q(voucher_date__lte=last)
    rows = sealed().filter(dates, adm_div_code=region, fiscal_year=year)
    ids = list(rows.order_by("voucher_type", "voucher_no").values_list("pk", flat=True))
    if not ids:
        raise BundleEmpty("该区划、年度和日期内没有已签章的凭证。", field="region", region=region, year=year)
    return ids
