"""Certificate authorities in a test's hand: they issue whatever the test asks for, also what must be refused."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from seals import der
from seals import pki as demo_pki
from seals.certificates import ParsedCertificate, parse_certificate
from seals.pki import Issuer
from seals.suites import get_suite

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
SIGNING, AUTHORITY = (0, 1), (5, 6)


def algorithm(oid: str, *, null: bool = False) -> bytes:
    """An AlgorithmIdentifier with absent or NULL parameters."""
    return der.write(der.SEQUENCE, der.oid(oid), der.write(der.NULL) if null else b"")


class OldRsaKey:
    """An RSA key of a suite that our own code does not sign with."""

    def __init__(self, bits: int = 1024, digest: hashes.HashAlgorithm | None = None) -> None:
        self.native = rsa.generate_private_key(65537, bits)
        self.digest = digest or hashes.SHA1()
        self.spki = self.native.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, data: bytes) -> bytes:
        return self.native.sign(data, padding.PKCS1v15(), self.digest)


class Authority:
    """A root, or an authority below `above`. `suite_id` rsa-sha1 gives RSA-1024 with SHA-1."""

    def __init__(
        self,
        suite_id: str = "sm2-sm3",
        name: str = "Test root",
        *,
        usage: Iterable[int] = AUTHORITY,
        authority: bool = True,
        path_length: int = 1,
        above: "Authority | None" = None,
        start: datetime = START,
        end: datetime = END,
        further: Iterable[bytes] = (),
        like: "Authority | None" = None,
    ) -> None:
        """:param like: take that authority's key, for another certificate of the same."""
        self.suite_id = suite_id
        suite = get_suite(suite_id)
        if like is not None:
            self.key, self.sign = like.key, like.sign
        elif suite_id == "rsa-sha1":
            self.key = OldRsaKey()
            self.sign = self.key.sign
        else:
            self.key = suite.generate_private_key()
            self.sign = lambda data: suite.sign(self.key, data)
        self.algorithm = algorithm(suite.signature_oid)
        self.issuer = Issuer(demo_pki._name("Test", name), self.key.spki, self.key)
        above = above or self
        extensions = demo_pki._extensions(
            self.key.spki,
            above.issuer,
            tuple(usage),
            authority=authority,
            path_length=path_length,
            further=tuple(further),
        )
        self.certificate = parse_certificate(
            above.build(self.issuer.name, self.key.spki, extensions, start=start, end=end)
        )

    def build(
        self,
        subject: bytes,
        spki: bytes,
        extensions: bytes,
        *,
        start: datetime = START,
        end: datetime = END,
        inner: bytes = b"",
        outer: bytes = b"",
        sign: Callable[[bytes], bytes] | None = None,
        serial: int | None = None,
    ) -> bytes:
        """A certificate in DER; `inner` and `outer` are its two statements of the algorithm."""
        inner = inner or self.algorithm
        tbs = der.write(
            der.SEQUENCE,
            der.write(0xA0, der.integer(2)),
            der.integer(serial or int.from_bytes(get_suite("sm2-sm3").digest(subject + spki)[:15])),
            inner,
            self.issuer.name,
            der.write(der.SEQUENCE, der.time(start), der.time(end)),
            subject,
            spki,
            der.write(0xA3, extensions) if extensions else b"",
        )
        signature = (sign or self.sign)(tbs)
        return der.write(der.SEQUENCE, tbs, outer or inner, der.write(der.BIT_STRING, b"\0", signature))

    def issue_der(
        self,
        *,
        name: str = "Leaf",
        usage: Iterable[int] = SIGNING,
        authority: bool = False,
        spki: bytes | None = None,
        further: Iterable[bytes] = (),
        extensions: bytes | None = None,
        **built: Any,
    ) -> bytes:
        """A certificate for `spki`, or for a new key of the authority's suite that nobody keeps."""
        if spki is None:
            own = self.suite_id == "rsa-sha1"
            spki = OldRsaKey().spki if own else get_suite(self.suite_id).generate_private_key().spki
        if extensions is None:
            extensions = demo_pki._extensions(
                spki, self.issuer, tuple(usage), authority=authority, further=tuple(further)
            )
        return self.build(demo_pki._name("Test", name), spki, extensions, **built)

    def issue(self, **asked: Any) -> ParsedCertificate:
        return parse_certificate(self.issue_der(**asked))
