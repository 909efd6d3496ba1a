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


class SuiteVerifyOnly(SealError):
    """The suite reads old signatures only: no key of it is opened, nothing is signed with it."""

    code = "suite_verify_only"


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


class CertificateAlgorithmRefused(CertificateRefused):
    """Signed with an algorithm no suite has (MD5, PSS), or with SHA-1 above a key that still signs."""

    code = "certificate_algorithm_refused"


class CertificateUnknownIssuer(CertificateRefused):
    code = "certificate_unknown_issuer"


class CertificateSignatureInvalid(CertificateRefused):
    """An authority of that name is trusted, but its key did not sign this certificate."""

    code = "certificate_signature_invalid"


class CertificateRevoked(CertificateRefused):
    """Its issuer's list says so. `revoked_at` and `reason` are among the facts: earlier signatures may stand."""

    code = "certificate_revoked"


class RevocationUnknown(CertificateRefused):
    """No usable revocation list of the issuer. `reason` says why; with a fresh list the answer may differ."""

    code = "revocation_unknown"


class RevocationListMalformed(SealError):
    """Not exactly one well-formed revocation list."""

    code = "revocation_list_malformed"


class RevocationListUnsupported(SealError):
    """A delta or indirect list, one of some reasons only, or with a critical extension we do not know."""

    code = "revocation_list_unsupported"


class CertificateKeyShared(CertificateRefused):
    """The same key is certified under another name, so a signature would not say whose it is."""

    code = "certificate_key_shared"


class CsrRefused(SealError):
    """A certificate request that is malformed, for a key no current suite uses, or without proof of possession."""

    code = "csr_refused"


class CertificateNotRegistered(CertificateRefused):
    """The register has no active row for the certificate beside the organisation's private key."""

    code = "certificate_not_registered"


class CertificateAlreadyRegistered(CertificateRefused):
    """The same certificate is registered for another organisation."""

    code = "certificate_already_registered"


class CertificateAlreadyRevoked(CertificateRefused):
    code = "certificate_already_revoked"


class StatementRefused(SealError):
    """Base of the reasons for which an officer's statement is not signed or not accepted."""

    code = "statement_refused"


class StatementMalformed(StatementRefused):
    """A statement or item that is not the one spelling of its fields, or a field that is not of its form."""

    code = "statement_malformed"


class StatementItemsDisagree(StatementRefused):
    """Number, sum or root of the statement are not those of the items, or a document comes twice."""

    code = "statement_items_disagree"


class StatementExpired(StatementRefused):
    code = "statement_expired"


class SignerUnavailable(SealError):
    """The signer gave no answer within its deadline. Nothing was sealed; the same may be asked again."""

    code = "signer_unavailable"
    http_status = 503


class SealingRefused(SealError):
    """The signer, reading the database itself, does not find what it was asked to seal approved."""

    code = "sealing_refused"
    http_status = 409


class SealMissing(SealError):
    """No usable seal is registered for a position of the voucher type."""

    code = "seal_missing"


class SealNotUsable(SealError):
    """A seal that is revoked, outside its dates, or not for this voucher type."""

    code = "seal_not_usable"


class SignatureRequired(SealError):
    """The region asks for the officer's UKey, and nothing signed came along."""

    code = "signature_required"


class NoOfficerCertificate(SealError):
    """The officer has no active certificate to sign with."""

    code = "no_officer_certificate"


class StatementUnknown(StatementRefused):
    """No such statement was issued to this officer for this action."""

    code = "statement_unknown"


class StatementUsed(StatementRefused):
    """A statement counts once."""

    code = "statement_used"
    http_status = 409


class StatementSignatureInvalid(StatementRefused):
    """The signature over the statement does not hold, or the certificate is not the officer's."""

    code = "statement_signature_invalid"


class StatementOutdated(StatementRefused):
    """The document is no longer what the officer was shown when signing."""

    code = "statement_outdated"
    http_status = 409
