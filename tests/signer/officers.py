"""Officers with a UKey: their keys at hand, their certificates registered, and what they sign."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from core.actors import Actor
from demo import world
from demo.cast import officers
from demo.keys import END, START
from payments import services as payments
from payments.issuing import prepare_sealing
from payments.models import PaymentRequest
from payments.reviewing import prepare_decision
from seals.approvals import Prepared, Proof
from seals.certificates import parse_certificate
from seals.models import OfficerCertificate
from seals.pki import issue_certificate, load_issuer
from seals.signing import Warrant
from seals.statements import tbs
from seals.suites import PrivateKeyHandle, get_suite
from tests import acts

ORIGIN = "http://127.0.0.1:8000"
P256_OFFICER = "gk-sh"


def enrol_everybody(issuing: Path, password: bytes) -> dict[str, PrivateKeyHandle]:
    """A key and a registered certificate for every officer of the demonstration; log-in → key."""
    keys, certificates = {}, {}
    for someone in officers():
        suite_id = "ecdsa-p256-sha256" if someone.username == P256_OFFICER else "sm2-sm3"
        key = get_suite(suite_id).generate_private_key()
        encoded = issue_certificate(
            load_issuer(issuing, suite_id, password),
            subject_common_name=someone.name,
            unit=someone.staff_no,
            spki=key.spki,
            not_before=START,
            not_after=END,
        )
        keys[someone.username], certificates[someone.username] = key, parse_certificate(encoded).pem
    world.enrol_officers(certificates, timezone.now())
    return keys


@dataclass(frozen=True)
class Desk:
    """The officers at work: each step is prepared, signed with the officer's key, and taken."""

    keys: dict[str, PrivateKeyHandle]

    def sign(self, who: str, text: str) -> bytes:
        key = self.keys[who]
        return get_suite(key.suite_id).sign(key, tbs(text))

    def proof(self, who: str, prepared: Prepared) -> Proof:
        assert prepared.statement is not None and prepared.certificate is not None, prepared.refused
        signature = self.sign(who, prepared.statement.text)
        return Proof(prepared.statement.id, signature, prepared.certificate.serial_hex)

    def approve(self, who: str, *requests: PaymentRequest) -> None:
        reviewer, ids = world.officer(who), acts.ids(requests)
        prepared = prepare_decision(
            request_ids=ids, reviewer=reviewer, action="approve", origin=ORIGIN, now=timezone.now()
        )
        payments.approve_payment_requests(
            request_ids=ids, reviewer=reviewer, now=timezone.now(), proof=self.proof(who, prepared)
        ).raise_if_refused()

    def vouchered(self, no: str = "I4", *amounts: str) -> PaymentRequest:
        """A request that everybody needed has approved with the UKey, its voucher made out."""
        return self.all_vouchered(no, [amounts or ("12.34",)])[0]

    def all_vouchered(self, no: str, each: Sequence[tuple[str, ...]]) -> list[PaymentRequest]:
        """The same for several requests, each reviewer signing once for all of them."""
        requests = [acts.draft(no, *amounts) for amounts in each]
        acts.submit(*requests).raise_if_refused()
        unit = acts.CLERK_OF[no]
        chain = [f"{unit}-fh", acts.SECTION_OF[unit], "gk-sh"] if requests[0].payment_mode == "11" else [f"{unit}-fh"]
        for who in chain:
            self.approve(who, *requests)
        acts.issue(*requests).raise_if_refused()
        return acts.fresh(*requests)

    def warrant(self, who: str, *requests: PaymentRequest) -> Warrant:
        """What this officer signs to have these vouchers' next step taken, just now."""
        return self.warrant_of(who, self.prepared(world.officer(who), *requests))

    def prepared(self, sealer: Actor, *requests: PaymentRequest) -> Prepared:
        return prepare_sealing(request_ids=acts.ids(requests), sealer=sealer, origin=ORIGIN, now=timezone.now())

    def warrant_of(self, who: str, prepared: Prepared, **changes: Any) -> Warrant:
        proof = self.proof(who, prepared)
        assert prepared.statement is not None
        values: dict[str, Any] = {
            "person_id": world.officer(who).person_id,
            "statement": prepared.statement.text,
            "items": tuple(prepared.statement.items),
            "signature": proof.signature,
            "certificate_serial": proof.certificate_serial,
        }
        return Warrant(**(values | changes))

    def seal(self, who: str, *requests: PaymentRequest) -> None:
        """Take the next step of sealing through the application."""
        sealer = world.officer(who)
        proof = self.proof(who, self.prepared(sealer, *requests))
        payments.seal_payment_vouchers(
            request_ids=acts.ids(requests), sealer=sealer, now=timezone.now(), proof=proof
        ).raise_if_refused()


def certificate(who: str) -> OfficerCertificate:
    return OfficerCertificate.objects.get(person_id=world.officer(who).person_id, status="active")
