"""The signer of most tests: keys at hand, no socket, no policy. The real one is tested in tests/signer."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from seals import der
from seals.models import ESeal, OfficerCertificate
from seals.pki import issue_certificate, load_issuer, parse_csr
from seals.signing import Identity, Mark, Order, Warrant
from signer.facts import seal_row
from signer.identities import identity_of
from signer.keystore import private_key_for
from signer.marks import make_marks


class KeysAtHand:
    """Signs whatever it is asked to, with the keys below `settings.GUOKU_KEY_DIR`."""

    def identity(self, organisation_code: str) -> Identity:
        return identity_of(organisation_code, timezone.now())[0]

    def sign_message(self, organisation_code: str, serial_hex: str, base: bytes) -> bytes:
        return private_key_for(organisation_code).sign(base)

    def seal_vouchers(self, orders: Sequence[Order], warrant: Warrant) -> list[Mark]:
        signing = {order.organisation_code for order in orders if order.seal_id is None}
        ids = {order.seal_id for order in orders if order.seal_id is not None}
        rows = ESeal.objects.select_related("certificate").filter(pk__in=ids) if ids else ()
        return make_marks(
            orders,
            keys={code: private_key_for(code) for code in signing},
            seals={row.id: seal_row(row) for row in rows},
            roots={},
            now=timezone.now(),
        )

    def sign_root(self, organisation_code: str, text: bytes, earlier: int, path: Sequence[bytes]) -> Mark:
        key = private_key_for(organisation_code)
        return Mark(key.sign(text), key.certificate.serial_hex)

    def issue_officer_certificate(self, request_id: UUID, days: int) -> str:
        row = OfficerCertificate.objects.get(pk=request_id)
        now = timezone.now().replace(microsecond=0)
        encoded = issue_certificate(
            load_issuer(settings.GUOKU_KEY_DIR, row.suite_id),
            subject_common_name=row.person.name,
            unit=str(row.person_id),
            spki=parse_csr(row.csr.encode()).spki,
            not_before=now,
            not_after=now + timedelta(days=days),
        )
        return der.pem("CERTIFICATE", encoded).decode("ascii")
