"""Clearing limits: what PBoC may clear for a bank. Locked last of all (docs/adr/0004)."""

from collections.abc import Iterable
from uuid import UUID

from budget.models import ClearingLimit

LimitKey = tuple[UUID, str, str]


def lock_limits(adm_div_code: str, fiscal_year: int, keys: Iterable[LimitKey]) -> dict[LimitKey, ClearingLimit]:
    """Lock the limits of these (agent bank id, payment mode, fund nature), creating rows that are not there yet."""
    wanted = set(keys)
    if not wanted:
        return {}
    ClearingLimit.objects.bulk_create(
        [
            ClearingLimit(
                adm_div_code=adm_div_code,
                fiscal_year=fiscal_year,
                agent_bank_id=bank,
                payment_mode=mode,
                fund_nature=fund,
            )
            for bank, mode, fund in sorted(wanted)
        ],
        ignore_conflicts=True,
    )
    rows = ClearingLimit.objects.select_for_update(no_key=True).filter(
        adm_div_code=adm_div_code, fiscal_year=fiscal_year, agent_bank_id__in={key[0] for key in wanted}
    )
    return {(row.agent_bank_id, row.payment_mode, row.fund_nature): row for row in rows.order_by("pk")}
