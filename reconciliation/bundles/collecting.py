"""What the database holds of some vouchers: marks, receipts, approvals. A dozen SQL statements, however many.

Rows are read as they are now and nothing is checked here: a bundle of altered rows must verify as altered.
"""

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from budget.models import SpendingPlan
from evidence.formats import instant
from parties.models import ReviewDecision
from payments.models import Correction, PaymentRequest
from seals.certificates import canonical_serial
from seals.models import Certificate, ESeal, OfficerCertificate, Stamp, StepSignature
from vouchers.models import DeliveryAttempt, InboxMessage, Voucher
from vouchers.states import InboxState

NOTHING_SIGNED = dict.fromkeys(("statement", "item", "index", "path", "signature", "certificate_serial"))


@dataclass(frozen=True)
class Collected:
    """One voucher with everything about it, as it will stand in its folder (docs/signatures.md §7)."""

    voucher: dict[str, Any]
    text: bytes = field(repr=False)
    receipts: tuple[tuple[dict[str, Any], bytes], ...] = field(repr=False)
    approvals: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def folder(self) -> str:
        return f"vouchers/{self.voucher['voucher_type']}-{self.voucher['voucher_no']}"


@dataclass
class Involved:
    """Who and what the vouchers of a bundle refer to; grows with each lot of them."""

    organisations: set[str] = field(default_factory=set)
    serials: set[str] = field(default_factory=set)  # of organisations' certificates
    stamp_certificates: dict[str, str] = field(default_factory=dict)  # serial → whose seal it uses
    officers: dict[UUID, OfficerCertificate] = field(default_factory=dict)
    persons: dict[UUID, str] = field(default_factory=dict)
    stamps: list[bytes] = field(default_factory=list, repr=False)  # one for each seal and certificate
    facts: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # table → rows the log may speak of
    _seals: set[tuple[UUID, str]] = field(default_factory=set)

    def note(self, table: Any, rows: Iterable[object]) -> None:
        self.facts[table._meta.db_table].update(str(row) for row in rows)

    def note_root_signers(self, serials: Iterable[str]) -> None:
        """Whoever signs the log is a party, also where none of the vouchers is its own."""
        known = set(serials)
        self.serials |= known
        rows = Certificate.objects.filter(serial_hex__in=known)
        self.organisations |= set(rows.values_list("organisation_code", flat=True))


def collect(ids: Sequence[UUID], involved: Involved) -> Iterator[Collected]:
    """Read these vouchers, in the order of type and number."""
    vouchers = list(Voucher.objects.filter(pk__in=ids).order_by("voucher_type", "voucher_no", "pk"))
    stamps = _stamps(vouchers, involved)
    receipts = _receipts(vouchers, involved)
    approvals = _Approvals(vouchers, involved)
    involved.note(Voucher, (voucher.pk for voucher in vouchers))
    attempts = DeliveryAttempt.objects.filter(delivery__voucher__in=vouchers)
    involved.note(DeliveryAttempt, attempts.values_list("pk", flat=True))
    for voucher in vouchers:
        involved.organisations |= {voucher.sender, voucher.receiver}
        involved.serials.add(_serial(voucher.signature_serial))
        yield Collected(
            _voucher(voucher, stamps[voucher.pk]),
            bytes(voucher.text),
            tuple((_receipt(row, voucher), bytes(row.text)) for row in receipts[voucher.pk]),
            tuple(approvals.of(voucher)),
        )


def _serial(text: str) -> str:
    """As the register spells it; what is no serial stays as it came, for the verifier to say so."""
    try:
        return canonical_serial(text)
    except ValueError:
        return text


def _said(row: Voucher | InboxMessage, sender: str, receiver: str, at: datetime) -> dict[str, Any]:
    return {
        "adm_div_code": row.adm_div_code,
        "fiscal_year": row.fiscal_year,
        "voucher_type": row.voucher_type,
        "voucher_no": row.voucher_no,
        "sender": sender,
        "receiver": receiver,
        "digest": row.digest,
        "sealed_at": instant(at),
        "state": str(row.state),
    }


def _voucher(voucher: Voucher, stamps: list[dict[str, str]]) -> dict[str, Any]:
    mark = {
        "position": voucher.position,
        "serial": _serial(voucher.signature_serial),
        "value": voucher.signature,
    }
    at = voucher.sealed_at or voucher.created_at
    return _said(voucher, voucher.sender, voucher.receiver, at) | {"signatures": [mark], "stamps": stamps}


def _receipt(row: InboxMessage, voucher: Voucher) -> dict[str, Any]:
    signatures = [
        {"position": position, "serial": _serial(serial), "value": value} for position, serial, value in row.signatures
    ]
    stamps = [{"position": position, "seal_id": seal, "value": value} for position, seal, value in row.stamps]
    said = _said(row, row.sender, voucher.sender, row.received_at)
    return said | {"signatures": signatures, "stamps": stamps}


def _stamps(vouchers: Sequence[Voucher], involved: Involved) -> dict[UUID, list[dict[str, str]]]:
    found: dict[UUID, list[dict[str, str]]] = {voucher.pk: [] for voucher in vouchers}
    rows = Stamp.objects.filter(voucher_id__in=found).select_related("seal__certificate", "seal__person")
    rows = rows.defer("seal__svg")
    for row in rows.order_by("ordinal", "position"):
        value = bytes(row.der)
        found[row.voucher_id].append(
            {
                "position": row.position,
                "seal_id": row.seal.es_id,
                "value": base64.b64encode(value).decode("ascii"),
            }
        )
        involved.note(Stamp, [row.pk])
        _note_stamp(involved, row.seal, value)
    return found


def _note_stamp(involved: Involved, seal: ESeal, value: bytes) -> None:
    """A seal's certificate is its organisation's; that of a personal seal bears, and is listed under, the person."""
    serial = seal.certificate.serial_hex
    involved.stamp_certificates[serial] = str(seal.person_id or seal.organisation_code)
    if seal.person is not None:
        involved.persons[seal.person.pk] = seal.person.name
    if (seal.pk, serial) not in involved._seals:
        involved._seals.add((seal.pk, serial))
        involved.stamps.append(value)


def _receipts(vouchers: Sequence[Voucher], involved: Involved) -> dict[UUID, list[InboxMessage]]:
    """The receipts that were accepted, each of the voucher's own receiver."""
    by_identity = {(v.adm_div_code, v.fiscal_year, v.voucher_type, v.voucher_no, v.receiver): v.pk for v in vouchers}
    found: dict[UUID, list[InboxMessage]] = {voucher.pk: [] for voucher in vouchers}
    rows = InboxMessage.objects.filter(
        flag=1,
        adm_div_code__in={v.adm_div_code for v in vouchers},
        voucher_type__in={v.voucher_type for v in vouchers},
        voucher_no__in={v.voucher_no for v in vouchers},
    ).exclude(state=InboxState.REFUSED)
    for row in rows.order_by("received_at", "pk"):
        key = (row.adm_div_code, row.fiscal_year, row.voucher_type, row.voucher_no, row.sender)
        if key not in by_identity:
            continue
        found[by_identity[key]].append(row)
        involved.note(InboxMessage, [row.pk])
        involved.serials |= {_serial(mark[1]) for mark in row.signatures}
        involved.stamps += [value for value in (_decoded(mark[2]) for mark in row.stamps) if value]
    return found


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return b""


class _Approvals:
    """Decisions and seal steps behind vouchers, in the order they were taken.

    A payment's voucher has those of its request, a 5253 or 5351 those of its correction, a 5105 those of the plans it
    announces. Others follow from one of these (a 5108 from the 5201 it names, a 5106 from its 5105) and have none.
    """

    def __init__(self, vouchers: Sequence[Voucher], involved: Involved) -> None:
        ids = [voucher.pk for voucher in vouchers]
        self._documents: dict[UUID, list[UUID]] = defaultdict(list)  # voucher → documents decided on
        requests = PaymentRequest.objects.filter(voucher_id__in=ids).values_list("voucher_id", "pk")
        plans = SpendingPlan.objects.filter(notice__voucher_id__in=ids).values_list("notice__voucher_id", "pk")
        corrections = Correction.objects.filter(voucher_id__in=ids).values_list("voucher_id", "pk")
        for voucher_id, document_id in [*requests, *corrections, *plans.order_by("pk")]:
            if voucher_id is not None:
                self._documents[voucher_id].append(document_id)
        documents = {pk for pks in self._documents.values() for pk in pks}
        self._steps: dict[UUID, list[StepSignature]] = defaultdict(list)
        self._decisions: dict[UUID, list[ReviewDecision]] = defaultdict(list)
        rows = StepSignature.objects.filter(document_id__in=documents).select_related(
            "signed__certificate__person", "signed__statement__person"
        )
        for step in rows.order_by("at", "pk"):
            self._steps[step.document_id].append(step)
        for decision in ReviewDecision.objects.filter(document_id__in=documents).select_related("person"):
            self._decisions[decision.document_id].append(decision)
        self._note(involved)

    def _note(self, involved: Involved) -> None:
        for step in (step for steps in self._steps.values() for step in steps):
            involved.note(StepSignature, [step.pk])
            involved.note(type(step.signed), [step.signed_id])
            involved.officers[step.signed.certificate_id] = step.signed.certificate
            involved.persons[step.signed.statement.person_id] = step.signed.statement.person.name
        for decision in (decision for decisions in self._decisions.values() for decision in decisions):
            involved.note(ReviewDecision, [decision.pk])
            involved.persons[decision.person_id] = decision.person.name

    def of(self, voucher: Voucher) -> Iterator[dict[str, Any]]:
        found: list[tuple[tuple[datetime, str], dict[str, Any]]] = []
        for document_id in self._documents[voucher.pk]:
            steps = {step.pk: step for step in self._steps[document_id]}
            for decision in self._decisions[document_id]:
                step = steps.pop(decision.signature_id, None) if decision.signature_id else None
                key = (decision.at, str(step.pk if step else decision.pk))
                found.append((key, _decision(decision) | (_signed(step) if step else NOTHING_SIGNED)))
            seals = [step for step in steps.values() if step.action in ("seal", "stamp")]
            found += [
                ((step.at, str(step.pk)), _seal(step, number, voucher) | _signed(step))
                for number, step in enumerate(seals, start=1)
            ]
        yield from (row for _key, row in sorted(found, key=lambda pair: pair[0]))


def _decision(decision: ReviewDecision) -> dict[str, Any]:
    return {
        "ordinal": decision.ordinal,
        "post": decision.post,
        "decision": str(decision.decision),
        "person_id": str(decision.person_id),
        "person": decision.person.name,
        "at": instant(decision.at),
        "revision": decision.revision,
        "content_digest": decision.content_digest,
    }


def _seal(step: StepSignature, number: int, voucher: Voucher) -> dict[str, Any]:
    person = step.signed.statement.person
    return {
        "ordinal": number,
        "post": step.post,
        "decision": step.action,
        "person_id": str(person.pk),
        "person": person.name,
        "at": instant(step.at),
        "revision": step.revision,
        "content_digest": voucher.digest,
    }


def _signed(step: StepSignature) -> dict[str, Any]:
    return {
        "statement": step.signed.text,
        "item": step.item,
        "index": step.index,
        "path": step.path,
        "signature": base64.b64encode(bytes(step.signed.signature)).decode("ascii"),
        "certificate_serial": step.signed.certificate.serial_hex,
    }
