"""Officers' UKeys without an agent: a key at hand, its certificate registered, statements signed on the spot."""

import base64
from datetime import datetime
from typing import Any

from django.conf import settings
from django.test import Client

from core.digests import sm3_hex
from dashboards.desk import WITH_KEY
from demo.keys import END, START
from parties.models import Person, Region, User
from seals.approvals import Prepared, Proof
from seals.certificates import parse_certificate
from seals.models import OfficerCertificate
from seals.pki import build_csr, issue_certificate, load_issuer
from seals.statements import tbs
from seals.suites import get_suite
from tests.conftest import NOW


def ukeys_required(adm_div_code: str = "990100000") -> None:
    """From now on every decision of the region needs a signature."""
    Region.objects.filter(adm_div_code=adm_div_code).update(ukey_required=True)


class Hand:
    """An officer with a UKey: a new key, certified by the test PKI and active from `START` to `END`.

    `certified=False` leaves the key without a certificate, for tests that enrol.
    """

    def __init__(
        self,
        username: str,
        *,
        suite_id: str = "sm2-sm3",
        certified: bool = True,
        start: datetime = START,
        end: datetime = END,
    ) -> None:
        self.user = User.objects.select_related("person").get(username=username)
        assert self.user.person is not None, f"{username} is nobody"
        self.person: Person = self.user.person
        self.suite = get_suite(suite_id)
        self.key = self.suite.generate_private_key()
        self.certificate = self._certify(start, end) if certified else None

    def _certify(self, start: datetime, end: datetime) -> OfficerCertificate:
        made = issue_certificate(
            load_issuer(settings.GUOKU_KEY_DIR, self.suite.id),
            subject_common_name=self.person.name,
            unit=str(self.person.pk),
            spki=self.key.spki,
            not_before=start,
            not_after=end,
        )
        parsed = parse_certificate(made)
        return OfficerCertificate.objects.create(
            person=self.person,
            adm_div_code=self.user.adm_div_code,
            suite_id=self.suite.id,
            spki_sm3=sm3_hex(self.key.spki),
            pem=parsed.pem,
            serial_hex=parsed.serial_hex,
            certificate_sm3=sm3_hex(parsed.der),
            valid_from=parsed.valid_from,
            valid_to=parsed.valid_to,
            status=OfficerCertificate.Status.ACTIVE,
            requested_by="测试",
            requested_at=NOW,
        )

    @property
    def csr(self) -> str:
        """A certificate request of this key, as the agent makes it."""
        return build_csr(self.key, self.person.name).decode("ascii")

    def sign(self, statement_text: str) -> bytes:
        """The DER signature over a statement's canonical text."""
        return self.suite.sign(self.key, tbs(statement_text))

    def proof(self, prepared: Prepared) -> Proof:
        """What the services take for a statement that was prepared for this officer."""
        assert prepared.statement is not None and prepared.certificate is not None, prepared.refused
        serial = prepared.certificate.serial_hex
        return Proof(prepared.statement.pk, self.sign(prepared.statement.text), serial)

    def fields(self, answer: dict[str, Any]) -> dict[str, str]:
        """The form fields for an answer of `/ukey/prepare/` (or of a log-in's challenge)."""
        return {
            "statement_id": answer["statement_id"],
            "signature": base64.b64encode(self.sign(answer["statement"])).decode("ascii"),
            "certificate_serial": answer["certificate_serial"],
        }

    def client(self) -> Client:
        """A browser in which the officer has come in with the UKey."""
        client = Client()
        client.force_login(self.user)
        session = client.session
        session[WITH_KEY] = True
        session.save()
        return client
