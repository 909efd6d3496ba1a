"""This partner's private key and the pinned certificates of everybody else: the only file that touches ``seals``.

Two layouts are read: a folder of this partner alone (``key.pem``, ``cert.pem``, ``trusted/<ORG>.pem``) and the demo
PKI as a whole (``<ORG>/key.pem``, ``<ORG>/cert.pem``), of which only this partner's own private key is opened.
"""

import base64
import binascii
import re
import secrets
import sqlite3
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from seals import httpsig
from seals.certificates import (
    CertificateRefused,
    ParsedCertificate,
    canonical_serial,
    check_validity,
    parse_certificate,
)
from seals.errors import MessageSignatureError
from seals.suites import get_suite
from simulators.errors import Refusal, Unauthorised
from simulators.storage import Storage
from simulators.wire import Body, Signature

NONCE_SECONDS = 2 * httpsig.MAX_SKEW_SECONDS


class Keyring:
    """Signs as one organisation and checks signatures of the others against their pinned certificates."""

    def __init__(self, pki: Path, organisation: str, storage: Storage) -> None:
        own = pki / organisation if (pki / organisation / "key.pem").exists() else pki
        self._storage = storage
        self._certificate = parse_certificate((own / "cert.pem").read_bytes())
        self._suite = get_suite(self._certificate.suite_id)
        self._private_key = self._suite.load_private_key((own / "key.pem").read_bytes())
        self._trusted = _trusted(pki, own)
        self._key_id = f"{organisation}:{self._certificate.serial_hex}"

    # Voucher texts

    def sign_text(self, text: str, position: str) -> Signature:
        """A signature over the ASCII base64 text of a voucher."""
        value = self._suite.sign(self._private_key, text.encode("ascii"))
        return Signature(position, self._certificate.serial_hex, base64.b64encode(value).decode("ascii"))

    def verify_text(self, organisation: str, body: Body) -> None:
        """Accept only a signature of exactly this organisation; any others in the list do not count.

        :raises Refusal: ``unknown_signer``, ``signature_missing`` or ``signature_invalid``.
        """
        certificates = self._valid_certificates(organisation)
        if not certificates:
            raise Refusal("unknown_signer", f"没有 {organisation} 的有效证书")
        named = [(s, c) for s in body.signatures for c in certificates if _serial(s.serial) == c.serial_hex]
        if not named:
            raise Refusal("signature_missing", f"凭证缺少 {organisation} 的签名")
        for signature, certificate in named:
            try:
                value = base64.b64decode(signature.value, validate=True)
            except (binascii.Error, ValueError):
                continue
            suite = get_suite(certificate.suite_id)
            if suite.verify(certificate.public_key, body.text.encode("ascii"), value):
                return
        raise Refusal("signature_invalid", f"{organisation} 的签名验证失败")

    # HTTP messages

    def check_request(
        self, method: str, path: str, query: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[str, str]:
        """The organisation that signed this request, and the nonce the answer must name.

        :raises Unauthorised: if nobody we know signed exactly this just now, or it was seen before.
        """
        try:
            claim = httpsig.parse_request_signature(headers)
            certificate = self._certificate_of(claim.organisation_code, claim.serial_hex)
            httpsig.verify_request(
                method,
                path,
                query,
                body,
                headers,
                public_key=certificate.public_key,
                suite=get_suite(certificate.suite_id),
                now=int(time.time()),
            )
        except MessageSignatureError as error:
            raise Unauthorised(error.code, error.detail) from error
        self._remember_nonce(f"{claim.organisation_code}/{claim.nonce}")
        return claim.organisation_code, claim.nonce

    def sign_answer(self, status: int, body: bytes, nonce: str) -> dict[str, str]:
        """Headers that bind an answer to the request with this nonce."""
        return httpsig.sign_response(
            status,
            body,
            nonce,
            key_id=self._key_id,
            suite=self._suite,
            sign=partial(self._suite.sign, self._private_key),
            created=int(time.time()),
        )

    def sign_request(
        self, method: str, path: str, query: str, body: bytes, content_type: str, idempotency_key: str | None = None
    ) -> tuple[dict[str, str], str]:
        """Headers for a request of ours, and its nonce."""
        nonce = secrets.token_hex(16)
        headers = httpsig.sign_request(
            method,
            path,
            query,
            body,
            content_type,
            key_id=self._key_id,
            suite=self._suite,
            sign=partial(self._suite.sign, self._private_key),
            created=int(time.time()),
            nonce=nonce,
            idempotency_key=idempotency_key,
        )
        return headers, nonce

    def check_answer(self, organisation: str, status: int, body: bytes, headers: Mapping[str, str], nonce: str) -> None:
        """Accept an answer only from the organisation that was asked.

        :raises Unauthorised: what happened there is then unknown.
        """
        try:
            serial = re.search(rf'keyid="{re.escape(organisation)}:([0-9a-f]+)"', headers.get("signature-input", ""))
            certificate = self._certificate_of(organisation, serial[1] if serial else "")
            httpsig.verify_response(
                status,
                body,
                headers,
                nonce,
                public_key=certificate.public_key,
                suite=get_suite(certificate.suite_id),
                now=int(time.time()),
            )
        except MessageSignatureError as error:
            raise Unauthorised(error.code, error.detail) from error

    def _certificate_of(self, organisation: str, serial: str) -> ParsedCertificate:
        for certificate in self._valid_certificates(organisation):
            if certificate.serial_hex == serial:
                return certificate
        raise Unauthorised("unknown_key", f"不认识 {organisation} 的证书 {serial}")

    def _valid_certificates(self, organisation: str) -> list[ParsedCertificate]:
        now = datetime.now(UTC)
        valid = []
        for certificate in self._trusted.get(organisation, []):
            try:
                check_validity(certificate, now)
            except CertificateRefused:
                continue
            valid.append(certificate)
        return valid

    def _remember_nonce(self, nonce: str) -> None:
        now = time.time()
        with self._storage.write() as db:
            db.execute("DELETE FROM nonces WHERE expires < ?", (now,))
            try:
                db.execute("INSERT INTO nonces VALUES (?, ?)", (nonce, now + NONCE_SECONDS))
            except sqlite3.IntegrityError as error:
                raise Unauthorised("nonce_replayed", "该请求已处理过(nonce 重复)") from error


def _trusted(pki: Path, own: Path) -> dict[str, list[ParsedCertificate]]:
    folder = next((f for f in (own / "trusted", pki / "trusted") if f.is_dir()), None)
    if folder:
        files = [(path.stem.split("@")[0], path) for path in sorted(folder.glob("*.pem"))]
        files += [(path.parent.name, path) for path in sorted(folder.glob("*/cert.pem"))]
    else:
        files = [(path.parent.name, path) for path in sorted(pki.glob("*/cert.pem"))]
    trusted: dict[str, list[ParsedCertificate]] = {}
    for organisation, path in files:
        trusted.setdefault(organisation, []).append(parse_certificate(path.read_bytes()))
    return trusted


def _serial(text: str) -> str:
    try:
        return canonical_serial(text)
    except ValueError:
        return ""
