"""The register of keys, the seals, and what officers sign."""

from seals.models.eseal import ESeal, SealKind, SealMaker, SealPosition, Stamp
from seals.models.officers import OfficerCertificate, Statement, StatementSignature, StepSignature
from seals.models.register import Certificate, RevocationList, SealUse, SignatureProfile, TrustedAuthority

__all__ = [
    "Certificate",
    "ESeal",
    "OfficerCertificate",
    "RevocationList",
    "SealKind",
    "SealMaker",
    "SealPosition",
    "SealUse",
    "SignatureProfile",
    "Stamp",
    "Statement",
    "StatementSignature",
    "StepSignature",
    "TrustedAuthority",
]
