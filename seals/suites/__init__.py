"""Crypto suites behind one interface. No Django here: simulators and offline verifiers use the same code."""

from functools import cache

from seals.errors import UnknownSuite
from seals.suites.base import SPKI_HEAD, PrivateKeyHandle, PublicKeyHandle, Suite
from seals.suites.p256 import EcdsaP256Sha256
from seals.suites.rsa import RsaSha1, RsaSha256
from seals.suites.sm2 import Sm2Sm3

__all__ = [
    "EC_SUITE_IDS",
    "SIGNING_SUITE_IDS",
    "SPKI_HEAD",
    "SUITE_BY_SIGNATURE_OID",
    "SUITE_IDS",
    "PrivateKeyHandle",
    "PublicKeyHandle",
    "Suite",
    "get_suite",
]

_SUITES: dict[str, type[Suite]] = {
    "sm2-sm3": Sm2Sm3,
    "ecdsa-p256-sha256": EcdsaP256Sha256,
    "rsa-sha256": RsaSha256,
    "rsa-sha1": RsaSha1,
}
SUITE_IDS = tuple(_SUITES)
SIGNING_SUITE_IDS = tuple(suite_id for suite_id, suite in _SUITES.items() if suite.status == "current")
SUITE_BY_SIGNATURE_OID = {suite.signature_oid: suite_id for suite_id, suite in _SUITES.items()}
EC_SUITE_IDS = tuple(SPKI_HEAD)  # whose signatures are a pair r, s, as HTTP and XML signatures write them


def get_suite(suite_id: str) -> Suite:
    """The suite of that name; made and self-tested at its first use in the process, then kept.

    :raises UnknownSuite: there is no default to fall back to.
    :raises SuiteUnavailable: if this machine's library cannot do it.
    """
    if suite_id not in _SUITES:
        raise UnknownSuite(f"没有名为 {suite_id!r} 的密码套件。", suite=suite_id, known=SUITE_IDS)
    return _made(suite_id)


@cache
def _made(suite_id: str) -> Suite:
    return _SUITES[suite_id]()
