"""Seals as pages show them: the register with its uses, what goes where, and what the next press would affix."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, DateTimeField, IntegerField, Max, OuterRef, QuerySet, Subquery
from django.utils import timezone

from core.errors import TreasuryError
from dashboards.desk import Desk
from parties.duties import Post
from parties.models import AgentBank, BudgetUnit
from parties.selectors import visible_unit_codes
from seals.eseal.picture import PictureSize, check_picture
from seals.eseal.structures import parse_seal
from seals.models import Certificate, ESeal, SealKind, SealPosition, Stamp
from vouchers.models import Voucher
from vouchers.schema import known_types, voucher_type
from vouchers.sealing import Steps

WARN_DAYS = 30
SVG = "image/svg+xml"


def organisations(desk: Desk) -> dict[str, str]:
    """Whose seals the officer may see, by code: a unit's officers their own unit's, the bureau's all of the region."""
    region, codes = desk.region, visible_unit_codes(desk.actor)
    units = BudgetUnit.objects.filter(adm_div_code=desk.actor.adm_div_code)
    if desk.actor.units:
        return {unit.organisation: unit.name for unit in units.filter(code__in=codes or [])}
    found = {}
    if region is not None:
        found = {region.finance_organisation: f"{region.name}财政", region.pboc_organisation: region.treasury_name}
    banks = AgentBank.objects.filter(adm_div_code=desk.actor.adm_div_code).order_by("code")
    found |= {bank.organisation: bank.name for bank in banks}
    return found | {unit.organisation: unit.name for unit in units.order_by("code")}


@dataclass(frozen=True)
class Listed:
    """A seal in the register: whose it is, how long it and its certificate last, and how often it was used."""

    seal: Any
    organisation: str
    days_left: int
    picture: bool
    ours: bool

    @property
    def tone(self) -> str:
        if self.seal.status == ESeal.Status.REVOKED:
            return "off"
        return "bad" if self.days_left < 0 else "warn" if self.days_left <= WARN_DAYS else "ok"

    @property
    def standing(self) -> str:
        """The status in words; a seal whose certificate is gone cannot be used although nobody stopped it."""
        if self.seal.status == ESeal.Status.REVOKED:
            return "停用"
        if self.seal.certificate.status != Certificate.Status.ACTIVE:
            return "证书已吊销"
        return "已到期" if self.days_left < 0 else "启用"


def seals_of(desk: Desk) -> list[Listed]:
    """Every seal the officer may see with its uses on our vouchers, the usable ones first."""
    names = organisations(desk)
    uses = Stamp.objects.filter(seal=OuterRef("pk")).order_by().values("seal")
    today = timezone.localtime(desk.now).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = ESeal.objects.filter(organisation_code__in=names).select_related("certificate", "person")
    rows = rows.annotate(
        used_today=Subquery(
            uses.filter(at__gte=today).annotate(n=Count("pk")).values("n"), output_field=IntegerField()
        ),
        last_used=Subquery(uses.annotate(last=Max("at")).values("last"), output_field=DateTimeField()),
    )
    ours = set(names) - _partners(desk)
    listed = [
        Listed(
            row, names[row.organisation_code], days_left(row, desk.now), has_picture(row), row.organisation_code in ours
        )
        for row in rows.order_by("status", "organisation_code", "kind", "es_id")
    ]
    order = list(names)
    return sorted(listed, key=lambda one: (one.seal.status, order.index(one.seal.organisation_code)))


def _partners(desk: Desk) -> set[str]:
    found = set(AgentBank.objects.filter(adm_div_code=desk.actor.adm_div_code).values_list("organisation", flat=True))
    return found | ({desk.region.pboc_organisation} if desk.region is not None else set())


def days_left(seal: ESeal, now: datetime) -> int:
    """How many days the seal can still be used: its own validity or its certificate's, whichever ends first."""
    return (min(seal.valid_to, seal.certificate.valid_to) - now).days


def has_picture(seal: ESeal) -> bool:
    """Whether a browser can show the seal; an OFD picture it cannot."""
    return bool(seal.svg) or _measured(seal) not in (None, "ofd")


def picture_of(seal: ESeal) -> tuple[str, bytes] | None:
    """Media type and bytes of the seal's picture, looked at before it is given to a browser; None if there is none."""
    if seal.svg:
        return SVG, seal.svg.encode()
    kind = _measured(seal)
    if kind in (None, "ofd"):
        return None
    return f"image/{kind}", parse_seal(bytes(seal.der)).picture.data


def _measured(seal: ESeal) -> str | None:
    try:
        picture = parse_seal(bytes(seal.der)).picture
        size: PictureSize = check_picture(picture.type, picture.data, picture.width_mm, picture.height_mm)
    except TreasuryError:
        return None
    return size.format


# What goes where ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """The positions of one voucher type or its receipt, in the order they are affixed."""

    voucher_type: str
    name: str
    receipt: bool
    rows: list[SealPosition]


@dataclass(frozen=True)
class Places:
    """What we affix, and what we demand of partners on their documents and receipts."""

    ours: list[Placed]
    partners: list[Placed]


def positions(desk: Desk) -> Places | None:
    """What goes on each type in the region's year, None if nothing is configured; one query."""
    found: dict[tuple[str, int], list[SealPosition]] = defaultdict(list)
    rows = SealPosition.objects.filter(adm_div_code=desk.actor.adm_div_code, fiscal_year=desk.fiscal_year)
    for row in rows:
        found[row.voucher_type, row.flag].append(row)
    placed = [Placed(code, type_name(code), flag == 1, group) for (code, flag), group in found.items()]
    ours = [one for one in placed if any(row.post for row in one.rows)]
    return Places(ours, [one for one in placed if one not in ours]) if placed else None


def type_name(code: str) -> str:
    return voucher_type(code).cn if code in known_types() else ""


def post_label(post: str) -> str:
    return Post(post).label if post in Post.values else post


# What the next press would affix --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MarkToMake:
    """One position of the coming step: what goes there, and the seal (or the organisation's certificate) it takes.

    `missing` says that nothing usable is registered; then the press would be refused.
    """

    name: str
    position: str
    kind: str
    holder: str
    seal: ESeal | None = None
    days_left: int | None = None
    missing: bool = False

    @property
    def kind_label(self) -> str:
        return SealKind(self.kind).label

    @property
    def tone(self) -> str:
        return "bad" if self.missing else "warn" if (self.days_left or 0) <= WARN_DAYS else "ok"


@dataclass
class StepToTake:
    """Vouchers of one type that wait for the same step: how many, and what is affixed to each."""

    voucher_type: str
    type_name: str
    number: int
    steps: int
    post: str
    marks: list[MarkToMake]
    ids: list[UUID] = field(default_factory=list)

    @property
    def last(self) -> bool:
        return self.number == self.steps


def coming_steps(voucher_ids: Iterable[UUID], now: datetime) -> list[StepToTake]:
    """Return what the next press affixes to these vouchers, by type and sender. A fixed number of queries."""
    vouchers = list(Voucher.objects.filter(pk__in=[pk for pk in voucher_ids if pk]).defer("text"))
    if not vouchers:
        return []
    steps = Steps(vouchers)
    names = _position_names(vouchers)
    seals, certificates = _seals(vouchers, now), _certificates(vouchers, now)
    found: dict[tuple[str, str, int], StepToTake] = {}
    for voucher in vouchers:
        step, all_steps = steps.next(voucher), steps.of(voucher)
        if step is None:
            continue
        key = (voucher.voucher_type, voucher.sender, step.ordinal)
        if key not in found:
            marks = [
                _mark(voucher, place.position, place.kind, names, seals, certificates, now) for place in step.places
            ]
            found[key] = StepToTake(
                voucher.voucher_type,
                type_name(voucher.voucher_type),
                all_steps.index(step) + 1,
                len(all_steps),
                post_label(step.post),
                marks,
            )
        found[key].ids.append(voucher.id)
    return [found[key] for key in sorted(found)]


def _mark(
    voucher: Voucher,
    position: str,
    kind: str,
    names: Mapping[tuple[str, str], str],
    seals: Mapping[tuple[str, str], list[ESeal]],
    certificates: Mapping[str, Certificate],
    now: datetime,
) -> MarkToMake:
    name = names.get((voucher.voucher_type, position), SealKind(kind).label)
    if kind == SealKind.SIGNATURE:
        certificate = certificates.get(voucher.sender)
        left = (certificate.valid_to - now).days if certificate is not None else None
        return MarkToMake(name, position, kind, voucher.sender, days_left=left, missing=certificate is None)
    fitting = [
        seal
        for seal in seals.get((voucher.sender, kind), [])
        if not seal.voucher_types or voucher.voucher_type in seal.voucher_types
    ]
    if not fitting:
        return MarkToMake(name, position, kind, voucher.sender, missing=True)
    seal = fitting[0]
    return MarkToMake(name, position, kind, seal.name, seal, days_left(seal, now))


def _position_names(vouchers: Sequence[Voucher]) -> dict[tuple[str, str], str]:
    rows = SealPosition.objects.filter(
        adm_div_code=vouchers[0].adm_div_code,
        fiscal_year=vouchers[0].fiscal_year,
        flag=0,
        voucher_type__in={voucher.voucher_type for voucher in vouchers},
    )
    return {(row.voucher_type, row.position): row.name for row in rows}


def _seals(vouchers: Sequence[Voucher], now: datetime) -> dict[tuple[str, str], list[ESeal]]:
    """The usable seals of the senders in the order in which sealing takes them (`vouchers.sealing`)."""
    rows: QuerySet[ESeal] = ESeal.objects.filter(
        organisation_code__in={voucher.sender for voucher in vouchers},
        status=ESeal.Status.ACTIVE,
        valid_from__lte=now,
        valid_to__gt=now,
    )
    found: dict[tuple[str, str], list[ESeal]] = defaultdict(list)
    for seal in rows.select_related("certificate").order_by("-valid_from", "es_id"):
        found[seal.organisation_code, seal.kind].append(seal)
    return found


def _certificates(vouchers: Sequence[Voucher], now: datetime) -> dict[str, Certificate]:
    """The senders' certificates that last longest; which of them signs, the signer knows."""
    rows = Certificate.objects.filter(
        organisation_code__in={voucher.sender for voucher in vouchers},
        status=Certificate.Status.ACTIVE,
        valid_from__lte=now,
        valid_to__gt=now,
    )
    return {row.organisation_code: row for row in rows.order_by("valid_to")}
