"""Refusals of the seals app. Each code is stable: partners and operators build on it."""

from core.errors import TreasuryError


class SealError(TreasuryError):
    """Base of everything the seals app refuses."""

    code = "seal_error"


class SuiteUnavailable(SealError):
    """The machine's crypto library cannot do this suite, or failed its self-test. Nothing may be signed with it."""

    code = "suite_unavailable"


class UnknownSuite(SealError):
    """No suite has this name. Raised rather than falling back to another one."""

    code = "unknown_suite"


class KeyNotUsable(SealError):
    """A key that is malformed, on another curve than the suite's, wrongly protected or belongs to another suite."""

    code = "key_not_usable"


class NoSigningKey(SealError):
    """This process holds no private key of the organisation."""

    code = "no_signing_key"


class MessageSignatureError(SealError):
    """An HTTP message whose signature is missing, malformed or does not hold.

    :param code: one of the codes listed in `seals.httpsig`, stable.
    :param detail: one sentence for the log and the problem document; holds no secret.
    """

    code = "signature_invalid"
    http_status = 401

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class CertificateRefused(SealError):
    """Base of the reasons for which a certificate is not accepted."""

    code = "certificate_refused"


class CertificateMalformed(CertificateRefused):
    code = "certificate_malformed"


class CertificateKeyNotSupported(CertificateRefused):
    """The key is on a curve, or of a kind, that no suite uses."""

    code = "certificate_key_not_supported"


class CertificateExpired(CertificateRefused):
    code = "certificate_expired"


class CertificateNotYetValid(CertificateRefused):
    code = "certificate_not_yet_valid"


class CertificateWrongUsage(CertificateRefused):
    """No digitalSignature on a leaf, no certificate signing on an authority, or a critical extension we do not know."""

    code = "certificate_wrong_usage"


class CertificateUnknownIssuer(CertificateRefused):
    code = "certificate_unknown_issuer"


class CertificateSignatureInvalid(CertificateRefused):
    """An authority of that name is trusted, but its key did not sign this certificate."""

    code = "certificate_signature_invalid"


class CertificateNotRegistered(CertificateRefused):
    """The register has no active row for the certificate beside the organisation's private key."""

    code = "certificate_not_registered"


class CertificateAlreadyRegistered(CertificateRefused):
    """The same certificate is registered for another organisation."""

    code = "certificate_already_registered"


class CertificateAlreadyRevoked(CertificateRefused):
    code = "certificate_already_revoked"
