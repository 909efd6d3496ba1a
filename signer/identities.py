"""As whom an organisation signs: the key that lies here, if its certificate is registered, active and valid now."""

from datetime import datetime

from seals.errors import CertificateNotRegistered
from seals.models import Certificate
from seals.signing import Identity
from signer.drivers import Key
from signer.keystore import private_key_for


def identity_of(organisation_code: str, now: datetime) -> tuple[Identity, Key]:
    """Return the organisation's identity and its key. One query.

    :raises NoSigningKey, KeyNotUsable: see `signer.keystore`.
    :raises CertificateNotRegistered: if the register does not have the certificate, or it may not be used now.
    """
    key = private_key_for(organisation_code)
    found = Certificate.objects.filter(
        organisation_code=organisation_code,
        serial_hex=key.certificate.serial_hex,
        issuer=key.certificate.issuer,
        status=Certificate.Status.ACTIVE,
        valid_from__lte=now,
        valid_to__gt=now,
    )
    if not found.exists():
        raise CertificateNotRegistered(
            "密钥的证书未登记、已吊销或不在有效期内，不能签名。",
            organisation_code=organisation_code,
            serial_hex=key.certificate.serial_hex,
        )
    return Identity(organisation_code, key.certificate.suite_id, key.certificate.serial_hex), key
