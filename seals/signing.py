"""Sign voucher texts with an organisation's key.

What is signed is the ASCII text of the base64 inside `<Voucher>`, not the document it decodes to (messages.md §2.4).
Wire form of our profile: `<Signature No="cz_qm" SN="<certificate serial, lower-case hex>">` holds the padded base64,
without line breaks, of the DER signature value SEQUENCE { r INTEGER, s INTEGER }, for both suites alike. The older
PKCS#7 form and the e-seal of `<SignStamp>` (GB/T 38540) stand beside it in profiles of their own.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from seals.errors import CertificateNotRegistered
from seals.keystore import private_key_for
from seals.models import Certificate
from seals.suites import get_suite


@dataclass(frozen=True)
class SignedText:
    """One signature in its wire form, with what names the certificate it was made under."""

    signature_b64: str
    serial_hex: str
    suite_id: str
    certificate_pem: str
    certificate_id: UUID


def sign_texts(*, organisation_code: str, texts: Sequence[bytes]) -> list[SignedText]:
    """Sign each text, in the order given. One SQL statement, however many texts.

    Who may have this signed is decided, and the use recorded (`seals.services.record_seal_uses`), by the caller.

    :raises NoSigningKey, KeyNotUsable: see `keystore.private_key_for`.
    :raises CertificateNotRegistered: if the key's certificate is unknown to the register, or revoked.
    """
    suite_id, private_key, certificate = private_key_for(organisation_code)
    row = Certificate.objects.filter(
        organisation_code=organisation_code,
        serial_hex=certificate.serial_hex,
        issuer=certificate.issuer,
        status=Certificate.Status.ACTIVE,
    ).first()
    if row is None:
        raise CertificateNotRegistered(
            f"机构 {organisation_code} 的证书 {certificate.serial_hex} 未登记或已吊销，不能签名。",
            organisation_code=organisation_code,
            serial_hex=certificate.serial_hex,
        )
    suite = get_suite(suite_id)
    return [
        SignedText(
            signature_b64=base64.b64encode(suite.sign(private_key, text)).decode("ascii"),
            serial_hex=certificate.serial_hex,
            suite_id=suite_id,
            certificate_pem=row.pem,
            certificate_id=row.pk,
        )
        for text in texts
    ]
