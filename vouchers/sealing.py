"""Sealing: which marks a voucher still needs, in which order and by whom; having them made, and sending it off.

What goes where is data (`seals.SealPosition`: region, year, type). Positions of one ordinal are one step, done in one
act by the holder of one post; the last step signs the voucher and puts it into the outbox in the same commit. A region
that has configured nothing gets one step: the signature at the type's own position.

The signer makes the marks, from a database it reads itself. The call happens inside the transaction (ADR 0017): it is
a computation on this machine, bounded by a deadline, and no partner hears of it before the commit.
"""

import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from core.actors import Actor
from core.batch import copy_rows, update_from_values
from core.digests import sm3_hex
from core.errors import Conflict, RoleRequired
from core.transitions import move
from parties.duties import Post, of_side
from parties.errors import ActedBefore
from parties.models import Region
from seals.errors import SealMissing
from seals.models import ESeal, SealKind, SealPosition, Stamp
from seals.services import SealUseFacts, certificate_ids, record_seal_uses
from seals.signing import Mark, Order, Warrant, the_signer
from vouchers.models import Delivery, ExchangePartner, Voucher
from vouchers.schema import voucher_type
from vouchers.services import wake_partner
from vouchers.states import VOUCHER_FLOW, VoucherState


@dataclass(frozen=True)
class Place:
    """One position of a step: its code and what goes there (a SealKind)."""

    position: str
    kind: str


@dataclass(frozen=True)
class Step:
    """What one officer affixes in one act. `post` is "" where the region has configured nothing."""

    ordinal: int
    post: str
    places: tuple[Place, ...]
    last: bool


class Steps:
    """The steps of every type of a region and year, and which of them a voucher has behind it."""

    def __init__(self, vouchers: Sequence[Voucher]) -> None:
        """Two queries, however many vouchers; they are of one region and year."""
        self._by_type: dict[tuple[str, bool], list[Step]] = {}
        self._finance = ""
        self.stamps: dict[UUID, list[Stamp]] = {voucher.id: [] for voucher in vouchers}
        if not vouchers:
            return
        one = vouchers[0]
        rows = SealPosition.objects.filter(
            adm_div_code=one.adm_div_code,
            fiscal_year=one.fiscal_year,
            flag=0,
            voucher_type__in={v.voucher_type for v in vouchers},
        ).order_by("voucher_type", "ordinal", "position")
        for kind, places in groupby(rows, key=lambda row: row.voucher_type):
            listed = list(places)
            posts = [row.post for row in listed]
            for unit in (False, True):
                mine = of_side(posts, unit=unit)
                self._by_type[kind, unit] = _steps([row for row, is_mine in zip(listed, mine, strict=True) if is_mine])
            if self._by_type[kind, False] != self._by_type[kind, True] and not self._finance:
                self._finance = Region.objects.get(adm_div_code=one.adm_div_code).finance_organisation
        for stamp in Stamp.objects.filter(voucher_id__in=self.stamps).defer("der").order_by("ordinal"):
            self.stamps[stamp.voucher_id].append(stamp)

    def of(self, voucher: Voucher) -> list[Step]:
        """The steps of the voucher's type, in order."""
        key = voucher.voucher_type, voucher.sender != self._finance
        if key not in self._by_type:
            place = Place(voucher_type(voucher.voucher_type).document_positions.signature, SealKind.SIGNATURE)
            self._by_type[key] = [Step(1, "", (place,), last=True)]
        return self._by_type[key]

    def next(self, voucher: Voucher) -> Step | None:
        """The step the voucher waits for; None when it is sealed or void."""
        if voucher.signature or voucher.state != VoucherState.GENERATED:
            return None
        done = {stamp.ordinal for stamp in self.stamps[voucher.id]}
        return next((step for step in self.of(voucher) if step.ordinal not in done), None)

    def persons(self, voucher: Voucher) -> set[UUID]:
        """Who has affixed something to the voucher already."""
        return {stamp.person_id for stamp in self.stamps[voucher.id] if stamp.person_id}

    def check(self, voucher: Voucher, sealer: Actor, default_post: str) -> Step:
        """Return the step that this person may take now.

        :raises Conflict: if nothing is left to affix.
        :raises RoleRequired: if the next step belongs to another post.
        :raises ActedBefore: if the person has affixed something to it before.
        """
        step = self.next(voucher)
        if step is None:
            raise Conflict("该凭证已签章或已作废。", field="state", state=str(voucher.state))
        post = step.post or default_post
        if post not in sealer.roles:
            raise RoleRequired(f"当前步骤由「{Post(post).label}」办理。", field="role", role=post, by=sealer.name)
        if sealer.person_id in self.persons(voucher):
            raise ActedBefore("您已在该凭证上签章，不能再签下一步（岗位分离）。", field="sealer", by=sealer.name)
        return step


def _steps(rows: Sequence[SealPosition]) -> list[Step]:
    """Rows of one type. The signature is what makes a voucher sealed: it always belongs to the last step."""
    groups = [(ordinal, list(group)) for ordinal, group in groupby(rows, key=lambda row: row.ordinal)]
    return [
        Step(
            ordinal,
            next((row.post for row in group if row.post), ""),
            tuple(Place(row.position, row.kind) for row in group),
            last=number == len(groups),
        )
        for number, (ordinal, group) in enumerate(groups, start=1)
    ]


@transaction.atomic(savepoint=False)
def affix(vouchers: Sequence[Voucher], steps: Steps, *, by: Actor, warrant: Warrant, now: datetime) -> list[Voucher]:
    """Take the next step of each locked voucher; returns those whose last step it was: sealed, and on their way.

    What is sealed is on its way: there is no moment at which a voucher is sealed and no outbox row exists.

    :raises SealMissing: if no seal is registered for a position; nothing is affixed then.
    :raises SealingRefused, SignerUnavailable: as the signer says; nothing is affixed then.
    """
    plan = [(voucher, step) for voucher in vouchers for step in [steps.next(voucher)] if step is not None]
    return _affix(plan, by=by, warrant=warrant, now=now)


@transaction.atomic(savepoint=False)
def seal_at_once(vouchers: Sequence[Voucher], *, by: Actor, warrant: Warrant, now: datetime) -> None:
    """Take all the steps of vouchers that follow from another one being sealed (a 5108), and send them.

    :raises TransitionNotAllowed: if one is not waiting for its seal; nothing is sealed then.
    """
    for voucher in vouchers:
        VOUCHER_FLOW.find(voucher.state, "seal")
    steps = Steps(vouchers)
    whole = [
        (voucher, Step(step[-1].ordinal, "", tuple(place for one in step for place in one.places), last=True))
        for voucher in vouchers
        for step in [steps.of(voucher)]
    ]
    _affix(whole, by=by, warrant=warrant, now=now)


def _affix(plan: Sequence[tuple[Voucher, Step]], *, by: Actor, warrant: Warrant, now: datetime) -> list[Voucher]:
    if not plan:
        return []
    seals = _usable_seals([voucher for voucher, _ in plan], now)
    orders: list[Order] = []
    marked: list[tuple[Voucher, Step, Place, ESeal | None]] = []
    for voucher, step in plan:
        voucher.text = bytes(voucher.text)  # once: every order and every use names it
        for place in step.places:
            seal = None if place.kind == SealKind.SIGNATURE else _seal_for(voucher, place, seals)
            marked.append((voucher, step, place, seal))
            orders.append(_order(voucher, place, seal))
    marks = the_signer().seal_vouchers(orders, warrant)
    last = [voucher for voucher, step in plan if step.last]
    _record(marked, marks, by, now)
    _sign([(v, p, m) for (v, _s, p, seal), m in zip(marked, marks, strict=True) if seal is None], by, now)
    _send(last, by, now)
    return last


def _usable_seals(vouchers: Sequence[Voucher], now: datetime) -> Mapping[tuple[str, str], list[ESeal]]:
    """The active seals of the senders, by (organisation, kind); one query."""
    rows = ESeal.objects.filter(
        Q(valid_from__lte=now, valid_to__gt=now),
        organisation_code__in={voucher.sender for voucher in vouchers},
        status=ESeal.Status.ACTIVE,
    )
    found: dict[tuple[str, str], list[ESeal]] = defaultdict(list)
    for seal in rows.select_related("certificate").defer("der", "svg").order_by("-valid_from", "es_id"):
        found[seal.organisation_code, seal.kind].append(seal)
    return found


def _seal_for(voucher: Voucher, place: Place, seals: Mapping[tuple[str, str], list[ESeal]]) -> ESeal:
    for seal in seals.get((voucher.sender, place.kind), []):
        if not seal.voucher_types or voucher.voucher_type in seal.voucher_types:
            return seal
    raise SealMissing(
        f"机构 {voucher.sender} 没有可用于 {voucher.voucher_type} 凭证「{place.position}」位置的"
        f"{SealKind(place.kind).label}。请先制章或启用印章。",
        field="position",
        position=place.position,
        organisation=voucher.sender,
    )


def _order(voucher: Voucher, place: Place, seal: ESeal | None) -> Order:
    return Order(
        voucher_id=voucher.id,
        voucher_type=voucher.voucher_type,
        adm_div_code=voucher.adm_div_code,
        fiscal_year=voucher.fiscal_year,
        voucher_no=voucher.voucher_no,
        text=bytes(voucher.text),
        organisation_code=voucher.sender,
        position=place.position,
        seal_id=seal.id if seal is not None else None,
    )


def _record(
    marked: Sequence[tuple[Voucher, Step, Place, ESeal | None]], marks: Sequence[Mark], by: Actor, now: datetime
) -> None:
    """One row for each use of a key, and each stamp byte for byte."""
    keys = [
        (seal.certificate.organisation_code if seal is not None else voucher.sender, mark.serial_hex)
        for (voucher, _step, _place, seal), mark in zip(marked, marks, strict=True)
    ]
    certificates = certificate_ids(set(keys))
    uses: list[SealUseFacts] = []
    stamps: list[Stamp] = []
    for (voucher, step, place, seal), mark, key in zip(marked, marks, keys, strict=True):
        uses.append(
            SealUseFacts(
                adm_div_code=voucher.adm_div_code,
                fiscal_year=voucher.fiscal_year,
                organisation_code=key[0],
                position=place.position,
                certificate_id=certificates[key],
                text=bytes(voucher.text),
                voucher_id=voucher.id,
                person_id=by.person_id,
            )
        )
        if seal is not None:
            stamps.append(
                Stamp(
                    adm_div_code=voucher.adm_div_code,
                    fiscal_year=voucher.fiscal_year,
                    voucher_id=voucher.id,
                    position=place.position,
                    ordinal=step.ordinal,
                    seal=seal,
                    der=mark.value,
                    digest_sm3=sm3_hex(mark.value),
                    person_id=by.person_id,
                    at=now,
                )
            )
    record_seal_uses(uses, now=now)
    copy_rows(stamps)


def _sign(signed: Sequence[tuple[Voucher, Place, Mark]], by: Actor, now: datetime) -> None:
    if not signed:
        return
    for voucher, place, mark in signed:
        voucher.position = place.position
        voucher.signature, voucher.signature_serial = base64.b64encode(mark.value).decode("ascii"), mark.serial_hex
        voucher.sealed_by_id, voucher.sealed_at = by.person_id, now
    columns = {
        "position": "text",
        "signature": "text",
        "signature_serial": "text",
        "sealed_by_id": "uuid",
        "sealed_at": "timestamptz",
    }
    rows = [(v.id, v.position, v.signature, v.signature_serial, v.sealed_by_id, now) for v, _place, _mark in signed]
    update_from_values(Voucher, columns, sorted(rows))


def _send(vouchers: Sequence[Voucher], by: Actor, now: datetime) -> None:
    if not vouchers:
        return
    move(VOUCHER_FLOW, vouchers, "seal", by=by, at=now)
    partners = {p.organisation: p for p in ExchangePartner.objects.filter(pk__in={v.receiver for v in vouchers})}
    copy_rows(
        [
            Delivery(
                adm_div_code=voucher.adm_div_code,
                fiscal_year=voucher.fiscal_year,
                voucher=voucher,
                partner=partners[voucher.receiver],
                next_attempt_at=now,
            )
            for voucher in vouchers
        ]
    )
    for organisation in partners:
        wake_partner(organisation)
