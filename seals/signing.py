"""Have something signed with an organisation's key. The keys lie in the signer, a process of its own (`signer`).

Nothing here opens a private key. A voucher is signed only if the signer, reading the database itself, finds it
approved; what is asked for and what authorises it travel together (`Order`, `Warrant`).

Wire form of a voucher's signature in our profile: `<Signature No="cz_qm" SN="<certificate serial, lower-case hex>">`
holds the padded base64, without line breaks, of the DER signature value SEQUENCE { r INTEGER, s INTEGER }, over the
ASCII text of the base64 inside `<Voucher>` (messages.md §2.4). A stamp (`<SignStamp>`) is a SES_Signature of
GB/T 38540.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from seals.suites import Suite, get_suite


@dataclass(frozen=True)
class Identity:
    """Which certificate an organisation signs messages and vouchers with just now."""

    organisation_code: str
    suite_id: str
    serial_hex: str

    @property
    def key_id(self) -> str:
        """As message signatures name it."""
        return f"{self.organisation_code}:{self.serial_hex}"

    @property
    def suite(self) -> Suite:
        return get_suite(self.suite_id)


@dataclass(frozen=True)
class Order:
    """One mark to be put on one voucher: a signature, or with `seal_id` a stamp (ESeal) at a position.

    `text` is the base64 text that is signed; the voucher's row may not be committed yet (a 5108), so it goes along.
    """

    voucher_id: UUID
    voucher_type: str
    adm_div_code: str
    fiscal_year: int
    voucher_no: str
    text: bytes
    organisation_code: str
    position: str
    seal_id: UUID | None = None


@dataclass(frozen=True)
class Warrant:
    """Who has this sealed, and what that person has signed (none where the region asks for no UKey).

    `person_id` is None for what the system seals by itself: a notice that only takes permission away.
    """

    person_id: UUID | None
    statement: str = ""
    items: tuple[str, ...] = ()
    signature: bytes = b""
    certificate_serial: str = ""


@dataclass(frozen=True)
class Mark:
    """A signature value or a SES_Signature (DER), and the serial of the certificate it was made under."""

    value: bytes
    serial_hex: str


class Signer(Protocol):
    """What the signer does for the rest of the system."""

    def identity(self, organisation_code: str) -> Identity:
        """:raises NoSigningKey: if it has no key of the organisation whose certificate is registered and valid."""

    def sign_message(self, organisation_code: str, serial_hex: str, base: bytes) -> bytes:
        """Sign the signature base of an HTTP message (RFC 9421), and nothing that is not one."""

    def seal_vouchers(self, orders: Sequence[Order], warrant: Warrant) -> list[Mark]:
        """Make every mark, in the order given, or none.

        :raises SealingRefused: if a voucher is not approved, or the person may not seal it; nothing is signed then.
        """

    def sign_root(self, organisation_code: str, text: bytes, earlier: int, path: Sequence[bytes]) -> Mark:
        """Sign a root of the evidence log that begins with the last root it signed for this stream."""

    def issue_officer_certificate(self, request_id: UUID, days: int) -> str:
        """The certificate (PEM) of an approved request of an officer (`seals.enrolment`).

        :raises SealingRefused: if the signer, reading the database itself, does not find it approved by another person.
        """


def the_signer() -> Signer:
    """The signer of this process: `settings.GUOKU_SIGNER` names the class that reaches it."""
    return _made(settings.GUOKU_SIGNER)


@cache
def _made(name: str) -> Signer:
    made: Signer = import_string(name)()
    return made


def message_signer(organisation_code: str) -> tuple[Identity, Callable[[bytes], bytes]]:
    """Return as whom an organisation signs HTTP messages, and the function that has them signed.

    :raises NoSigningKey, SignerUnavailable: see `Signer`.
    """
    signer = the_signer()
    identity = signer.identity(organisation_code)
    return identity, partial(signer.sign_message, organisation_code, identity.serial_hex)
