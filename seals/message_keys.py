"""Which key a partner's HTTP message must be verified with: the register decides, the message only names one of its own."""

import re
from collections.abc import Mapping
from datetime import datetime

from django.utils import timezone

from seals.certificates import parse_certificate
from seals.errors import MessageSignatureError
from seals.models import Certificate, SignatureProfile
from seals.suites import PublicKeyHandle, Suite, get_suite

_KEY_ID = re.compile(r';keyid="(?P<organisation>[A-Za-z0-9_-]{1,64}):(?P<serial>[0-9a-f]{2,40})"')


def claimed_key(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return (organisation, certificate serial) a message claims to be signed with. A claim, nothing more.

    :raises MessageSignatureError: signature_missing if it names none.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    found = _KEY_ID.search(lowered.get("signature-input", ""))
    if found is None:
        raise MessageSignatureError("signature_missing", "The message names no key.")
    return found["organisation"], found["serial"]


def message_key(
    organisation_code: str, headers: Mapping[str, str], *, at: datetime
) -> tuple[Suite, PublicKeyHandle, str]:
    """Return suite, public key and key id for a message of this partner.

    :raises MessageSignatureError: if the key is not the partner's, not valid now, or of a suite not agreed upon.
    """
    organisation, serial = claimed_key(headers)
    row = Certificate.objects.filter(organisation_code=organisation_code, serial_hex=serial).first()
    if organisation != organisation_code or row is None:
        raise MessageSignatureError("signature_invalid", "The key does not belong to this partner.")
    if row.status != Certificate.Status.ACTIVE or not row.valid_from <= at <= row.valid_to:
        raise MessageSignatureError("signature_invalid", "The partner's certificate is not valid now.")
    on = timezone.localdate(at)
    profiles = SignatureProfile.objects.filter(organisation_code=organisation_code, suite_id=row.suite_id)
    if not any(p.valid_from <= on and (p.valid_to is None or on <= p.valid_to) for p in profiles):
        raise MessageSignatureError("signature_invalid", "No agreement with the partner allows this suite today.")
    return get_suite(row.suite_id), parse_certificate(row.pem).public_key, f"{organisation}:{serial}"
