"""Reading what a use case is about to change. Lock order: voucher, request, quota, indicator, clearing limit."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import QuerySet

from budget.locking import action_keys, context_for, made_before
from core.actors import Actor
from core.errors import RoleRequired
from core.outcomes import CHUNK
from parties.selectors import visible_unit_codes
from payments.errors import FieldInvalid
from payments.models import PaymentRequest
from vouchers.models import Voucher
from vouchers.services import lock_vouchers


def lock_requests(request_ids: Sequence[UUID], actor: Actor) -> list[PaymentRequest]:
    """Lock the requests the actor may see, in key order, with unit, indicator and payer account read along.

    :raises FieldInvalid: for more than CHUNK ids.
    """
    return list(_visible(request_ids, actor).select_for_update(of=("self",), no_key=True))


def _visible(request_ids: Sequence[UUID], actor: Actor) -> QuerySet[PaymentRequest]:
    if len(set(request_ids)) > CHUNK:  # one transaction carries at most a chunk
        raise FieldInvalid(f"一次最多办理 {CHUNK} 张单据。", field="ids", given=len(set(request_ids)))
    rows = (
        PaymentRequest.objects.select_related("unit", "indicator", "payer_account__agent_bank")
        .filter(pk__in=set(request_ids), adm_div_code=actor.adm_div_code)
        .order_by("pk")
    )
    codes = visible_unit_codes(actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


def read_requests(request_ids: Sequence[UUID], actor: Actor) -> list[PaymentRequest]:
    """Read the same without locking, for what only shows.

    :raises FieldInvalid: for more than CHUNK ids.
    """
    return list(_visible(request_ids, actor))


def lock_requests_and_vouchers(
    request_ids: Sequence[UUID], actor: Actor
) -> tuple[list[PaymentRequest], dict[UUID, Voucher]]:
    """Lock the vouchers of requests, then the requests: the order in which a bank's answer comes to them as well.

    A request whose voucher was exchanged for another one in between is left out, as if it were not there.
    """
    rows = PaymentRequest.objects.filter(pk__in=set(request_ids), adm_div_code=actor.adm_div_code)
    ids = rows.filter(voucher__isnull=False).values_list("voucher_id", flat=True)
    vouchers = {voucher.id: voucher for voucher in lock_vouchers([pk for pk in ids if pk is not None])}
    requests = lock_requests(request_ids, actor)
    return [r for r in requests if r.voucher_id is None or r.voucher_id in vouchers], vouchers


def lock_requests_of_vouchers(voucher_ids: Iterable[UUID]) -> list[PaymentRequest]:
    """Lock the requests behind these vouchers, for what banks and PBoC report."""
    return list(
        PaymentRequest.objects.select_for_update(of=("self",), no_key=True)
        .select_related("unit", "indicator", "payer_account__agent_bank")
        .filter(voucher_id__in=set(voucher_ids))
        .order_by("pk")
    )


def lock_requests_of_action(keys: Sequence[str], actor: Actor) -> list[PaymentRequest]:
    """Lock the requests an earlier call with these action keys has made."""
    if not keys:
        return []
    rows = PaymentRequest.objects.select_for_update(of=("self",), no_key=True).select_related("unit", "indicator")
    return list(rows.filter(adm_div_code=actor.adm_div_code, action_key__in=keys).order_by("pk"))


def require_role(actor: Actor, *roles: str) -> None:
    """:raises RoleRequired: if the actor holds none of these posts."""
    if actor.roles.isdisjoint(roles):
        raise RoleRequired(f"该操作需要岗位：{'、'.join(roles)}。", field="role", by=actor.name)


def check_reason(reason: str) -> None:
    """:raises FieldInvalid: if it is longer than the track of a document keeps."""
    if len(reason) > 300:
        raise FieldInvalid("原因不超过 300 字。", field="reason")


__all__ = [
    "action_keys",
    "check_reason",
    "context_for",
    "lock_requests",
    "lock_requests_and_vouchers",
    "lock_requests_of_vouchers",
    "made_before",
    "read_requests",
    "require_role",
]
