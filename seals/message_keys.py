"""Which key verifies a partner's HTTP message: the register decides, the message only names one of its own.

The reason codes are those of seals.verifying, so that a partner reads the same word whether a voucher or the message
around it was refused: certificate_unknown, certificate_of_other_party, certificate_revoked,
certificate_not_yet_valid, certificate_expired, suite_not_allowed.
"""

from collections.abc import Mapping
from datetime import datetime

from django.utils import timezone

from seals.certificates import parse_certificate
from seals.errors import MessageSignatureError
from seals.httpsig import parse_response_signature
from seals.models import Certificate, SignatureProfile
from seals.suites import PublicKeyHandle, Suite, get_suite


def claimed_key(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return (organisation, certificate serial) a message claims to be signed with. A claim, nothing more.

    :raises MessageSignatureError: signature_missing, signature_malformed, signature_tag_unknown.
    """
    claim = parse_response_signature(headers)  # the part that requests and answers have in common
    return claim.organisation_code, claim.serial_hex


def message_key(
    organisation_code: str, headers: Mapping[str, str], *, at: datetime
) -> tuple[Suite, PublicKeyHandle, str]:
    """Return suite, public key and key id for a message of this partner.

    :raises MessageSignatureError: as `claimed_key`; with the codes above if the key is not the partner's, not valid
        now, or of a suite not agreed upon.
    """
    organisation, serial = claimed_key(headers)
    if organisation != organisation_code:
        raise MessageSignatureError("certificate_of_other_party", f"The message must be signed by {organisation_code}.")
    row = Certificate.objects.filter(organisation_code=organisation_code, serial_hex=serial).first()
    if row is None:
        raise MessageSignatureError("certificate_unknown", "No certificate of this partner has this serial number.")
    if row.status != Certificate.Status.ACTIVE:
        raise MessageSignatureError("certificate_revoked", "The certificate has been revoked.")
    if at < row.valid_from:
        raise MessageSignatureError("certificate_not_yet_valid", "The certificate is not valid yet.")
    if at > row.valid_to:
        raise MessageSignatureError("certificate_expired", "The certificate has expired.")
    on = timezone.localdate(at)
    profiles = SignatureProfile.objects.filter(organisation_code=organisation_code, suite_id=row.suite_id)
    if not any(p.valid_from <= on and (p.valid_to is None or on <= p.valid_to) for p in profiles):
        raise MessageSignatureError("suite_not_allowed", f"No agreement with the partner allows {row.suite_id} today.")
    return get_suite(row.suite_id), parse_certificate(row.pem).public_key, f"{organisation}:{serial}"
