#!/usr/bin/env python3
"""国库凭证离线验证程序: verify vouchers, seals, approvals and the evidence log with nothing but this file and Python.

A second implementation, on purpose: it shares no line with the system that made the evidence, uses only the standard
library (3.11 or newer), opens no network connection, and still runs when that system is long gone. SM2 and P-256 are
checked by the OpenSSL that Python itself is linked to; where that is missing or has no SM2, by the arithmetic below.

It reads top to bottom as it works: digests and signatures, DER, certificates and revocation lists, time stamps, seals,
XML, zip; then the log (which proves *when*), the vouchers (text, signatures, stamps, approvals); then the report.

    python guoku_verify.py FILE [--trust DIR] [--at TIME] [--json] [--report report.html]

Exit codes: 0 genuine, 1 altered or failed, 2 wrong usage or unreadable, 3 cannot be decided with what is at hand.
Indications and sub-indications are the words of EU DSS (ETSI EN 319 102-1). Source of all formats: docs/signatures.md.
"""

import argparse
import base64
import binascii
import ctypes
import ctypes.util
import hashlib
import html
import json
import re
import stat
import struct
import sys
import unicodedata
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.parsers import expat

PROGRAM = "guoku_verify 1.0"
MEBIBYTE = 1024 * 1024
MAX_FILE, MAX_ENTRIES, MAX_UNPACKED, MAX_RATIO = 512 * MEBIBYTE, 50_000, 2048 * MEBIBYTE, 100
CLOCK_SLACK = timedelta(minutes=5)
USER_ID = b"1234567812345678"  # GM/T 0009 §10

PASSED, OPEN, FAILED = 0, 1, 2  # in order of gravity
EXIT = {PASSED: 0, OPEN: 3, FAILED: 1}


# 1. What is found --------------------------------------------------------------------------------------------------


class Refused(Exception):
    """Something is not as it must be: DSS sub-indication, Chinese reason, and what to do about it."""

    def __init__(self, sub: str, reason: str, advice: str = "", state: int = FAILED) -> None:
        super().__init__(reason)
        self.outcome = Outcome(state, sub, reason, advice)


class Outcome(NamedTuple):
    state: int = PASSED
    sub: str = ""
    reason: str = ""
    advice: str = ""


GOOD = Outcome()

ADVICE = {
    "FORMAT_FAILURE": "不要采信；请向提供方要求重新导出，并与对方留存的原件核对。",
    "HASH_FAILURE": "内容在签名之后被改动。不要采信；请与收付双方留存的原件逐字核对。",
    "SIG_CRYPTO_FAILURE": "签名与内容不符。不要采信；请与签名方核对原件。",
    "SIG_CONSTRAINTS_FAILURE": "不是应当签名的人或机构所签，或用途不符。不要采信；请核对名册与证书。",
    "CHAIN_CONSTRAINTS_FAILURE": "证书无权这样使用。不要采信；请向发证机构核实。",
    "NO_SIGNING_CERTIFICATE_FOUND": "缺少签名证书。请取得该序列号的证书，放入 --trust 目录的 certificates/ 后重试。",
    "NO_CERTIFICATE_CHAIN_FOUND": "请从可靠渠道取得根证书，核对其 SM3 指纹后放入一个目录，用 --trust 指定。",
    "REVOKED": "证书在签名之前已吊销。不要采信。",
    "REVOKED_NO_POE": "证书后来被吊销，而没有可信时间证明签名在先。请补充带时间戳的日志根。",
    "TRY_LATER": "缺少有效的吊销列表。请取得发证机构的 CRL，放入 --trust 目录的 crls/ 后重试。",
    "OUT_OF_BOUNDS_NO_POE": "证书现已过期，而没有可信时间证明签名在有效期内。请补充带时间戳的日志根。",
    "EXPIRED": "签名时证书已过期。不要采信。",
    "NOT_YET_VALID": "签名时证书尚未生效。不要采信。",
    "CRYPTO_CONSTRAINTS_FAILURE_NO_POE": "算法已不够安全，只能证明数学上相符。请结合其他证据判断。",
    "SIGNED_DATA_NOT_FOUND": "缺少被签名的内容，无法判断。请一并提供。",
    "NO_POE": "没有可信时间证明。请补充时间戳，或与对方留存的日志根核对。",
    "TIMESTAMP_ORDER_FAILURE": "时间先后矛盾。不要采信；请核对时间戳与日志。",
}


@dataclass(frozen=True)
class Finding:
    """One verdict: about what (`kind`, `name`), in which file and row (from 1), and how it came out."""

    kind: str
    name: str
    outcome: Outcome
    file: str = ""
    row: int | None = None
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def indication(self) -> str:
        whole = "TOTAL_" if self.kind in ("signature", "stamp", "approval", "root", "voucher") else ""
        return (f"{whole}PASSED", "INDETERMINATE", f"{whole}FAILED")[self.outcome.state]

    @property
    def advice(self) -> str:
        return self.outcome.advice or (ADVICE.get(self.outcome.sub, "") if self.outcome.state else "")

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "name": self.name, "file": self.file, "row": self.row,
            "indication": self.indication, "sub_indication": self.outcome.sub,
            "reason": self.outcome.reason, "advice": self.advice, "facts": self.facts,
        }  # fmt: skip


@dataclass
class Report:
    """Every finding about one file, and what follows from them together."""

    file: str
    sm3: str
    at: datetime
    anchors: list[str] = field(default_factory=list)  # what is trusted, and by whom
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, name: str, outcome: Outcome = GOOD, **more: Any) -> Outcome:
        self.findings.append(Finding(kind, name, outcome, **more))
        return outcome

    @property
    def state(self) -> int:
        """The gravest finding decides; a file about which nothing was found proves nothing."""
        return max((finding.outcome.state for finding in self.findings), default=OPEN)

    @property
    def indication(self) -> str:
        return ("TOTAL_PASSED", "INDETERMINATE", "TOTAL_FAILED")[self.state]

    @property
    def exit_code(self) -> int:
        return EXIT[self.state]

    def worst(self) -> list[Finding]:
        worst = self.state
        return [finding for finding in self.findings if finding.outcome.state == worst != PASSED]


# 2. Digests and signatures -----------------------------------------------------------------------------------------


def _sm3_words(data: bytes) -> bytes:
    """SM3 in Python, for a library without it. Source: GB/T 32905 §5."""
    mask = 0xFFFFFFFF

    def rotate(x: int, n: int) -> int:
        return (x << n % 32 | x >> (32 - n % 32)) & mask

    state = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack(">Q", 8 * len(data))
    for start in range(0, len(padded), 64):
        w = list(struct.unpack(">16I", padded[start : start + 64]))
        for j in range(16, 68):
            x = w[j - 16] ^ w[j - 9] ^ rotate(w[j - 3], 15)
            w.append(x ^ rotate(x, 15) ^ rotate(x, 23) ^ rotate(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = state
        for j in range(64):
            constant = 0x79CC4519 if j < 16 else 0x7A879D8A
            ss1 = rotate((rotate(a, 12) + e + rotate(constant, j)) & mask, 7)
            ff = a ^ b ^ c if j < 16 else a & b | a & c | b & c
            gg = e ^ f ^ g if j < 16 else e & f | ~e & mask & g
            tt1 = (ff + d + (ss1 ^ rotate(a, 12)) + (w[j] ^ w[j + 4])) & mask
            tt2 = (gg + h + ss1 + w[j]) & mask
            a, b, c, d, e, f, g, h = (
                tt1,
                a,
                rotate(b, 9),
                c,
                tt2 ^ rotate(tt2, 9) ^ rotate(tt2, 17),
                e,
                rotate(f, 19),
                g,
            )
        state = [old ^ new for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)]
    return struct.pack(">8I", *state)


def sm3(data: bytes) -> bytes:
    """32 bytes."""
    try:
        return hashlib.new("sm3", data).digest()
    except ValueError:
        return _sm3_words(data)


DIGESTS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {  # by object identifier
    "1.2.156.10197.1.401": ("sm3", sm3),
    "2.16.840.1.101.3.4.2.1": ("sha256", lambda data: hashlib.sha256(data).digest()),
    "2.16.840.1.101.3.4.2.2": ("sha384", lambda data: hashlib.sha384(data).digest()),
    "2.16.840.1.101.3.4.2.3": ("sha512", lambda data: hashlib.sha512(data).digest()),
    "1.3.14.3.2.26": ("sha1", lambda data: hashlib.sha1(data).digest()),
}
BY_NAME = dict(DIGESTS.values())
SIGNATURES = {  # object identifier: kind of key, digest
    "1.2.156.10197.1.501": ("sm2", "sm3"),
    "1.2.840.10045.4.3.2": ("p256", "sha256"),
    "1.2.840.10045.4.3.3": ("p256", "sha384"),
    "1.2.840.10045.4.3.4": ("p256", "sha512"),
    "1.2.840.113549.1.1.11": ("rsa", "sha256"),
    "1.2.840.113549.1.1.12": ("rsa", "sha384"),
    "1.2.840.113549.1.1.13": ("rsa", "sha512"),
    "1.2.840.113549.1.1.5": ("rsa", "sha1"),
}
OWN_DIGEST = {"sm2": "sm3", "p256": "sha256", "rsa": "sha256"}  # what a key of this kind signs vouchers with
SPKI_HEAD = {
    "sm2": bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004"),
    "p256": bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
}


class Curve(NamedTuple):
    p: int
    b: int  # a is p - 3 on both
    n: int
    g: tuple[int, int]


CURVES = {
    "sm2": Curve(
        0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF,
        0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93,
        0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123,
        (
            0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
            0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
        ),
    ),
    "p256": Curve(
        0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        (
            0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
            0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        ),
    ),
}
Jacobian = tuple[int, int, int]


def _double(curve: Curve, point: Jacobian) -> Jacobian:
    x, y, z = point
    p = curve.p
    square = y * y % p
    s, m = 4 * x * square % p, 3 * (x - z * z) * (x + z * z) % p  # a = -3
    x3 = (m * m - 2 * s) % p
    return x3, (m * (s - x3) - 8 * square * square) % p, 2 * y * z % p


def _add(curve: Curve, one: Jacobian, other: Jacobian) -> Jacobian:
    (x1, y1, z1), (x2, y2, z2), p = one, other, curve.p
    if not z1 or not z2:
        return other if not z1 else one
    u1, u2, s1, s2 = x1 * z2 * z2 % p, x2 * z1 * z1 % p, y1 * z2**3 % p, y2 * z1**3 % p
    h, r = (u2 - u1) % p, (s2 - s1) % p
    if not h:
        return (0, 1, 0) if r else _double(curve, one)
    x3 = (r * r - h**3 - 2 * u1 * h * h) % p
    return x3, (r * (u1 * h * h - x3) - s1 * h**3) % p, h * z1 * z2 % p


def _x_of_sum(curve: Curve, u: int, v: int, point: tuple[int, int]) -> int | None:
    """The x of uG + vP, None for the point at infinity. Not constant-time: all of it is public."""
    g, q = (*curve.g, 1), (*point, 1)
    both, result = _add(curve, g, q), (0, 1, 0)
    for bit in range(max(u.bit_length(), v.bit_length()) - 1, -1, -1):
        result = _double(curve, result)
        chosen = (None, g, q, both)[(u >> bit & 1) + 2 * (v >> bit & 1)]
        result = _add(curve, result, chosen) if chosen else result
    x, _y, z = result
    return x * pow(z * z, -1, curve.p) % curve.p if z else None


class PublicKey(NamedTuple):
    """`kind` is sm2, p256 or rsa; `numbers` are x, y or modulus, exponent."""

    kind: str
    numbers: tuple[int, int]
    spki: bytes

    @property
    def weak(self) -> bool:
        return self.kind == "rsa" and self.numbers[0].bit_length() < 2048


def read_key(spki: bytes) -> PublicKey:
    """:raises Refused: for a key on another curve, of another form, or that is no point of its curve."""
    for kind, head in SPKI_HEAD.items():
        if spki.startswith(head) and len(spki) == 91:
            x, y = (int.from_bytes(spki[start : start + 32]) for start in (27, 59))
            curve = CURVES[kind]
            if max(x, y) < curve.p and (y * y - x**3 + 3 * x - curve.b) % curve.p == 0:
                return PublicKey(kind, (x, y), spki)
            raise Refused("FORMAT_FAILURE", "公钥不是曲线上的点。")
    algorithm, key = children(one(spki))
    if dotted(children(algorithm)[0]) != "1.2.840.113549.1.1.1":
        raise Refused("CRYPTO_CONSTRAINTS_FAILURE", "公钥不是 SM2、P-256 或 RSA。", "请用支持该算法的程序验证。", OPEN)
    modulus, exponent = (int.from_bytes(number.value) for number in children(one(bits(key))))
    if modulus.bit_length() < 1024 or modulus.bit_length() > 16384 or not 3 <= exponent < 1 << 64 or exponent % 2 == 0:
        raise Refused("FORMAT_FAILURE", "RSA 公钥不合理。")
    return PublicKey("rsa", (modulus, exponent), spki)


def _numbers(signature: bytes) -> tuple[int, int] | None:
    """r and s of a strict DER value, else None."""
    try:
        pair = children(one(signature))
    except Refused:
        return None
    r, s = (int.from_bytes(number.value, signed=True) for number in pair) if len(pair) == 2 else (0, 0)
    return (r, s) if r > 0 and s > 0 and signature == der_pair(r, s) else None


def der_pair(r: int, s: int) -> bytes:
    """SEQUENCE { r INTEGER, s INTEGER } in DER; both below 2^256."""
    body = b"".join(
        bytes((2, len(number))) + number for number in (n.to_bytes(n.bit_length() // 8 + 1) for n in (r, s))
    )
    return bytes((0x30, len(body))) + body if len(body) < 128 else b""


class _OpenSsl:
    """The few calls of libcrypto that check a signature; nothing if it is missing or fails the standard's example."""

    PROTOTYPES: dict[str, tuple[Any, ...]] = {
        "EVP_get_digestbyname": (ctypes.c_void_p, ctypes.c_char_p),
        "EVP_MD_CTX_new": (ctypes.c_void_p,),
        "EVP_MD_CTX_free": (None, ctypes.c_void_p),
        "EVP_MD_CTX_set_pkey_ctx": (None, ctypes.c_void_p, ctypes.c_void_p),
        "EVP_PKEY_CTX_new": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p),
        "EVP_PKEY_CTX_free": (None, ctypes.c_void_p),
        "EVP_PKEY_CTX_set1_id": (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
        "EVP_PKEY_free": (None, ctypes.c_void_p),
        "EVP_DigestVerifyInit": (ctypes.c_int, *[ctypes.c_void_p] * 5),
        "EVP_DigestVerify": (
            ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
        ),
        "d2i_PUBKEY": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long),
        "ERR_clear_error": (None,),
    }  # fmt: skip

    def __init__(self) -> None:
        self.lib: Any = None
        self.allowed = True
        self._tried = False

    def verify(self, key: PublicKey, digest: str, data: bytes, signature: bytes) -> bool | None:
        """True or False as OpenSSL says, None if it cannot."""
        if not self.allowed or not self._loaded():
            return None
        lib, source = self.lib, ctypes.create_string_buffer(key.spki, len(key.spki))
        native = lib.d2i_PUBKEY(None, ctypes.byref(ctypes.c_void_p(ctypes.addressof(source))), len(key.spki))
        context, operation = lib.EVP_MD_CTX_new(), lib.EVP_PKEY_CTX_new(native, None) if native else None
        try:
            if not operation or (key.kind == "sm2" and lib.EVP_PKEY_CTX_set1_id(operation, USER_ID, len(USER_ID)) != 1):
                return None
            lib.EVP_MD_CTX_set_pkey_ctx(context, operation)
            method = lib.EVP_get_digestbyname(digest.encode())
            if not method or lib.EVP_DigestVerifyInit(context, None, method, None, native) != 1:
                return None
            return bool(lib.EVP_DigestVerify(context, signature, len(signature), data, len(data)) == 1)
        finally:
            lib.EVP_MD_CTX_free(context)
            lib.EVP_PKEY_CTX_free(operation)
            lib.EVP_PKEY_free(native)
            lib.ERR_clear_error()  # Python's ssl shares the queue

    def _loaded(self) -> bool:
        if not self._tried:
            self._tried = True
            for candidate in self._candidates():
                try:
                    self.lib = ctypes.CDLL(candidate)
                    for name, (result, *arguments) in self.PROTOTYPES.items():
                        function = getattr(self.lib, name)
                        function.restype, function.argtypes = result, arguments
                except (OSError, AttributeError):
                    self.lib = None
                    continue
                if self._passes_the_example():
                    break
                self.lib = None
        return self.lib is not None

    def _passes_the_example(self) -> bool:
        """GB/T 32918.5, annex A.2: accepts its signature, and not one of another text."""
        return self.verify(*EXAMPLE) is True and self.verify(*EXAMPLE[:2], b"message digest.", EXAMPLE[3]) is False

    @staticmethod
    def _candidates() -> Iterator[str | None]:
        try:
            import _ssl  # the extension: a symbol looked up in it is searched in the libcrypto it was linked to

            if path := getattr(_ssl, "__file__", None):
                yield path
        except ImportError:
            pass
        yield from (
            None,
            ctypes.util.find_library("crypto"),
            "libcrypto.so.3",
            "libcrypto-3.dll",
            "libcrypto-3-x64.dll",
        )


OPENSSL = _OpenSsl()


def verify_signature(key: PublicKey, digest: str, data: bytes, signature: bytes) -> bool:
    """Whether this key signed `data`. Elliptic signatures must be strict DER; RSA is PKCS#1 v1.5."""
    if key.kind == "rsa":
        return _verify_rsa(key.numbers, digest, data, signature)
    if (key.kind == "sm2") != (digest == "sm3") or (pair := _numbers(signature)) is None:
        return False
    answer = OPENSSL.verify(key, digest, data, signature)
    return _verify_elliptic(key, digest, data, *pair) if answer is None else answer


def _verify_elliptic(key: PublicKey, digest: str, data: bytes, r: int, s: int) -> bool:
    """GB/T 32918.2 §7, FIPS 186-5 §6.4.2."""
    curve, (x, y) = CURVES[key.kind], key.numbers
    if not (0 < r < curve.n and 0 < s < curve.n):
        return False
    if key.kind == "sm2":
        known = (curve.p - 3, curve.b, *curve.g, x, y)
        z = sm3(struct.pack(">H", 8 * len(USER_ID)) + USER_ID + b"".join(number.to_bytes(32) for number in known))
        t = (r + s) % curve.n
        found = _x_of_sum(curve, s, t, (x, y)) if t else None
        return found is not None and (int.from_bytes(sm3(z + data)) + found - r) % curve.n == 0
    e, inverse = int.from_bytes(BY_NAME[digest](data)[:32]), pow(s, -1, curve.n)
    found = _x_of_sum(curve, e * inverse % curve.n, r * inverse % curve.n, (x, y))
    return found is not None and (found - r) % curve.n == 0


def _verify_rsa(numbers: tuple[int, int], digest: str, data: bytes, signature: bytes) -> bool:
    """RFC 8017 §8.2.2: the expected block is rebuilt and compared whole."""
    modulus, exponent = numbers
    length = (modulus.bit_length() + 7) // 8
    names = {name: identifier for identifier, (name, _) in DIGESTS.items()}
    value, algorithm = BY_NAME[digest](data), encode_oid(names[digest])
    info = bytes((0x30, len(algorithm) + 2)) + algorithm + b"\5\0" + bytes((4, len(value))) + value
    info = bytes((0x30, len(info))) + info
    expected = b"\0\1" + b"\xff" * (length - len(info) - 3) + b"\0" + info
    number = int.from_bytes(signature)
    return len(signature) == length and number < modulus and pow(number, exponent, modulus).to_bytes(length) == expected


# 3. DER ------------------------------------------------------------------------------------------------------------


class Node(NamedTuple):
    """One element: tag byte, content, and the bytes as received, over which signatures are checked."""

    tag: int
    value: bytes
    raw: bytes


def nodes(data: bytes) -> list[Node]:
    """:raises Refused: unless `data` is a row of whole elements with definite lengths."""
    found, at = [], 0
    while at < len(data):
        start, head = at, data[at : at + 2]
        if len(head) < 2 or head[0] & 0x1F == 0x1F:
            raise Refused("FORMAT_FAILURE", "DER 结构不完整。")
        length, at = head[1], at + 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                raise Refused("FORMAT_FAILURE", "DER 长度形式不允许。")
            length, at = int.from_bytes(data[at : at + count]), at + count
        if at + length > len(data):
            raise Refused("FORMAT_FAILURE", "DER 元素超出容器。")
        found.append(Node(head[0], data[at : at + length], data[start : at + length]))
        at += length
    return found


def one(data: bytes, tag: int = 0x30) -> Node:
    """The only element of `data`."""
    found = nodes(data)
    if len(found) != 1 or found[0].tag != tag:
        raise Refused("FORMAT_FAILURE", "DER 结构不符，或后面有多余字节。")
    return found[0]


def children(node: Node) -> list[Node]:
    if not node.tag & 0x20:
        raise Refused("FORMAT_FAILURE", "DER 结构不符。")
    return nodes(node.value)


def bits(node: Node) -> bytes:
    """The bytes of a BIT STRING that has whole bytes."""
    if node.tag not in (0x03, 0x80) or node.value[:1] != b"\0":
        raise Refused("FORMAT_FAILURE", "DER 位串不符。")
    return node.value[1:]


def dotted(node: Node) -> str:
    if node.tag != 6 or not node.value or node.value[-1] & 0x80:
        raise Refused("FORMAT_FAILURE", "DER 对象标识符不符。")
    arcs: list[int] = []
    arc = 0
    for byte in node.value:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs, arc = [*arcs, arc], 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def encode_oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    body = b""
    for arc in (40 * first + second, *rest):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.insert(0, arc & 0x7F | 0x80)
        body += bytes(septets)
    return bytes((6, len(body))) + body


def moment(node: Node) -> datetime:
    """UTCTime or GeneralizedTime, aware UTC; fractions are dropped."""
    text = node.value.decode("ascii", "replace")
    if node.tag == 0x17:
        text = ("20" if text[:2] < "50" else "19") + text
    match = re.fullmatch(r"([0-9]{14})(?:\.[0-9]+)?Z", text)
    if node.tag not in (0x17, 0x18) or not match:
        raise Refused("FORMAT_FAILURE", "时间格式不符。")
    try:
        return datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("FORMAT_FAILURE", "时间不存在。") from None


def text_of(node: Node) -> str:
    codecs = {0x1E: "utf-16-be", 0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii", 0x14: "latin-1"}
    return node.value.decode(codecs.get(node.tag, "utf-8"), "replace")


# 4. Certificates and revocation lists ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """What one says, as received; nothing here is verified. `usage` are bit numbers of keyUsage, None if absent."""

    serial: str
    subject: bytes = field(repr=False)
    issuer: bytes = field(repr=False)
    subject_texts: tuple[str, ...]
    issuer_text: str
    start: datetime
    end: datetime
    key: PublicKey = field(repr=False)
    tbs: bytes = field(repr=False)
    algorithm: str
    signature: bytes = field(repr=False)
    der: bytes = field(repr=False)
    authority: bool
    path_length: int | None
    usage: frozenset[int] | None
    purposes: tuple[str, ...] | None
    purposes_critical: bool
    unknown_critical: bool

    @property
    def name(self) -> str:
        return f"{self.subject_texts[-1] if self.subject_texts else '?'}（{self.serial}）"

    @property
    def self_issued(self) -> bool:
        return self.subject == self.issuer

    def signed_by(self, issuer: "Certificate") -> bool:
        return signed_by(self.algorithm, self.tbs, self.signature, issuer.key)


def signed_by(algorithm: str, tbs: bytes, signature: bytes, key: PublicKey) -> bool:
    """The algorithm is bound to the kind of key: a P-256 key never checks an SM2 signature."""
    kind, digest = SIGNATURES.get(algorithm, ("", ""))
    return kind == key.kind and verify_signature(key, digest, tbs, signature)


def canonical_serial(text: str) -> str:
    """Lower-case hexadecimal, whole bytes, no leading zero byte; "" if it is not hexadecimal."""
    if not re.fullmatch(r"[0-9A-Fa-f]{1,64}", text):
        return ""
    return (bytes.fromhex(text.rjust(len(text) + len(text) % 2, "0")).lstrip(b"\0") or b"\0").hex()


def read_certificate(data: bytes) -> Certificate:
    """:raises Refused: unless it is exactly one certificate (DER) with a key we can use."""
    outer = one(data)
    tbs, algorithm, signature = _exactly(children(outer), 3)
    parts = children(tbs)
    if parts and parts[0].tag == 0xA0:
        parts = parts[1:]
    if len(parts) < 6 or parts[1].raw != algorithm.raw:  # the signed and the stated algorithm must be one
        raise Refused("FORMAT_FAILURE", "证书结构不符。")
    serial, _algorithm, issuer, validity, subject, spki, *rest = parts
    start, end = (moment(node) for node in _exactly(children(validity), 2))
    known: dict[str, Any] = {}
    unknown = False
    for name, critical, value in _extensions(rest, 0xA3):
        if name in known:
            raise Refused("FORMAT_FAILURE", "证书扩展重复。")
        known[name] = (value, critical)
        unknown |= critical and name not in ("2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.32")
    constraints = children(one(known["2.5.29.19"][0])) if "2.5.29.19" in known else []
    usage, purposes = known.get("2.5.29.15"), known.get("2.5.29.37")
    flags = one(usage[0], 0x03).value[1:] if usage else b""
    return Certificate(
        serial=canonical_serial(serial.value.hex()),
        subject=subject.raw,
        issuer=issuer.raw,
        subject_texts=_name_texts(subject),
        issuer_text=", ".join(_name_texts(issuer)),
        start=start,
        end=end,
        key=read_key(spki.raw),
        tbs=tbs.raw,
        algorithm=dotted(children(algorithm)[0]),
        signature=bits(signature),
        der=outer.raw,
        authority=any(node.tag == 1 and node.value != b"\0" for node in constraints),
        path_length=next((int.from_bytes(node.value) for node in constraints if node.tag == 2), None),
        usage=frozenset(n for n in range(8 * len(flags)) if flags[n // 8] & 0x80 >> n % 8) if usage else None,
        purposes=tuple(dotted(node) for node in children(one(purposes[0]))) if purposes else None,
        purposes_critical=bool(purposes and purposes[1]),
        unknown_critical=unknown,
    )


def _exactly(found: list[Node], count: int) -> list[Node]:
    if len(found) != count:
        raise Refused("FORMAT_FAILURE", "DER 元素个数不符。")
    return found


def _extensions(parts: Iterable[Node], tag: int) -> Iterator[tuple[str, bool, bytes]]:
    for container in parts:
        if container.tag == tag:
            for extension in children(one(container.value)):
                name, *flag, value = children(extension)
                yield dotted(name), bool(flag) and flag[0].value != b"\0", value.value


def _name_texts(name: Node) -> tuple[str, ...]:
    return tuple(text_of(children(pair)[1]) for names in children(name) for pair in children(names))


def pem_blocks(data: bytes, label: str) -> list[bytes]:
    """The DER contents of a PEM file that holds nothing but such blocks, each in its one spelling."""
    text = data.decode("ascii", "replace").replace("\r\n", "\n")
    pattern = rf"-----BEGIN {label}-----\n([A-Za-z0-9+/=\n]+)\n-----END {label}-----\n?"
    if not re.fullmatch(rf"(?:{pattern})+", text):
        raise Refused("FORMAT_FAILURE", f"不是规范的 PEM（{label}）。")
    return [strict_base64(block.replace("\n", "")) for block in re.findall(pattern, text)]


def strict_base64(text: str) -> bytes:
    """:raises Refused: unless it is the one base64 spelling of its bytes."""
    try:
        value = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Refused("FORMAT_FAILURE", "不是 Base64。") from None
    if base64.b64encode(value).decode() != text:
        raise Refused("FORMAT_FAILURE", "Base64 写法不规范。")
    return value


@dataclass(frozen=True)
class RevocationList:
    """A CRL as received. `revoked` maps serials to instants."""

    file: str
    issuer: bytes
    issued: datetime
    until: datetime | None
    revoked: dict[str, datetime]
    tbs: bytes = field(repr=False)
    algorithm: str = ""
    signature: bytes = field(default=b"", repr=False)


def read_revocation_list(data: bytes, file: str) -> RevocationList:
    if data.startswith(b"-----BEGIN"):
        (data,) = pem_blocks(data, "X509 CRL")
    tbs, algorithm, signature = _exactly(children(one(data)), 3)
    parts = children(tbs)
    if parts[0].tag == 2:
        parts = parts[1:]
    if parts[0].raw != algorithm.raw:
        raise Refused("FORMAT_FAILURE", "吊销列表结构不符。")
    times = [node for node in parts if node.tag in (0x17, 0x18)]
    for name, critical, _value in _extensions(parts, 0xA0):
        if critical or name == "2.5.29.27":  # a delta list, or one for part of the certificates, is not the whole truth
            raise Refused("FORMAT_FAILURE", "吊销列表含不认识的关键扩展，或为增量列表。")
    revoked = {}
    for entry in (entry for node in parts[2:] if node.tag == 0x30 for entry in children(node)):
        serial, at, *_more = children(entry)
        revoked[canonical_serial(serial.value.hex())] = moment(at)
    until = moment(times[1]) if len(times) > 1 else None
    return RevocationList(
        file, parts[1].raw, moment(times[0]), until, revoked, tbs.raw, dotted(children(algorithm)[0]), bits(signature)
    )


DIGITAL_SIGNATURE, NON_REPUDIATION, CERT_SIGN, CRL_SIGN = 0, 1, 5, 6
TIME_STAMPING = "1.3.6.1.5.5.7.3.8"


class Authorities:
    """Whom we believe: the roots given by the user, those the bundle brings, certificates between, revocation lists."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.missing = OPEN  # what a missing issuer means; a bundle must bring every issuer, so there it is a fault
        self.trusted: list[Certificate] = []  # given by the user, the only ones that lead to PASSED
        self.claimed: list[Certificate] = []  # the bundle's own
        self.pool: list[Certificate] = []
        self.makers: list[Certificate] = []
        self.lists: list[RevocationList] = []
        self._chains: dict[bytes, tuple[list[Certificate], Outcome]] = {}

    def by_serial(self, serial: str) -> Certificate | None:
        wanted = canonical_serial(serial)
        return next((certificate for certificate in self.pool if certificate.serial == wanted), None)

    def chain(self, certificate: Certificate) -> tuple[list[Certificate], Outcome]:
        """The way from a certificate to a root, and whether that root is trusted. Dates are left to `judge`."""
        if certificate.der not in self._chains:
            self._chains[certificate.der] = self._build(certificate)
        return self._chains[certificate.der]

    def _build(self, certificate: Certificate) -> tuple[list[Certificate], Outcome]:
        path = [certificate]
        while True:
            last = path[-1]
            if any(last.der == root.der for root in self.trusted):
                return path, Outcome()
            if last.self_issued or len(path) > 5:
                break
            namesakes = [c for c in (*self.trusted, *self.pool, *self.claimed) if c.subject == last.issuer]
            issuer = next((c for c in namesakes if last.signed_by(c)), None)
            if issuer is None and namesakes:
                return path, Outcome(FAILED, "CHAIN_CONSTRAINTS_FAILURE", f"证书 {last.name} 不是所称签发者所签。")
            if issuer is None:
                reason = f"没有 {last.name} 的签发者证书：{last.issuer_text}。"
                return path, Outcome(self.missing, "NO_CERTIFICATE_CHAIN_FOUND", reason)
            below = len(path) - 1
            if not issuer.authority or CERT_SIGN not in (issuer.usage or ()) or issuer.unknown_critical:
                return path, Outcome(FAILED, "CHAIN_CONSTRAINTS_FAILURE", f"{issuer.name} 无权签发证书。")
            if issuer.path_length is not None and below > issuer.path_length:
                return path, Outcome(FAILED, "CHAIN_CONSTRAINTS_FAILURE", f"证书链超过 {issuer.name} 允许的长度。")
            path.append(issuer)
        origin = "只见于被验文件自身" if any(path[-1].der == root.der for root in self.claimed) else "不在信任目录中"
        fingerprint = sm3(path[-1].der).hex()
        reason = f"根证书 {path[-1].name} {origin}，SM3 指纹 {fingerprint}。"
        return path, Outcome(OPEN, "NO_CERTIFICATE_CHAIN_FOUND", reason)

    def judge(
        self, certificate: Certificate, when: datetime, proved: datetime | None = None, purpose: str = ""
    ) -> Outcome:
        """Whether the certificate could sign at `when`.

        `proved` is the earliest trusted instant at which the signature is known to have existed; it is what lets a
        signature outlive the expiry or revocation of its certificate.
        """
        path, outcome = self.chain(certificate)
        found = [outcome, _usage(certificate, purpose)]
        if when > min(proved or self.at, self.at) + CLOCK_SLACK:
            reason = f"所称时间 {stamp(when)} 晚于已证明存在的时间 {stamp(min(proved or self.at, self.at))}。"
            found.append(Outcome(FAILED, "TIMESTAMP_ORDER_FAILURE", reason))
        for position, link in enumerate(path):
            if when < link.start:
                found.append(Outcome(FAILED, "NOT_YET_VALID", f"证书 {link.name} 自 {stamp(link.start)} 起才生效。"))
            elif when > link.end:
                found.append(Outcome(FAILED, "EXPIRED", f"证书 {link.name} 已于 {stamp(link.end)} 到期。"))
            elif self.at > link.end and position == 0 and not (proved and proved <= link.end) and not purpose:
                reason = f"证书 {link.name} 已于 {stamp(link.end)} 到期，没有可信时间证明签名在先。"
                found.append(Outcome(OPEN, "OUT_OF_BOUNDS_NO_POE", reason))
            if position + 1 < len(path):
                found.append(self._revocation(link, path[position + 1], when, proved))
        if certificate.key.weak:
            found.append(Outcome(OPEN, "CRYPTO_CONSTRAINTS_FAILURE_NO_POE", "RSA 密钥短于 2048 位。"))
        return gravest(found)

    def _revocation(self, link: Certificate, issuer: Certificate, when: datetime, proved: datetime | None) -> Outcome:
        lists = [revocations for revocations in self.lists if self.holds(revocations, issuer)]
        dates = [revocations.revoked[link.serial] for revocations in lists if link.serial in revocations.revoked]
        if dates and min(dates) <= when:
            return Outcome(FAILED, "REVOKED", f"证书 {link.name} 已于 {stamp(min(dates))} 吊销，早于签名时间。")
        if dates and not (proved and proved < min(dates)):
            reason = f"证书 {link.name} 已于 {stamp(min(dates))} 吊销，没有可信时间证明签名在先。"
            return Outcome(OPEN, "REVOKED_NO_POE", reason)
        if not any((r.until is None or r.until >= when) and r.issued <= min(self.at, link.end) for r in lists):
            return Outcome(OPEN, "TRY_LATER", f"没有能覆盖 {stamp(when)} 的吊销列表（签发者 {issuer.name}）。")
        return Outcome()

    def holds(self, revocations: RevocationList, issuer: Certificate) -> bool:
        return (
            revocations.issuer == issuer.subject
            and (issuer.usage is None or CRL_SIGN in issuer.usage)
            and signed_by(revocations.algorithm, revocations.tbs, revocations.signature, issuer.key)
        )


def _usage(certificate: Certificate, purpose: str) -> Outcome:
    if certificate.unknown_critical:
        return Outcome(FAILED, "CHAIN_CONSTRAINTS_FAILURE", f"证书 {certificate.name} 含不认识的关键扩展。")
    if purpose == TIME_STAMPING:
        if certificate.purposes != (TIME_STAMPING,) or not certificate.purposes_critical:
            return Outcome(FAILED, "CHAIN_CONSTRAINTS_FAILURE", f"证书 {certificate.name} 不是时间戳证书。")
    elif certificate.purposes == (TIME_STAMPING,):
        return Outcome(FAILED, "SIG_CONSTRAINTS_FAILURE", f"时间戳证书 {certificate.name} 不能用于签名。")
    usage = certificate.usage
    if certificate.authority or usage is None or not usage & {DIGITAL_SIGNATURE, NON_REPUDIATION}:
        return Outcome(FAILED, "SIG_CONSTRAINTS_FAILURE", f"证书 {certificate.name} 不是签名证书。")
    return Outcome()


def gravest(outcomes: Iterable[Outcome]) -> Outcome:
    """The first of the gravest kind; reasons that only remark are kept when all passed."""
    found = list(outcomes)
    worst = max((outcome.state for outcome in found), default=PASSED)
    if worst == PASSED:
        return Outcome(PASSED, "", "".join(outcome.reason for outcome in found))
    return next(outcome for outcome in found if outcome.state == worst)


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text: Any) -> datetime:
    """An instant in its one form, `YYYY-MM-DDTHH:MM:SSZ`."""
    try:
        at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (TypeError, ValueError):
        raise Refused("FORMAT_FAILURE", f"时间格式不符：{str(text)[:40]}。") from None
    if stamp(at) != text:
        raise Refused("FORMAT_FAILURE", f"时间格式不符：{text[:40]}。")
    return at


# 5. Signed messages and time stamps (CMS) --------------------------------------------------------------------------

SIGNED_DATA = ("1.2.840.113549.1.7.2", "1.2.156.10197.6.1.4.2.2")  # RFC 5652, GM/T 0010
PLAIN_KEYS = {"1.2.840.113549.1.1.1": "rsa", "1.2.840.10045.2.1": "p256", "1.2.156.10197.1.301.1": "sm2"}


class Signed(NamedTuple):
    content: bytes
    kind: str  # of the content
    signer: Certificate
    attributes: dict[str, Node]
    embedded: list[Certificate]


def read_cms(data: bytes, detached: bytes | None, pool: Sequence[Certificate]) -> Signed:
    """A SignedData with one signer, mathematically verified; whether the certificate counts is for the caller."""
    name, wrapped = _exactly(children(one(data)), 2)
    if dotted(name) not in SIGNED_DATA:
        raise Refused("FORMAT_FAILURE", "不是 SignedData。")
    version, digests, encapsulated, *optional, infos = children(one(wrapped.value))
    inner = children(encapsulated)
    content = detached if len(inner) == 1 else one(inner[1].value, 0x04).value
    if content is None:
        raise Refused("SIGNED_DATA_NOT_FOUND", "签名数据不含原文。")
    (info,) = _exactly(children(infos), 1)
    own_version, identity, digest_algorithm, *rest = children(info)
    if digests.value != digest_algorithm.raw or version.value not in (b"\1", b"\3") or own_version.value != b"\1":
        raise Refused("FORMAT_FAILURE", "签名数据的版本或摘要算法前后不一。")
    attributes = {}
    if rest[0].tag == 0xA0:
        for attribute in children(rest[0]):
            kind, values = _exactly(children(attribute), 2)
            attributes[dotted(kind)] = children(values)[0]
    algorithm, value = rest[1 if attributes else 0 :][:2]
    digest, digest_of = DIGESTS.get(dotted(children(digest_algorithm)[0]), ("", sm3))
    embedded = _embedded(optional)
    signer = _signer(identity, [*embedded, *pool])
    stated = dotted(children(algorithm)[0])
    needed, digest = SIGNATURES.get(stated, (PLAIN_KEYS.get(stated, ""), digest))
    signed = content
    if attributes:
        stated_digest = attributes.get("1.2.840.113549.1.9.4")
        if stated_digest is None or stated_digest.value != digest_of(content):
            raise Refused("HASH_FAILURE", "内容与签名属性中的摘要不符。")
        signed = b"\x31" + rest[0].raw[1:]  # RFC 5652 §5.4: signed as a SET
    if (
        needed != signer.key.kind
        or digest not in BY_NAME
        or not verify_signature(signer.key, digest, signed, value.value)
    ):
        raise Refused("SIG_CRYPTO_FAILURE", "签名与内容不符。")
    return Signed(content, dotted(inner[0]), signer, attributes, embedded)


def _embedded(optional: Iterable[Node]) -> list[Certificate]:
    return [read_certificate(node.raw) for holder in optional if holder.tag == 0xA0 for node in children(holder)]


def _signer(identity: Node, pool: Iterable[Certificate]) -> Certificate:
    if identity.tag == 0x30:
        issuer, serial = _exactly(children(identity), 2)
        wanted = canonical_serial(serial.value.hex())
        for certificate in pool:
            if certificate.issuer == issuer.raw and certificate.serial == wanted:
                return certificate
    raise Refused("NO_SIGNING_CERTIFICATE_FOUND", "找不到签名者的证书。", state=OPEN)


def read_token(data: bytes, stamped: bytes, store: "Authorities") -> tuple[datetime, Certificate]:
    """The time an RFC 3161 token attests for `stamped`, and who attests it. The response around a token is accepted.

    Certificates in a token lie outside its signature, so each must be genuine by itself.
    """
    parts = children(one(data))
    if parts and parts[0].tag == 0x30 and len(parts) == 2:  # TimeStampResp { status, token }
        data = parts[1].raw
    signed = read_cms(data, None, store.pool)
    kind = signed.attributes.get("1.2.840.113549.1.9.3")
    if kind is None or not dotted(kind) == signed.kind == "1.2.840.113549.1.9.16.1.4":
        raise Refused("FORMAT_FAILURE", "不是时间戳（TSTInfo）。")
    for certificate in signed.embedded:
        if not certificate.self_issued and store.chain(certificate)[1].state == FAILED:
            raise Refused("CHAIN_CONSTRAINTS_FAILURE", f"时间戳所附证书 {certificate.name} 被改动。")
    _check_signing_certificate(signed)
    _version, _policy, imprint, _serial, time, *_optional = children(one(signed.content))
    algorithm, digest = _exactly(children(imprint), 2)
    name = dotted(children(algorithm)[0])
    if name not in DIGESTS or DIGESTS[name][0] == "sha1":
        raise Refused("CRYPTO_CONSTRAINTS_FAILURE", "时间戳的摘要算法不被接受。")
    if DIGESTS[name][1](stamped) != digest.value:
        raise Refused("HASH_FAILURE", "时间戳不是对这一内容所盖。")
    return moment(time), signed.signer


def _check_signing_certificate(signed: Signed) -> None:
    """RFC 5816: the attribute that binds the token to one certificate, not only to a name and serial."""
    v1, v2 = (signed.attributes.get(f"1.2.840.113549.1.9.16.2.{n}") for n in (12, 47))
    attribute = v2 or v1
    if attribute is None:
        raise Refused("FORMAT_FAILURE", "时间戳没有指明所用证书。")
    identity = children(children(children(attribute)[0])[0])
    name = "sha256" if attribute is v2 else "sha1"
    if identity[0].tag == 0x30:
        name = DIGESTS.get(dotted(children(identity[0])[0]), ("sha256", sm3))[0]
        identity = identity[1:]
    if BY_NAME[name](signed.signer.der) != identity[0].value:
        raise Refused("SIG_CONSTRAINTS_FAILURE", "时间戳所指证书不是签它的证书。")


# 6. Seals and stamps (GM/T 0031-2014, GB/T 38540-2020, GM/T 0031-2025) ---------------------------------------------

ROOT_EXTENSION = "2.25.212395711362907450466438128838475126061"


@dataclass(frozen=True)
class Seal:
    """An electronic seal as received; `signed` is what its maker signed. Remarks are deviations that are tolerated."""

    version: int
    es_id: str
    name: str
    holders: tuple[bytes, ...]  # certificates
    holder_digests: tuple[bytes, ...]
    start: datetime
    end: datetime
    maker: bytes = field(repr=False)
    algorithm: str = ""
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)
    remarks: tuple[str, ...] = ()


def read_seal(node: Node) -> Seal:
    """:raises Refused: for anything that has not the layout of one of the three standards."""
    info, *rest = children(node)
    header, es_id, properties, _picture, *more = children(info)
    mark, version, _vendor = _exactly(children(header), 3)
    number = int.from_bytes(version.value)
    if mark.value != b"ES" or version.tag != 2 or not 1 <= number <= 5:
        raise Refused("FORMAT_FAILURE", "不是电子印章（头部标识或版本不符）。")
    remarks = list(_extension_remarks(more))
    if len(rest) == 1:  # 2014: SEQUENCE { cert, algorithm, signature }
        cert, algorithm, signature = _exactly(children(rest[0]), 3)
        body = info.raw + cert.raw + algorithm.raw
        signed = _sequence(body)
    else:
        cert, algorithm, signature, *_stamp = rest
        signed = info.raw
    if (number < 4) != (len(rest) == 1):
        raise Refused("FORMAT_FAILURE", "印章的版本与结构不符。")
    _kind, name, *middle = children(properties)
    listed = int.from_bytes(middle.pop(0).value) if middle[0].tag == 2 else 1
    holders, _created, start, end = _exactly(middle, 4)
    if any(item.tag != (0x04 if listed == 1 else 0x30) for item in children(holders)) or listed not in (1, 2):
        raise Refused("FORMAT_FAILURE", "印章持有人列表与其类型不符。")
    value, raw = _signature_value(signature)
    remarks += ["签名值为 64 字节裸值而非 DER；"] if raw else []
    return Seal(
        version=number,
        es_id=text_of(es_id),
        name=text_of(name),
        holders=tuple(item.value for item in children(holders)) if listed == 1 else (),
        holder_digests=tuple(children(item)[1].value for item in children(holders)) if listed == 2 else (),
        start=moment(start),
        end=moment(end),
        maker=cert.value,
        algorithm=dotted(algorithm),
        signed=signed,
        signature=value,
        remarks=tuple(remarks),
    )


def _sequence(body: bytes) -> bytes:
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return b"\x30" + (bytes((len(body),)) if len(body) < 128 else bytes((0x80 | len(length),)) + length) + body


def _signature_value(node: Node) -> tuple[bytes, bool]:
    value = bits(node)
    if len(value) == 64 and _numbers(value) is None:  # some makers write r and s bare
        return der_pair(int.from_bytes(value[:32]), int.from_bytes(value[32:])), True
    return value, False


def _extension_remarks(containers: Iterable[Node]) -> Iterator[str]:
    for container in containers:
        for extension in children(container):
            name, *flag, _value = children(extension)
            if flag and flag[0].value == b"\0":
                yield "扩展写明了缺省值 FALSE；"
            elif flag:
                yield f"含关键扩展 {dotted(name)}；"


@dataclass(frozen=True)
class Stamp:
    """One SES_Signature as received. `witness` is the evidence root it carries, if any."""

    version: int
    seal: Seal
    at: datetime | None
    data_hash: bytes
    property_info: str
    signer: bytes = field(repr=False)
    algorithm: str = ""
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)
    token: bytes | None = field(default=None, repr=False)
    witness: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()


def read_stamp(data: bytes) -> Stamp:
    """:raises Refused: for anything but exactly one SES_Signature of version 1, 4 or 5."""
    body, *rest = children(one(data))
    version, seal_node, time, data_hash, info, *more = children(body)
    seal, remarks = read_seal(seal_node), []
    token = None
    if len(rest) == 1:  # 2014: certificate and algorithm lie inside
        cert, algorithm = _exactly(more, 2)
        signature, extensions = rest[0], []
        content = bits(time)
        at = moment(Node(0x18, content, content)) if re.fullmatch(rb"[0-9]{14}Z", content) else None
    else:
        cert, algorithm, signature, *stamps = rest
        extensions, at = [node for node in more if node.tag == 0xA0], moment(time)
        if len(extensions) != len(more) or any(node.tag != 0xA0 for node in stamps):
            raise Refused("FORMAT_FAILURE", "签章结构不符。")
        token = bits(one(stamps[0].value, 0x03)) if stamps else None
    number = int.from_bytes(version.value)
    if (number < 4) != (len(rest) == 1) or number != seal.version:
        raise Refused("FORMAT_FAILURE", "签章、印章的版本与结构不符。")
    witness = None
    for name, critical, value in _extensions(extensions, 0xA0):
        if name == ROOT_EXTENSION:
            witness = loads(one(value, 0x0C).value.decode("utf-8", "replace"), "签章扩展", canonical=True)
        elif critical:
            remarks.append(f"签章含关键扩展 {name}；")
    value, raw = _signature_value(signature)
    remarks += ["签名值为 64 字节裸值而非 DER；"] if raw else []
    return Stamp(
        number, seal, at, bits(data_hash), text_of(info), cert.value, dotted(algorithm), body.raw, value, token,
        witness, (*seal.remarks, *remarks),
    )  # fmt: skip


def check_seal(seal: Seal, store: Authorities, when: datetime, holders_side: set[str], *, used: bool = True) -> Outcome:
    """The maker's signature, his certificate and admission, and the seal's own dates.

    In versions 4 and 5 the maker's certificate is not covered by his signature: that the mathematics holds proves
    nothing until the certificate leads to a trusted root and its holder is a seal maker, not whoever uses the seal.
    """
    maker = read_certificate(seal.maker)
    if not signed_by(seal.algorithm, seal.signed, seal.signature, maker.key):
        return Outcome(FAILED, "SIG_CRYPTO_FAILURE", f"印章 {seal.es_id} 不是其制章人证书所签，或被改动。")
    found = [store.judge(maker, max(maker.start, min(when, maker.end)), when)]
    if store.makers and not any(maker.der == admitted.der for admitted in store.makers):
        found.append(Outcome(FAILED, "CHAIN_CONSTRAINTS_FAILURE", f"{maker.name} 不在准入的制章人之列。"))
    elif maker.serial in holders_side or maker.der in seal.holders:
        found.append(Outcome(FAILED, "CHAIN_CONSTRAINTS_FAILURE", f"印章由用章方自己制作（{maker.name}）。"))
    if not seal.start <= when <= seal.end:
        reason = f"印章有效期 {stamp(seal.start)} 至 {stamp(seal.end)}，{stamp(when)} 不在其中。"
        sub = "EXPIRED" if when > seal.end else "NOT_YET_VALID"
        found.append(Outcome(FAILED, sub, reason) if used else Outcome(OPEN, "OUT_OF_BOUNDS_NO_POE", reason))
    return gravest([*found, Outcome(reason="".join(f"（容许的偏差：{remark}）" for remark in seal.remarks))])


def check_stamp(
    found: Stamp,
    store: Authorities,
    text: bytes | None,
    binding: str | None,
    proved: datetime | None,
    when: datetime,
) -> Outcome:
    """The use of the seal: signer, holder list, signature, what it covers. `check_seal` judges the seal itself."""
    signer = read_certificate(found.signer)
    digest = BY_NAME[OWN_DIGEST[signer.key.kind]]
    if not signed_by(found.algorithm, found.signed, found.signature, signer.key):
        return Outcome(FAILED, "SIG_CRYPTO_FAILURE", "签章与其签名值不符。")
    if not any(found.data_hash):
        return Outcome(FAILED, "SIGNED_DATA_NOT_FOUND", "签章的 dataHash 全为零：没有覆盖任何内容。", "不要采信。")
    outcomes = []
    if signer.der not in found.seal.holders and not any(
        calculate(signer.der) in found.seal.holder_digests for calculate in (digest, sm3)
    ):
        outcomes.append(Outcome(FAILED, "SIG_CONSTRAINTS_FAILURE", f"签章人 {signer.name} 不在印章的持有人列表中。"))
    if text is None:
        outcomes.append(Outcome(OPEN, "SIGNED_DATA_NOT_FOUND", "只有签章，没有被盖章的原文。"))
    elif digest(text) != found.data_hash:
        outcomes.append(Outcome(FAILED, "HASH_FAILURE", "签章不是盖在这份原文上，或原文被改动。"))
    if binding is not None and found.property_info != binding:
        reason = f"签章所指位置 {found.property_info[:80]} 与凭证 {binding} 不符。"
        outcomes.append(Outcome(FAILED, "SIG_CONSTRAINTS_FAILURE", reason))
    if found.token is not None:
        at, authority = read_token(found.token, found.signature, store)
        outcomes.append(store.judge(authority, at, purpose=TIME_STAMPING))
        if at < when - CLOCK_SLACK:
            outcomes.append(Outcome(FAILED, "TIMESTAMP_ORDER_FAILURE", "签章的时间戳早于签章时间。"))
        proved = min(at, proved) if proved else at
    outcomes.append(store.judge(signer, when, proved))
    return gravest([*outcomes, Outcome(reason="".join(f"（容许的偏差：{remark}）" for remark in found.remarks))])


# 7. JSON and XML: one reading or none ------------------------------------------------------------------------------


def loads(text: str | bytes, what: str, *, canonical: bool = False) -> Any:
    """:raises Refused: for a name twice, a float, anything but JSON, or (if asked) another spelling than ours."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name twice")
        return dict(pairs)

    def no_float(text: str) -> Any:
        raise ValueError(f"a float {text}")

    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(text, object_pairs_hook=unique, parse_float=no_float, parse_constant=no_float)
        if canonical and canonical_json(value) != text:
            raise ValueError("not canonical")
        return value
    except (ValueError, RecursionError) as error:
        raise Refused("FORMAT_FAILURE", f"{what} 不是规范的 JSON（{str(error)[:80]}）。") from None


def canonical_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def row_of(value: Any, what: str, /, **kinds: Any) -> dict[str, Any]:
    """An object with exactly these names, each of the type given.

    :raises Refused: naming what is missing, too much or of another type.
    """
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        names = sorted(set(value) ^ set(kinds)) if isinstance(value, dict) else ["?"]
        raise Refused("FORMAT_FAILURE", f"{what} 的字段不符：{'、'.join(names)[:120]}。")
    for name, kind in kinds.items():
        if not isinstance(value[name], kind) or isinstance(value[name], bool):
            raise Refused("FORMAT_FAILURE", f"{what} 的 {name} 类型不符。")
    return value


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def only(self, tag: str) -> "Element | None":
        found = [child for child in self.children if child.tag == tag]
        if len(found) > 1:
            raise Refused("FORMAT_FAILURE", f"元素 {tag} 重复。")
        return found[0] if found else None

    def leaf(self, tag: str) -> str:
        found = self.only(tag)
        if found is None or found.children:
            raise Refused("FORMAT_FAILURE", f"缺少元素 {tag}。")
        return found.text


DECLARATION = re.compile(
    rb"(?:\xef\xbb\xbf)?<\?xml\s+version=[\"']1\.0[\"']\s+encoding=[\"']([A-Za-z0-9._-]{1,40})[\"']"
    rb"(?:\s+standalone=[\"'](?:yes|no)[\"'])?\s*\?>"
)
ENTITY = re.compile(r"&(?!(?:lt|gt|amp|apos|quot|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")


def read_xml(data: bytes) -> Element:
    """A document of elements, attributes and text; whatever two parsers could read differently is refused unparsed.

    The bytes are decoded here, strictly, by the declared encoding, and expat is given UTF-8.
    """
    declaration = DECLARATION.match(data)
    label = declaration[1].decode().lower() if declaration else ""
    if declaration is None or label not in ("gbk", "gb18030", "utf-8"):
        raise Refused("FORMAT_FAILURE", "XML 开头没有带编码（GBK、GB18030、UTF-8）的声明。")
    try:
        text = data[declaration.end() :].decode(label)
    except UnicodeDecodeError:
        raise Refused("FORMAT_FAILURE", f"字节与声明的编码 {label} 不一致。") from None
    if (data[:1] == b"\xef" and label != "utf-8") or "<!" in text or "<?" in text or ENTITY.search(text):
        raise Refused("FORMAT_FAILURE", "XML 含 DOCTYPE、实体、注释、CDATA 或处理指令。")
    stack: list[Element] = [Element("", {})]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > 30 or ":" in tag or any(":" in name or name == "xmlns" for name in attributes):
            raise Refused("FORMAT_FAILURE", "XML 嵌套过深或含命名空间。")
        stack[-1].children.append(Element(tag, attributes))
        stack.append(stack[-1].children[-1])

    def end(_tag: str) -> None:
        element = stack.pop()
        element.text = "".join(pieces.pop(len(stack), []))
        if element.children and element.text.strip(" \t\r\n"):
            raise Refused("FORMAT_FAILURE", f"元素 {element.tag} 中文字与元素混排。")

    pieces: dict[int, list[str]] = {}
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = lambda text: pieces.setdefault(len(stack) - 1, []).append(text)
    try:
        parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        raise Refused("FORMAT_FAILURE", f"XML 格式不正确（{error}）。") from None
    return stack[0].children[0]


IDENTITY = {"adm_div_code": "AdmDivCode", "fiscal_year": "StYear", "voucher_type": "VtCode", "voucher_no": "VoucherNo"}


def read_content(text: bytes) -> Element:
    """The inner document of a voucher's base64 text."""
    root = read_xml(strict_base64(text.decode("ascii", "replace").removesuffix("\n")))
    if root.tag != "Voucher":
        raise Refused("FORMAT_FAILURE", "原文的根元素不是 Voucher。")
    return root


def check_identity(content: Element, claimed: dict[str, Any], where: str) -> None:
    """What is said outside must be what is signed, or a payment could be sent again under another number."""
    for name, tag in IDENTITY.items():
        if content.leaf(tag) != str(claimed[name]):
            reason = f"{tag} 在原文中是 {content.leaf(tag)[:40]}，{where} 写的是 {str(claimed[name])[:40]}。"
            raise Refused("SIG_CONSTRAINTS_FAILURE", reason, "外面的标识没有签名保护，以原文为准；不要采信。")


# 8. Zip: exactly the files it says, and not a byte more ------------------------------------------------------------


def read_zip(data: bytes) -> dict[str, bytes]:
    """Every entry by name. Python's zipfile forgives too much to be asked.

    :raises Refused: naming the entry, for anything a plain archive of plain files would not have.
    """
    tail = data.rfind(b"PK\5\6")
    if tail < 0 or len(data) - tail < 22:
        raise _zip_refused("压缩包", "没有目录，可能被截断")
    *disks, count, total, size, offset, comment = struct.unpack("<4H2LH", data[tail + 4 : tail + 22])
    if len(data) != tail + 22:
        raise _zip_refused("压缩包", "带有注释" if len(data) == tail + 22 + comment else "末尾有多余数据")
    if comment or any(disks) or count != total or offset + size != tail:
        raise _zip_refused("压缩包", "前面或中间夹有多余数据，或分卷")
    if count > MAX_ENTRIES:
        raise _zip_refused("压缩包", f"文件超过 {MAX_ENTRIES} 个")
    files: dict[str, bytes] = {}
    seen: set[str] = set()
    at, cursor, unpacked = offset, 0, 0
    for _ in range(count):
        head = data[at : at + 46]
        if len(head) < 46 or head[:4] != b"PK\1\2":
            raise _zip_refused("压缩包", "目录损坏")
        flags, method, _time, _date, crc, packed, plain, n, extra, note, disk = struct.unpack("<4H3L4H", head[8:36])
        mode, where = struct.unpack("<LL", head[38:46])
        name = _zip_name(data[at + 46 : at + 46 + n], flags)
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            raise _zip_refused(name, "重名" if name in files else "与另一文件仅大小写不同")
        seen.add(folded)
        unpacked += plain
        if flags & ~0x080E or flags & 1:
            raise _zip_refused(name, "已加密" if flags & 1 else "压缩标志不允许")
        special = stat.S_IFMT(mode >> 16) not in (0, stat.S_IFREG)
        if method not in (0, 8) or extra or note or disk or special:
            raise _zip_refused(name, "是链接或特殊文件" if special else "压缩方法不认识或含附加数据")
        if unpacked > MAX_UNPACKED or (plain > MEBIBYTE and plain > MAX_RATIO * max(packed, 1)):
            raise _zip_refused(name, "解压后过大（疑为压缩炸弹）")
        files[name], cursor = _zip_entry(data, name, where, cursor, head, (flags, crc, packed, plain), offset)
        at += 46 + n
    if at != tail or cursor != offset:
        raise _zip_refused("压缩包", "文件之间夹有多余数据")
    return files


def _zip_entry(
    data: bytes, name: str, where: int, cursor: int, head: bytes, sizes: tuple[int, int, int, int], limit: int
) -> tuple[bytes, int]:
    flags, crc, packed, plain = sizes
    local = data[where : where + 30]
    if where != cursor or len(local) < 30 or local[:4] != b"PK\3\4":
        raise _zip_refused(name, "位置与目录不符，或文件重叠、夹有多余数据")
    n, extra = struct.unpack("<HH", local[26:30])
    start = where + 30 + n
    stated = struct.unpack("<3L", local[14:26])
    streamed = bool(flags & 8)
    if local[6:10] != head[8:12] or data[where + 30 : start] != name.encode() or extra:
        raise _zip_refused(name, "文件头与目录不符")
    if stated != (crc, packed, plain) and not (streamed and stated == (0, 0, 0)):
        raise _zip_refused(name, "文件头与目录的大小不符")
    end, raw = start + packed, data[start : start + packed]
    if end > limit:
        raise _zip_refused(name, "被截断")
    if head[10:12] == b"\0\0":
        content = raw
    else:
        unpack = zlib.decompressobj(-15)
        try:
            content = unpack.decompress(raw, plain + 1)
        except zlib.error:
            raise _zip_refused(name, "压缩数据损坏") from None
        if not unpack.eof or unpack.unused_data or unpack.unconsumed_tail:
            raise _zip_refused(name, "压缩数据损坏，或解压后比声明的大")
    if len(content) != plain or zlib.crc32(content) != crc:
        raise _zip_refused(name, "大小或校验和不符")
    if streamed:
        descriptor = struct.pack("<3L", crc, packed, plain)
        end += 16 if data[end : end + 16] == b"PK\7\10" + descriptor else 12
        if data[end - 12 : end] != descriptor:
            raise _zip_refused(name, "文件尾与目录不符")
    return content, end


def _zip_name(raw: bytes, flags: int) -> str:
    try:
        name = raw.decode("utf-8" if flags & 0x800 else "ascii")
    except UnicodeDecodeError:
        raise _zip_refused(repr(raw)[:60], "文件名编码不符") from None
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in name or ":" in name or not name.isprintable():
        raise _zip_refused(name, "路径不允许（上级目录、绝对路径、空目录或特殊字符）")
    return name


def _zip_refused(name: str, reason: str) -> Refused:
    return Refused("FORMAT_FAILURE", f"{name}：{reason}。")


# 9. Merkle trees (RFC 6962 §2.1 with SM3) --------------------------------------------------------------------------


def leaf_hash(data: bytes) -> bytes:
    return sm3(b"\0" + data)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sm3(b"\1" + left + right)


def root_of(level: Sequence[bytes]) -> bytes:
    if not level:
        return sm3(b"")
    while len(level) > 1:
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = [*pairs, *level[2 * len(pairs) :]]
    return level[0]


def roots_at(leaves: Sequence[bytes], sizes: set[int]) -> dict[int, str]:
    """The roots over the first `size` leaves for each of these sizes, in one pass."""
    found = {0: root_of([]).hex()}
    peaks: list[bytes] = []
    for size, node in enumerate(leaves, 1):
        rest = size
        while rest % 2 == 0:
            node, rest = node_hash(peaks.pop(), node), rest // 2
        peaks.append(node)
        if size in sizes:
            root = peaks[-1]
            for left in reversed(peaks[:-1]):
                root = node_hash(left, root)
            found[size] = root.hex()
    return found


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root an inclusion proof leads to, None if it has not the length it must have."""
    if not 0 <= index < size:
        return None
    rest, last = list(path), size - 1
    while last:
        if index & 1 or index < last:
            if not rest:
                return None
            other = rest.pop(0)
            leaf = node_hash(other, leaf) if index & 1 else node_hash(leaf, other)
        index, last = index >> 1, last >> 1
    return None if rest else leaf


def hashes(values: Any) -> list[bytes]:
    if not isinstance(values, list) or not all(isinstance(v, str) and re.fullmatch("[0-9a-f]{64}", v) for v in values):
        raise Refused("FORMAT_FAILURE", "Merkle 路径格式不符。")
    return [bytes.fromhex(value) for value in values]


# 10. The evidence log ----------------------------------------------------------------------------------------------


@dataclass
class Log:
    """One stream after verification. `roots` maps sizes to signed roots, `proved` sizes to trusted times."""

    stream: str
    file: str
    whole: bool
    leaves: list[bytes] = field(default_factory=list)
    roots: dict[int, str] = field(default_factory=dict)
    proved: dict[int, datetime] = field(default_factory=dict)
    signers: set[str] = field(default_factory=set)
    computed: dict[int, str] = field(default_factory=dict)

    def root_at(self, size: int) -> str | None:
        """The root over the first `size` entries, None where that cannot be told."""
        if self.whole and size <= len(self.leaves) and size not in self.computed:
            self.computed |= roots_at(self.leaves, {size})
        return self.computed.get(size) if self.whole else self.roots.get(size)


class Fact(NamedTuple):
    """What one verified entry says: its payload, and where it stands."""

    payload: dict[str, Any]
    place: str


# 11. A bundle ------------------------------------------------------------------------------------------------------

LAYOUT = re.compile(
    r"manifest\.json|parties\.json|verify\.py|README\.txt"
    r"|vouchers/(?P<voucher>[0-9]{4}-[0-9A-Za-z_-]{1,42})/(?:voucher|receipt-[0-9]{1,4})\.(?:txt|json)"
    r"|vouchers/[0-9]{4}-[0-9A-Za-z_-]{1,42}/approvals\.json"
    r"|log/(?P<log>(?:system|[0-9]{1,12})-[0-9]{1,4})/(?:entries|proofs|roots)\.jsonl"
    r"|(?:certificates|trust)/[^/]+\.pem|crls/[^/]+\.crl"
)


def _fields(texts: str, numbers: str = "", lists: str = "", maybe: bool = False) -> dict[str, Any]:
    """The names of an object with the type each must have; with `maybe` null is as good."""
    kinds = ((str, texts), (int, numbers), (list, lists))
    return {name: (kind, type(None)) if maybe else kind for kind, names in kinds for name in names.split()}


VOUCHER_NAMES = _fields(
    "adm_div_code voucher_type voucher_no sender receiver digest sealed_at state", "fiscal_year", "signatures stamps"
)
APPROVAL_NAMES = _fields("post decision person_id person at content_digest", "ordinal revision")
SIGNED_NAMES = _fields("statement item signature certificate_serial", "index", "path", maybe=True)
ITEM_NAMES = _fields("amount digest document_id document_no former payee", "revision")
STATEMENT_NAMES = _fields(
    "action adm_div_code certificate_sm3 expires_at issued_at nonce note officer origin person_id post root sum",
    "count v",
)
ENTRY_NAMES = _fields("at kind payload_sm3 prev stream subject", "seq")
LONGEST_STATEMENT = timedelta(minutes=5)


class Bundle:
    """The files of one export, verified in an order in which each step can lean on the one before."""

    def __init__(self, files: dict[str, bytes], store: Authorities, report: Report) -> None:
        self.files, self.store, self.report = files, store, report
        store.missing = FAILED if files else OPEN
        self.parties: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, Log] = {}
        self.receivers: dict[str, set[str]] = {}  # by region: whom its vouchers are sent to
        self.facts: dict[str, list[Fact]] = {}
        self.proofs: dict[str, datetime] = {}  # long strings found in proved payloads: since when they exist

    def verify(self) -> None:
        self.manifest()
        self.certificates()
        self.guarded("parties", "名册", "parties.json", self.read_parties)
        for name in sorted({match["log"] for match in map(LAYOUT.fullmatch, self.files) if match and match["log"]}):
            self.guarded("log", name, f"log/{name}/entries.jsonl", partial(self.log, name))
        names = sorted({match["voucher"] for match in map(LAYOUT.fullmatch, self.files) if match and match["voucher"]})
        for name in names:
            self.guarded("voucher", name, f"vouchers/{name}/voucher.json", partial(self.voucher_folder, name))
        for log in self.logs.values():
            self.root_signers(log)
        if not names and not self.logs:
            self.report.add("bundle", "内容", Outcome(OPEN, "SIGNED_DATA_NOT_FOUND", "包里没有凭证，也没有日志。"))

    def guarded(
        self, kind: str, name: str, file: str, step: Callable[[], Outcome | None], row: int | None = None,
        missing: int = OPEN,
    ) -> Outcome | None:  # fmt: skip
        """Run one step; whatever it cannot read becomes a finding that names the file."""
        try:
            outcome = step()
        except Refused as refused:
            outcome = refused.outcome._replace(state=max(refused.outcome.state, missing))
        except (
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            OverflowError,
            RecursionError,
        ) as error:  # hostile structure
            outcome = Outcome(FAILED, "FORMAT_FAILURE", f"无法读懂（{type(error).__name__}）。")
        return outcome if outcome is None else self.report.add(kind, name, outcome, file=file, row=row)

    def json(self, path: str) -> Any:
        if path not in self.files:
            raise Refused("FORMAT_FAILURE", f"缺少文件 {path}。")
        return loads(self.files[path], path)

    def rows(self, path: str) -> list[Any]:
        lines = self.files.get(path, b"").decode("utf-8", "replace").split("\n")
        if lines.pop():
            raise Refused("FORMAT_FAILURE", f"{path} 最后一行不完整。")
        return [loads(line, f"{path} 第 {number} 行") for number, line in enumerate(lines, 1)]

    # Files and certificates

    def manifest(self) -> None:
        """Every file is listed with its digest, every listed file is there, and nothing else is."""

        def read() -> Outcome:
            listed = row_of(self.json("manifest.json"), "manifest.json", format=str, made_at=str, files=list)
            if listed["format"] != "guoku-bundle/1":
                raise Refused("FORMAT_FAILURE", f"不认识的格式 {listed['format'][:40]}。", "请用较新的验证程序。")
            if instant(listed["made_at"]) > self.store.at + CLOCK_SLACK:
                raise Refused("TIMESTAMP_ORDER_FAILURE", "导出时间晚于验证时间。")
            expected = {}
            for item in listed["files"]:
                row_of(item, "manifest.json 的文件", path=str, sm3=str, size=int)
                if item["path"] in expected or item["path"] == "manifest.json":
                    raise Refused("FORMAT_FAILURE", f"manifest.json 重复列出 {item['path'][:80]}。")
                expected[item["path"]] = (item["sm3"], item["size"])
            for path in sorted(expected.keys() | self.files.keys() - {"manifest.json"}):
                self._file(path, expected.get(path))
            return Outcome(reason=f"列出 {len(expected)} 个文件。")

        self.guarded("bundle", "文件清单", "manifest.json", read)

    def _file(self, path: str, expected: tuple[str, int] | None) -> None:
        problem = ""
        if path not in self.files:
            problem = "清单列出，但包里没有"
        elif expected is None:
            problem = "包里有，但清单没有列出"
        elif (sm3(self.files[path]).hex(), len(self.files[path])) != expected:
            problem = "与清单上的 SM3 或大小不符：文件被改动"
        elif not LAYOUT.fullmatch(path):
            problem = "不属于国库凭证包的文件"
        if problem:
            sub = "HASH_FAILURE" if "SM3" in problem else "FORMAT_FAILURE"
            self.report.add("file", path, Outcome(FAILED, sub, f"{path}：{problem}。"), file=path)

    def certificates(self) -> None:
        """Read certificates, roots and revocation lists; each must be what its issuer signed."""
        read: list[tuple[str, Certificate]] = []
        for path in sorted(self.files):
            folder = path.partition("/")[0]
            if folder in ("certificates", "trust"):

                def step(path: str = path, folder: str = folder) -> None:
                    blocks = pem_blocks(self.files[path], "CERTIFICATE")
                    if len(blocks) != 1:
                        raise Refused("FORMAT_FAILURE", "一个文件里应恰有一张证书。")
                    certificate = read_certificate(blocks[0])
                    twin = next(
                        (c for _, c in read if c.serial == certificate.serial and c.der != certificate.der), None
                    )
                    if twin:
                        raise Refused("FORMAT_FAILURE", f"与另一张证书序列号相同：{certificate.serial}。")
                    read.append((path, certificate))
                    (self.store.pool if folder == "certificates" else self.store.claimed).append(certificate)

                self.guarded("certificate", path, path, step, missing=FAILED)
            elif folder == "crls":
                self.guarded("crl", path, path, partial(self._list, path))
        for path, certificate in read:
            self.report.add("certificate", certificate.name, self._certificate(path, certificate), file=path)
        issuers = [*self.store.trusted, *self.store.claimed, *self.store.pool]
        for revocations in self.store.lists:
            if revocations.file in self.files:
                held = any(self.store.holds(revocations, issuer) for issuer in issuers)
                problem = Outcome(FAILED, "SIG_CRYPTO_FAILURE", "吊销列表不是任何一个发证机构所签，或被改动。")
                self.report.add("crl", revocations.file, Outcome() if held else problem, file=revocations.file)

    def _list(self, path: str) -> None:
        self.store.lists.append(read_revocation_list(self.files[path], path))

    def _certificate(self, path: str, certificate: Certificate) -> Outcome:
        if path.startswith("trust/"):
            if not certificate.signed_by(certificate):
                return Outcome(FAILED, "SIG_CRYPTO_FAILURE", "根证书的自签名不符：被改动。")
            return Outcome(reason=f"导出方信任的根，SM3 指纹 {sm3(certificate.der).hex()}。")
        return self.store.chain(certificate)[1]

    def read_parties(self) -> Outcome:
        parties = self.json("parties.json")
        if not isinstance(parties, dict):
            raise Refused("FORMAT_FAILURE", "parties.json 不是对象。")
        held: dict[str, str] = {}
        for party, entry in parties.items():
            row_of(entry, f"名册 {party[:60]}", name=str, serials=list)
            for serial in entry["serials"]:
                certificate = self.store.by_serial(serial) if isinstance(serial, str) else None
                if certificate is None or serial != certificate.serial:
                    raise Refused("FORMAT_FAILURE", f"名册中 {entry['name']} 的证书 {str(serial)[:64]} 不在包里。")
                if not entry["name"] or not any(entry["name"] in text for text in certificate.subject_texts):
                    reason = f"名册写的是 {entry['name']}，证书 {certificate.name} 的主体不是。"
                    raise Refused("SIG_CONSTRAINTS_FAILURE", reason)
                if held.setdefault(certificate.serial, party) != party:
                    raise Refused("SIG_CONSTRAINTS_FAILURE", f"证书 {certificate.serial} 在名册中属于两方。")
        self.parties = parties
        return Outcome(reason=f"{len(parties)} 方。")

    def serials(self, party: str) -> set[str]:
        return {canonical_serial(serial) for serial in self.parties.get(party, {}).get("serials", [])}

    def name_of(self, party: str) -> str:
        return str(self.parties.get(party, {}).get("name", party))

    # The log

    def log(self, name: str) -> Outcome | None:
        folder, stream = f"log/{name}", name.replace("-", "/", 1)
        log = Log(stream, f"{folder}/entries.jsonl", whole=f"{folder}/proofs.jsonl" not in self.files)
        entries = self._entries(log)
        self._roots(log, f"{folder}/roots.jsonl")
        covered = self._coverage(log, entries, f"{folder}/proofs.jsonl")
        for row, entry, payload in entries:
            rooted, proved = covered.get(row, (False, None))
            outcome = GOOD
            if proved is None:
                reason = "所在的根都没有可信时间戳。" if rooted else "尚未签入任何根：不能排除事后改写。"
                outcome = Outcome(OPEN, "NO_POE", reason)
            self.report.add("entry", f"{stream} #{entry['seq']}", outcome, file=log.file, row=row)
            if isinstance(payload, dict):
                self._remember(Fact(payload, f"日志 {stream} #{entry['seq']}（第 {row} 行）"), proved)
        self.logs[stream] = log
        kind = "全部" if log.whole else "摘录"
        return Outcome(reason=f"{kind} {len(entries)} 条，{len(log.roots)} 个根。")

    def _remember(self, fact: Fact, proved: datetime | None) -> None:
        """Find a fact again by what it is about, and each long value by the time since when it is proved to exist."""
        item = re.search('"digest":"([0-9a-f]{64})"', str(fact.payload.get("item")))
        names = ("digest", "signature_sm3", "document_id", "content_digest")
        for key in {fact.payload.get(name) for name in names} | ({item[1]} if item else set()):
            self.facts.setdefault(str(key), []).append(fact)
        for value in fact.payload.values():
            if proved and isinstance(value, str) and len(value) >= 64:
                self.proofs[value] = min(proved, self.proofs.get(value, proved))

    def _entries(self, log: Log) -> list[tuple[int, dict[str, Any], Any]]:
        entries: list[tuple[int, dict[str, Any], Any]] = []
        previous: tuple[int, str] = (0, "")
        for row, line in enumerate(self.rows(log.file), 1):

            def step(row: int = row, line: Any = line) -> None:
                nonlocal previous
                row_of(line, "日志行", entry=str, payload=str)
                entry = row_of(loads(line["entry"], "日志条目", canonical=True), "日志条目", **ENTRY_NAMES)
                digest = leaf_hash(line["entry"].encode())
                former, previous = previous, (entry["seq"], digest.hex())
                log.leaves.append(digest)
                instant(entry["at"])
                if entry["stream"] != log.stream:
                    raise Refused("FORMAT_FAILURE", f"条目属于另一条日志 {entry['stream'][:40]}。")
                if entry["seq"] <= former[0] or (log.whole and entry["seq"] != former[0] + 1):
                    raise Refused("FORMAT_FAILURE", f"序号 {entry['seq']} 前面缺少条目，或次序不对。")
                if entry["seq"] == former[0] + 1 and entry["prev"] != former[1]:
                    raise Refused("HASH_FAILURE", f"条目 {entry['seq']} 与前一条接不上：其中一条被改动。")
                if sm3(line["payload"].encode()).hex() != entry["payload_sm3"]:
                    raise Refused("HASH_FAILURE", f"条目 {entry['seq']} 的事实内容被改动。")
                entries.append((row, entry, loads(line["payload"], "日志事实", canonical=True)))

            outcome = self.guarded("entry", f"{log.stream} 第 {row} 行", log.file, step, row=row)
            if outcome is not None and len(log.leaves) < row:
                log.leaves.append(leaf_hash(b""))  # keeps the places of the others; the roots will not match
        return entries

    def _roots(self, log: Log, path: str) -> None:
        """Signed roots with their time stamps; sizes and times may only grow."""
        if path not in self.files:
            self.report.add("root", log.stream, Outcome(FAILED, "FORMAT_FAILURE", f"缺少文件 {path}。"), file=path)
            return
        former = (0, "")
        rows = self.rows(path)
        sizes = {int(size) for size in re.findall(rb'\\"size\\":(\d{1,12})', self.files[path])}
        log.computed = roots_at(log.leaves, sizes) if log.whole else {}
        for row, line in enumerate(rows, 1):

            def step(row: int = row, line: Any = line) -> Outcome:
                nonlocal former
                row_of(line, "根", text=str, signature=str, certificate_serial=str, token=(str, type(None)))
                text = line["text"].removeprefix("GUOKU-ROOT-V1\0")
                root = row_of(loads(text, "根文本", canonical=True), "根文本", at=str, root=str, size=int, stream=str)
                signed, at, size = b"GUOKU-ROOT-V1\0" + text.encode(), instant(root["at"]), root["size"]
                if root["stream"] != log.stream:
                    raise Refused("FORMAT_FAILURE", f"根属于另一条日志 {root['stream'][:40]}。")
                if (size, root["at"]) < former or root["at"] < former[1]:
                    raise Refused("TIMESTAMP_ORDER_FAILURE", "根的大小或时间倒退。")
                former = (size, root["at"])
                if log.roots.get(size, root["root"]) != root["root"]:
                    raise Refused("HASH_FAILURE", f"同样大小 {size} 有两个不同的根：日志被分叉。")
                if log.whole and log.root_at(size) != root["root"]:
                    short = size > len(log.leaves)
                    reason = f"根签署了 {size} 条，日志只有 {len(log.leaves)} 条：末尾被删。"
                    raise Refused("HASH_FAILURE", reason if short else f"前 {size} 条算出的根与签署的不同。")
                token = line["token"]
                proved = self._root_time(log, path, row, token, signed, at) if token is not None else None
                outcome = self.signature(signed, line["certificate_serial"], line["signature"], None, at, proved)
                if outcome.state != FAILED:
                    log.roots[size] = root["root"]
                    log.signers.add(canonical_serial(line["certificate_serial"]))
                    if proved:
                        log.proved[size] = min(proved, log.proved.get(size, proved))
                return outcome if token is not None else gravest([outcome, Outcome(reason="没有时间戳。")])

            self.guarded("root", f"{log.stream} 根 {row}", path, step, row=row)

    def _root_time(self, log: Log, path: str, row: int, token: str, signed: bytes, at: datetime) -> datetime | None:
        found: list[datetime] = []

        def step() -> Outcome:
            attested, authority = read_token(strict_base64(token), signed, self.store)
            if attested < at - CLOCK_SLACK or attested > self.store.at + CLOCK_SLACK:
                raise Refused("TIMESTAMP_ORDER_FAILURE", f"时间戳 {stamp(attested)} 与根的时间 {stamp(at)} 矛盾。")
            outcome = self.store.judge(authority, attested, purpose=TIME_STAMPING)
            if outcome.state == PASSED:
                found.append(attested)
            return outcome._replace(reason=outcome.reason or f"{authority.name} 于 {stamp(attested)}。")

        self.guarded("timestamp", f"{log.stream} 根 {row} 的时间戳", path, step, row=row, missing=FAILED)
        return found[0] if found else None

    def _coverage(
        self, log: Log, entries: list[tuple[int, dict[str, Any], Any]], path: str
    ) -> dict[int, tuple[bool, datetime | None]]:
        """For each row under a good root: True, and the earliest trusted time of such a root."""
        covered: dict[int, tuple[bool, datetime | None]] = {}
        if log.whole:
            largest, stamped = max(log.roots, default=0), sorted(log.proved)
            for row, entry, _ in entries:
                first = bisect_left(stamped, entry["seq"])
                proved = log.proved[stamped[first]] if first < len(stamped) else None
                if entry["seq"] <= largest:
                    covered[row] = (True, proved)
            return covered
        leaves = {entry["seq"]: (row, log.leaves[row - 1]) for row, entry, _ in entries}
        for number, line in enumerate(self.rows(path), 1):

            def step(line: Any = line) -> None:
                row_of(line, "存在证明", seq=int, size=int, path=list)
                if line["seq"] not in leaves:
                    raise Refused("FORMAT_FAILURE", f"存在证明所指的条目 {line['seq']} 不在摘录里。")
                row, leaf = leaves[line["seq"]]
                root = root_by_path(leaf, line["seq"] - 1, line["size"], hashes(line["path"]))
                if line["size"] not in log.roots or root is None or root.hex() != log.roots[line["size"]]:
                    raise Refused("HASH_FAILURE", f"条目 {line['seq']} 不能由路径算到大小为 {line['size']} 的根。")
                times = [covered.get(row, (True, None))[1], log.proved.get(line["size"])]
                covered[row] = (True, min(filter(None, times), default=None))

            self.guarded("entry", f"{log.stream} 存在证明 {number}", path, step, row=number)
        return covered

    def root_signers(self, log: Log) -> None:
        """One organisation signs the roots of a stream: the finance bureau, which no voucher of the region is sent to.

        A unit's own vouchers go from the unit to its bank; the bureau that keeps the log is then neither side.
        """
        owners = {p for p in self.parties for serial in self.serials(p) if serial in log.signers}
        if log.signers and (len(owners) != 1 or owners & self.receivers.get(log.stream.partition("/")[0], set())):
            reason = f"日志 {log.stream} 的根不是由本区划的财政机构一方签署。"
            path = f"log/{log.stream.replace('/', '-')}/roots.jsonl"
            self.report.add(
                "root", f"{log.stream} 签署方", Outcome(FAILED, "SIG_CONSTRAINTS_FAILURE", reason), file=path
            )

    # Vouchers

    def signature(
        self, text: bytes, serial: str, value: str, allowed: set[str] | None, when: datetime, proved: datetime | None
    ) -> Outcome:
        """A signature over `text`; `allowed` are the serials that may have made it (None: any that is known)."""
        if not value:
            raise Refused("FORMAT_FAILURE", "签名是空的。")
        signature = strict_base64(value + "=" * (-len(value) % 4))
        if self.files and serial != canonical_serial(serial):
            raise Refused("FORMAT_FAILURE", f"序列号 {serial[:64]} 写法不规范。")
        if allowed is not None and canonical_serial(serial) not in allowed:
            raise Refused("SIG_CONSTRAINTS_FAILURE", f"证书 {serial[:64]} 不是名册 parties.json 中应签一方的。")
        certificate = self.store.by_serial(serial)
        if signature[:2] in (b"\x30\x80", b"\x30\x82") and len(signature) > 200:  # PKCS#7, as in messages of 2024
            signed = read_cms(signature, text, self.store.pool)
            if signed.signer.serial != canonical_serial(serial):
                raise Refused("SIG_CONSTRAINTS_FAILURE", "签名所附证书与所写序列号不符。")
            return self.store.judge(signed.signer, when, proved)
        if certificate is None:
            if _numbers(signature) is None:
                raise Refused("FORMAT_FAILURE", "签名值不是 DER。")
            raise Refused("NO_SIGNING_CERTIFICATE_FOUND", f"没有序列号为 {serial[:64]} 的证书。", state=OPEN)
        if not verify_signature(certificate.key, OWN_DIGEST[certificate.key.kind], text, signature):
            raise Refused("SIG_CRYPTO_FAILURE", f"不是 {certificate.name} 对这一内容的签名。")
        return self.store.judge(certificate, when, proved)

    def voucher_folder(self, name: str) -> None:
        folder = f"vouchers/{name}"
        original = self.voucher(name, "voucher", None)
        stems = {p[len(folder) + 1 :].rpartition(".")[0] for p in self.files if p.startswith(f"{folder}/receipt-")}
        for stem in sorted(stems):
            self.voucher(name, stem, original)
        path = f"{folder}/approvals.json"
        self.guarded("approval", f"{name} 审批", path, lambda: self.approvals(path, original))

    def voucher(
        self, name: str, stem: str, original: tuple[dict[str, Any], Element] | None
    ) -> tuple[dict[str, Any], Element] | None:
        """One signed document: its text, what is said about it outside, and every signature and stamp on it."""
        path, title = f"vouchers/{name}/{stem}.json", name if stem == "voucher" else f"{name} {stem}"
        said: dict[str, Any] = {}
        content: list[Element] = []
        text = self.files.get(f"vouchers/{name}/{stem}.txt", b"")
        text_file = f"vouchers/{name}/{stem}.txt"

        def read() -> Outcome:
            said.update(row_of(self.json(path), path, **VOUCHER_NAMES))
            if f"{said['voucher_type']}-{said['voucher_no']}" != name:
                raise Refused("SIG_CONSTRAINTS_FAILURE", "文件夹名与凭证类型、编号不符。")
            if {said["sender"], said["receiver"]} - self.parties.keys():
                raise Refused(
                    "SIG_CONSTRAINTS_FAILURE", f"{said['sender']} 或 {said['receiver']} 不在名册 parties.json。"
                )
            if not said["signatures"] and not said["stamps"]:
                raise Refused("FORMAT_FAILURE", "凭证没有任何签名或签章。")
            if original and {said["sender"], said["receiver"]} != {original[0]["sender"], original[0]["receiver"]}:
                raise Refused("SIG_CONSTRAINTS_FAILURE", "回单的双方不是原凭证的双方。")
            instant(said["sealed_at"])
            if original is None:
                self.receivers.setdefault(said["adm_div_code"], set()).add(said["receiver"])
            self._against_the_log(said)
            return Outcome(reason=f"{self.name_of(said['sender'])} → {self.name_of(said['receiver'])}。")

        def read_text() -> Outcome:
            if text_file not in self.files:
                raise Refused("FORMAT_FAILURE", f"缺少文件 {text_file}。")
            if sm3(text).hex() != said.get("digest"):
                raise Refused("HASH_FAILURE", f"原文的 SM3 与 {path} 的 digest 不符：其一被改动。")
            content.append(read_content(text))
            check_identity(content[0], said, path)
            if original:
                _check_receipt(original[1], content[0])
            return Outcome(reason=f"SM3 {said['digest']}。")

        self.guarded("voucher", title, path, read)
        if not said:
            return None
        self.guarded("voucher", f"{title} 原文", text_file, read_text)
        when = self.store.at
        with suppress(Refused):  # reported above; the other findings are still worth having
            when = instant(said["sealed_at"])
        own, other = self.serials(said["sender"]), self.serials(said["receiver"])
        by_sender = []
        for number, mark in enumerate(said["signatures"], 1):

            def sign(mark: Any = mark) -> Outcome:
                row_of(mark, "签名", position=str, serial=str, value=str)
                proved = self.proved(mark["value"])
                outcome = self.signature(text, mark["serial"], mark["value"], own | other, when, proved)
                by_sender.append(canonical_serial(mark["serial"]) in own and outcome.state != FAILED)
                return outcome

            where = mark.get("position", number) if isinstance(mark, dict) else number
            self.guarded("signature", f"{title} 签名 {where}", path, sign, row=number)
        for number, mark in enumerate(said["stamps"], 1):
            by_sender.append(self.stamp(title, path, number, mark, said, text, when, own, other))
        if not any(by_sender):
            reason = f"没有发送方 {self.name_of(said['sender'])} 的有效签名或签章。"
            self.report.add("voucher", f"{title} 签署", Outcome(FAILED, "SIG_CONSTRAINTS_FAILURE", reason), file=path)
        return (said, content[0]) if content else None

    def stamp(
        self, title: str, path: str, number: int, mark: Any, said: dict[str, Any], text: bytes, when: datetime,
        own: set[str], other: set[str],
    ) -> bool:  # fmt: skip
        """One stamp and its seal; True if the sender's and not failed."""
        result = [False]
        position = mark.get("position", number) if isinstance(mark, dict) else number

        def step() -> Outcome:
            row_of(mark, "签章", position=str, seal_id=str, value=str)
            raw = strict_base64(mark["value"])
            found = read_stamp(raw)
            at = found.at or when
            if found.seal.es_id != mark["seal_id"]:
                raise Refused("SIG_CONSTRAINTS_FAILURE", f"印章编号 {found.seal.es_id} 与所写 {mark['seal_id']} 不符。")
            signer = next((c for c in self.store.pool if c.der == found.signer), None)
            if signer is None or signer.serial not in own | other | self._officers():
                raise Refused("SIG_CONSTRAINTS_FAILURE", "签章所附证书不是收付双方在名册 parties.json 中的证书。")
            if at > when + CLOCK_SLACK:
                raise Refused("TIMESTAMP_ORDER_FAILURE", f"签章时间 {stamp(at)} 晚于凭证完成时间 {stamp(when)}。")
            binding = "/".join(str(said[name]) for name in IDENTITY) + f"/{mark['position']}"
            proved = min(filter(None, (self.proved(mark["value"]), self.proofs.get(sm3(raw).hex()))), default=None)
            seal = check_seal(found.seal, self.store, at, own | other | self._officers())
            self.report.add("seal", f"{title} 印章 {found.seal.name}", seal, file=path, row=number)
            outcome = check_stamp(found, self.store, text, binding, proved, at)
            outcome = gravest([outcome, self._witness(found)])
            result[0] = signer.serial in own and outcome.state != FAILED
            return outcome

        self.guarded("stamp", f"{title} 签章 {position}", path, step, row=number, missing=FAILED)
        return result[0]

    def _officers(self) -> set[str]:
        people = {p for p in self.parties if re.fullmatch(r"[0-9a-f-]{36}", p)}
        return {serial for person in people for serial in self.serials(person)}

    def _witness(self, found: Stamp) -> Outcome:
        """The root a stamp carries must be one of the log's own past."""
        if found.witness is None:
            return Outcome()
        witness = row_of(found.witness, "签章扩展", root=str, size=int, stream=str)
        log = self.logs.get(witness["stream"])
        root = log.root_at(witness["size"]) if log else None
        if log and log.whole and root is None:
            reason = f"签章见证日志已有 {witness['size']} 条，包里只有 {len(log.leaves)} 条：日志末尾被删。"
            return Outcome(FAILED, "HASH_FAILURE", reason)
        if root is not None and root != witness["root"]:
            return Outcome(
                FAILED, "HASH_FAILURE", f"签章见证的日志根（大小 {witness['size']}）与日志不符：日志被改写。"
            )
        return Outcome(reason="" if root is None else f"见证日志根（大小 {witness['size']}）相符。")

    def proved(self, value: str) -> datetime | None:
        """Since when this signature is known to exist: by itself or by its SM3 in a time-stamped log."""
        digest = sm3(strict_base64(value + "=" * (-len(value) % 4))).hex()
        return min(filter(None, (self.proofs.get(value), self.proofs.get(digest))), default=None)

    def _against_the_log(self, said: dict[str, Any]) -> None:
        """Facts of this voucher in the log say the same, where they say anything."""
        claimed = {name: str(said[name]) for name in ("sender", "receiver", "sealed_at", *IDENTITY)}
        for fact in self.facts.get(said["digest"], []):
            if fact.payload.get("digest") != said["digest"]:
                continue
            for mark in said["signatures"]:
                if isinstance(mark, dict) and fact.payload.get("signature") == mark.get("value"):
                    claimed |= {"position": str(mark.get("position")), "signature_serial": str(mark.get("serial"))}
            for name, value in claimed.items():
                noted = str(fact.payload.get(name, value))
                if (f"{noted[:19]}Z" if name == "sealed_at" else noted) != value:  # the log has microseconds
                    raise Refused("HASH_FAILURE", f"{name} 与{fact.place}不同。")

    # Approvals

    def approvals(self, path: str, original: tuple[dict[str, Any], Element] | None) -> Outcome | None:
        steps = self.json(path)
        if not isinstance(steps, list):
            raise Refused("FORMAT_FAILURE", "approvals.json 不是列表。")
        said, content = original or ({}, None)
        former: dict[Any, str] = {}  # by document and revision: the digest of the last signature
        acted: dict[Any, str] = {}  # by revision and person: the post
        signed: set[str] = set()
        subjects = {said.get("digest", "")}
        decided: set[str] = set()
        last = ""
        for number, given in enumerate(steps, 1):

            def step(given: Any = given) -> Outcome:
                nonlocal last
                row_of(given, "审批", **APPROVAL_NAMES, **SIGNED_NAMES)
                at = instant(given["at"])
                if given["at"] < last:
                    raise Refused("TIMESTAMP_ORDER_FAILURE", "审批次序与时间矛盾。")
                last = given["at"]
                if self.name_of(given["person_id"]) != given["person"] or given["person_id"] not in self.parties:
                    raise Refused("SIG_CONSTRAINTS_FAILURE", f"{given['person'][:40]} 与名册 parties.json 不符。")
                key = (given["revision"], given["person_id"])
                if acted.setdefault(key, given["post"]) != given["post"]:
                    raise Refused("SIG_CONSTRAINTS_FAILURE", f"{given['person']} 一人办理了两个岗位。")
                if given["statement"] is None:
                    return self._unsigned(given)
                item = self._statement(given, at)
                if given["decision"] in ("seal", "stamp") and item["digest"] != said.get("digest"):
                    raise Refused("SIG_CONSTRAINTS_FAILURE", "用印声明所指的不是这张凭证。")
                decided.add(item["digest"])
                if given["content_digest"] not in (
                    decided if given["decision"] in ("seal", "stamp") else {item["digest"]}
                ):
                    raise Refused("SIG_CONSTRAINTS_FAILURE", "声明所指的内容不是所审的内容。")
                signature = strict_base64(given["signature"])
                chain = (item["document_id"], item["revision"])
                if item["former"] != former.get(chain, ""):
                    raise Refused("SIG_CONSTRAINTS_FAILURE", "与前一步的签名接不上：次序被改，或缺一步。")
                former[chain] = sm3(signature).hex()
                self._noted(former[chain], at)
                signed.add(former[chain])
                subjects.update((item["digest"], item["document_id"]))
                if content is not None:
                    _check_item(item, content)
                text, by = b"GUOKU-STATEMENT-V1\0" + given["statement"].encode(), self.serials(given["person_id"])
                value = given["signature"]
                return self.signature(text, given["certificate_serial"], value, by, at, self.proved(value))

            post = given.get("post", "") if isinstance(given, dict) else ""
            title = f"{path.split('/')[1]} {post} {given.get('person', '') if post else number}"
            self.guarded("approval", title, path, step, row=number)
        for fact in (fact for subject in subjects for fact in self.facts.get(subject, [])):
            if fact.payload.get("signature_sm3") and fact.payload["signature_sm3"] not in signed:
                raise Refused("SIG_CONSTRAINTS_FAILURE", f"{fact.place}记有一步签名，审批中没有。")
        return None if steps else Outcome(reason="没有审批记录。")

    def _noted(self, signature: str, at: datetime) -> None:
        """The log's time of a signature is the one written beside it."""
        for fact in self.facts.get(signature, []):
            if "at" in fact.payload and abs(instant(f"{str(fact.payload['at'])[:19]}Z") - at) > timedelta(seconds=5):
                raise Refused("TIMESTAMP_ORDER_FAILURE", f"时间与{fact.place}不同。")

    def _unsigned(self, given: dict[str, Any]) -> Outcome:
        """A step without a UKey counts only as the log has it."""
        names = ("person_id", "decision", "content_digest", "revision", "ordinal", "post")
        if any(given[name] is not None for name in SIGNED_NAMES if name != "statement"):
            raise Refused("FORMAT_FAILURE", "没有声明，却有签名的其他部分。")
        for fact in self.facts.get(given["content_digest"], []):
            same = all(fact.payload.get(name) == str(given[name]) for name in names)
            if same and fact.payload.get("signature_id", "") is None:
                return Outcome(reason=f"未用 UKey，以{fact.place}为证。")
        return Outcome(
            OPEN, "SIGNED_DATA_NOT_FOUND", "没有本人签名，日志中也没有这一步。", "请补充日志，或向本人核实。"
        )

    def _statement(self, given: dict[str, Any], at: datetime) -> dict[str, Any]:
        """The item an officer decided on, after checking that the statement he signed covers it."""
        for name in ("item", "index", "path", "signature", "certificate_serial"):
            if given[name] is None:
                raise Refused("FORMAT_FAILURE", f"有声明而没有 {name}。")
        statement = row_of(loads(given["statement"], "声明", canonical=True), "声明", **STATEMENT_NAMES)
        item = row_of(loads(given["item"], "声明事项", canonical=True), "声明事项", **ITEM_NAMES)
        root = root_by_path(
            leaf_hash(given["item"].encode()), given["index"], statement["count"], hashes(given["path"])
        )
        if root is None or root.hex() != statement["root"]:
            raise Refused("HASH_FAILURE", "事项不在所签声明之中。")
        if statement["count"] == 1 and statement["sum"] != item["amount"]:
            raise Refused("HASH_FAILURE", "声明的金额合计与事项不符。")
        issued, expires = instant(statement["issued_at"]), instant(statement["expires_at"])
        if expires - issued > LONGEST_STATEMENT or not issued - timedelta(minutes=1) <= at <= expires:
            raise Refused("SIG_CONSTRAINTS_FAILURE", "办理时间不在声明的有效期内。")
        same = ("post", "person_id"), (("decision", "action"), ("person", "officer"))
        pairs = [*((name, name) for name in same[0]), *same[1]]
        for ours, theirs in pairs:
            if given[ours] != statement[theirs]:
                raise Refused("SIG_CONSTRAINTS_FAILURE", f"{ours} 与声明中的 {theirs} 不符。")
        if given["revision"] != item["revision"]:
            raise Refused("SIG_CONSTRAINTS_FAILURE", "声明所指的版本不是所审的版本。")
        certificate = self.store.by_serial(given["certificate_serial"])
        if certificate is None or sm3(certificate.der).hex() != statement["certificate_sm3"]:
            raise Refused(
                "SIG_CONSTRAINTS_FAILURE", f"声明所指的证书不是 certificates/ 中的 {given['certificate_serial'][:64]}。"
            )
        return item


def _check_item(item: dict[str, Any], content: Element) -> None:
    """Amount and payee an officer was shown are those of the voucher."""
    details = content.only("DetailList")
    parts = [content, *(details.children if details else [])]
    values = [(leaf.tag, leaf.text) for part in parts for leaf in part.children if not leaf.children]
    if not any(tag.endswith("Amt") and text == item["amount"] for tag, text in values):
        raise Refused("SIG_CONSTRAINTS_FAILURE", f"审批的金额 {item['amount'][:30]} 不是凭证的金额。")
    payees = [text for tag, text in values if tag == "PayeeAcctName" and text]
    if item["payee"] and payees and not any(item["payee"].startswith(payee) for payee in payees):
        raise Refused("SIG_CONSTRAINTS_FAILURE", f"审批的收款人 {item['payee'][:60]} 不是凭证的收款人。")


def _check_receipt(sent: Element, receipt: Element) -> None:
    """A receipt is the document sent with the X fields filled; nothing else may differ. Details are matched by Id."""

    def plain(element: Element) -> dict[str, str]:
        return {
            leaf.tag: leaf.text for leaf in element.children if not leaf.children and leaf.text and leaf.tag[:1] != "X"
        }

    def lines(element: Element) -> dict[str, dict[str, str]]:
        details = element.only("DetailList")
        return {line.leaf("Id"): plain(line) for line in (details.children if details else [])}

    ours, theirs = {"": plain(sent)} | lines(sent), {"": plain(receipt)} | lines(receipt)
    for line in ours.keys() | theirs.keys():
        one_side, other_side = ours.get(line, {}), theirs.get(line, {})
        for tag in sorted(one_side.keys() | other_side.keys()):
            if one_side.get(tag) != other_side.get(tag):
                where = f"明细 {line} 的 " if line else ""
                raise Refused("SIG_CONSTRAINTS_FAILURE", f"回单的 {where}{tag} 与原凭证不同。")


# 12. Other files: envelopes, single documents, seals, stamps, and our PDF ------------------------------------------


class Single(Bundle):
    """A file outside a bundle: no register of parties, so certificates come from the trust directory alone."""

    def __init__(self, data: bytes, path: Path | None, store: Authorities, report: Report) -> None:
        super().__init__({}, store, report)
        self.data, self.path = data, path

    def verify(self) -> None:
        data, name = self.data, self.path.name if self.path else "文件"
        if data.startswith(b"%PDF-"):
            self.guarded("file", name, name, lambda: self.pdf(name))
        elif data.lstrip(b"\xef\xbb\xbf").startswith(b"<"):
            self.guarded("file", name, name, lambda: self.xml(data, name))
        elif data[:1] == b"\x30":
            self.guarded("file", name, name, lambda: self.der(data, name))
        elif re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}\n?", data):
            inner = strict_base64(data.decode().removesuffix("\n"))
            step = (lambda: self.der(inner, name)) if inner[:1] == b"\x30" else (lambda: self.document(data, name))
            self.guarded("file", name, name, step)
        else:
            raise Unreadable("不是能识别的文件：须为凭证包（zip）、MOF 信封、凭证原文、印章、签章或凭证 PDF。")

    def xml(self, data: bytes, name: str) -> None:
        root = read_xml(data)
        if root.tag in ("MOF", "Root"):
            bodies = [child for child in root.children if child.tag == "VoucherBody"]
            if not bodies or root.leaf("VoucherCount").strip() != str(len(bodies)):
                raise Refused("FORMAT_FAILURE", "VoucherCount 与凭证个数不符。")
            for body in bodies:
                self.body(body, name)
        elif root.tag == "Voucher":
            self.document(base64.b64encode(data), name)
        else:
            raise Refused("FORMAT_FAILURE", f"不认识的根元素 {root.tag[:40]}。")

    def body(self, body: Element, file: str) -> None:
        """One VoucherBody of an envelope."""
        text = body.leaf("Voucher").encode()
        claimed = {ours: body.attributes.get(theirs, "") for ours, theirs in IDENTITY.items()}
        title = f"{claimed['voucher_type']}-{claimed['voucher_no']}"

        def read() -> Outcome:
            check_identity(read_content(text), claimed, "信封")
            return Outcome(reason=f"SM3 {sm3(text).hex()}。")

        self.guarded("voucher", title, file, read)
        marks = 0
        for tag, holder in (("Signature", "SignatureList"), ("SignStamp", "SignStampList")):
            listed = body.only(holder)
            for mark in listed.children if listed else []:
                marks += 1
                where, serial, value = mark.attributes.get("No", ""), mark.attributes.get("SN", ""), mark.text
                binding = "/".join(claimed.values()) + f"/{where}"
                step = partial(self.one_stamp, value, text, serial, binding, f"{title} {where}", file)
                if tag == "Signature":
                    step = partial(self.signature, text, serial, value, None, self.store.at, None)
                self.guarded("signature" if tag == "Signature" else "stamp", f"{title} {where}", file, step)
        if not marks:
            nothing = Outcome(FAILED, "FORMAT_FAILURE", "没有任何签名或签章。")
            self.report.add("voucher", f"{title} 签署", nothing, file=file)

    def one_stamp(
        self, value: str, text: bytes | None, seal_id: str | None, binding: str | None, title: str, file: str
    ) -> Outcome:
        if not value:
            raise Refused("FORMAT_FAILURE", "签章是空的。")
        raw = strict_base64(value + "=" * (-len(value) % 4))
        if [node.tag for node in children(one(raw))] == [2, 4, 4, 4, 4]:
            return self.stamp_of_2024(raw, text)
        found = read_stamp(raw)
        if seal_id is not None and found.seal.es_id != seal_id:
            raise Refused("SIG_CONSTRAINTS_FAILURE", f"印章编号 {found.seal.es_id} 与所写 {seal_id[:40]} 不符。")
        when = found.at or self.store.at
        seal = check_seal(found.seal, self.store, when, {read_certificate(found.signer).serial})
        self.report.add("seal", f"{title} 印章 {found.seal.name}", seal, file=file)
        return gravest([check_stamp(found, self.store, text, binding, None, when), self._witness(found)])

    def stamp_of_2024(self, raw: bytes, text: bytes | None) -> Outcome:
        """The older layout: a PKCS#7 over text, time and seal. How its seal was signed is not published."""
        _version, seal, time, _signer, message = children(one(raw))
        if text is None:
            raise Refused("SIGNED_DATA_NOT_FOUND", "只有签章，没有被盖章的原文。", state=OPEN)
        signed = read_cms(message.value, text + time.value + seal.value, self.store.pool)
        remark = Outcome(OPEN, "CRYPTO_CONSTRAINTS_FAILURE_NO_POE", "旧式签章：签名相符，但其印章的制作无法验证。")
        return gravest([self.store.judge(signed.signer, self.store.at), remark])

    def document(self, text: bytes, name: str) -> None:
        """An inner document with its signature beside it: `<name>.sig`, base64 of the value; any known certificate."""
        self.guarded("voucher", name, name, lambda: Outcome(reason=f"凭证号 {read_content(text).leaf('VoucherNo')}。"))
        beside = self.path.with_suffix(".sig") if self.path else None
        if beside is None or not beside.exists():
            reason = f"旁边没有签名文件 {beside.name if beside else ''}。"
            self.report.add("signature", name, Outcome(OPEN, "SIGNED_DATA_NOT_FOUND", reason), file=name)
            return

        def sign() -> Outcome:
            value = beside.read_text("ascii", "replace").strip()
            if not self.store.pool:
                raise Refused("NO_SIGNING_CERTIFICATE_FOUND", "信任目录里没有签名证书。", state=OPEN)
            for certificate in self.store.pool:
                digest = OWN_DIGEST[certificate.key.kind]
                if verify_signature(certificate.key, digest, text.removesuffix(b"\n"), strict_base64(value)):
                    return self.store.judge(certificate, self.store.at)
            raise Refused("SIG_CRYPTO_FAILURE", "不是信任目录中任何一张证书对这一内容的签名。")

        self.guarded("signature", name, beside.name, sign)

    def der(self, data: bytes, name: str) -> None:
        """A seal, or a stamp with the signed text beside it (`<name>.txt`)."""
        beside = self.path.with_suffix(".txt") if self.path else None
        first = children(children(one(data))[0])
        if (first and first[0].tag == 0x30) or len(children(one(data))) == 5:
            seal = read_seal(one(data))
            outcome = check_seal(seal, self.store, self.store.at, set(), used=False)
            facts = {
                "version": str(seal.version),
                "es_id": seal.es_id,
                "validity": f"{stamp(seal.start)}/{stamp(seal.end)}",
            }
            self.report.add("seal", f"{name} 印章 {seal.name}", outcome, file=name, facts=facts)
        else:
            text = beside.read_bytes().removesuffix(b"\n") if beside and beside.exists() else None
            value = base64.b64encode(data).decode()
            self.guarded("stamp", name, name, lambda: self.one_stamp(value, text, None, None, name, name))

    def pdf(self, name: str) -> None:
        """The picture on the page proves nothing; what is attached to it is verified."""
        attached = pdf_attachments(self.data)
        envelopes = [file for file in attached if file.endswith(".xml") and b"<VoucherBody" in attached[file]]
        texts = [file for file in attached if file.endswith(".xml") and file not in envelopes]
        if not envelopes and not texts:
            raise Refused("SIGNED_DATA_NOT_FOUND", "PDF 没有附带凭证原文，只是一张图。", state=OPEN)
        for file in envelopes:
            self.guarded("file", file, file, partial(self.xml, attached[file], file))
        for file in texts:
            text = base64.b64encode(attached[file])
            number = partial(lambda text: Outcome(reason=f"凭证号 {read_content(text).leaf('VoucherNo')}。"), text)
            self.guarded("voucher", file, file, number)
            stamps = {f: c for f, c in attached.items() if f.endswith((".der", ".dat"))} if len(texts) == 1 else {}
            for other, content in stamps.items():
                value = base64.b64encode(content).decode()
                self.guarded("stamp", other, other, partial(self.one_stamp, value, text, None, None, other, other))
            if not stamps and not envelopes:
                reason = "PDF 附带了原文，没有附带签章。"
                self.report.add("stamp", name, Outcome(OPEN, "SIGNED_DATA_NOT_FOUND", reason), file=name)


def pdf_attachments(data: bytes) -> dict[str, bytes]:
    """The embedded files of a PDF by name, as our typst writes them (plain objects or object streams, Flate or none).

    :raises Refused: if an object or a name comes twice: a later revision could show one and verify another.
    """
    bodies: dict[int, bytes] = {}
    for match in re.finditer(rb"(?:^|[\r\n ])(\d{1,10}) \d{1,5} obj\b(.*?)\bendobj", data, re.DOTALL):
        number, body = int(match[1]), match[2]
        if number in bodies:
            raise Refused("FORMAT_FAILURE", f"PDF 对象 {number} 有两个版本：文件在生成之后被改动。")
        bodies[number] = body
    for body in list(bodies.values()):
        if b"/ObjStm" in body.partition(b"stream")[0]:
            content = _pdf_stream(body)
            first = int(re.search(rb"/First (\d+)", body)[1])  # type: ignore[index]
            pairs = list(map(int, content[:first].split()))
            starts = [*pairs[1::2], len(content) - first]
            for number, start, end in zip(pairs[::2], starts, starts[1:], strict=False):
                if number in bodies:
                    raise Refused("FORMAT_FAILURE", f"PDF 对象 {number} 有两个版本：文件在生成之后被改动。")
                bodies[number] = content[first + start : first + end]
    found: dict[str, bytes] = {}
    for body in bodies.values():
        target = re.search(rb"/EF\s*<<[^>]*?/F (\d+) \d+ R", body)
        title = re.search(rb"/(?:UF|F)\s*(\((?:[^()\\]|\\.)*\)|<[0-9A-Fa-f]*>)", body)
        if target and title and b"/Filespec" in body:
            name = _pdf_text(title[1])
            if name in found:
                raise Refused("FORMAT_FAILURE", f"PDF 附件重名：{name[:80]}。")
            found[name] = _pdf_stream(bodies[int(target[1])])
    return found


def _pdf_stream(body: bytes) -> bytes:
    head, _, rest = body.partition(b"stream")
    content = rest.removeprefix(b"\r").removeprefix(b"\n").rpartition(b"endstream")[0]
    if length := re.search(rb"/Length (\d+)(?! \d+ R)", head):
        content = content[: int(length[1])]
    if b"/Filter" not in head:
        return content
    if not re.search(rb"/Filter\s*\[?\s*/FlateDecode", head):
        raise Refused("FORMAT_FAILURE", "PDF 附件的压缩方式不认识。")
    unpack = zlib.decompressobj()
    plain = unpack.decompress(content, 64 * MEBIBYTE)
    if unpack.unconsumed_tail:
        raise Refused("FORMAT_FAILURE", "PDF 附件解压后过大。")
    return plain


def _pdf_text(raw: bytes) -> str:
    value = bytes.fromhex(raw[1:-1].decode()) if raw[:1] == b"<" else re.sub(rb"\\(.)", rb"\1", raw[1:-1])
    return value[2:].decode("utf-16-be", "replace") if value[:2] == b"\xfe\xff" else value.decode("latin-1")


# 13. From a path to a report ---------------------------------------------------------------------------------------


class Unreadable(Exception):
    """The file, or the trust directory, cannot be used at all: exit code 2."""


def load_trust(store: Authorities, trust: Path) -> list[str]:
    """Read a trust directory: *.pem (or trust/*.pem) are roots; certificates/*.pem, crls/*.crl and makers/*.pem help.

    :raises Unreadable: if it holds no root, or a file in it cannot be read.
    """
    where = trust
    try:
        roots = [trust] if trust.is_file() else sorted([*trust.glob("*.pem"), *trust.glob("trust/*.pem")])
        for where in roots:
            store.trusted += [read_certificate(content) for content in pem_blocks(where.read_bytes(), "CERTIFICATE")]
        for where in [] if trust.is_file() else sorted(trust.glob("certificates/*.pem")):
            store.pool += [read_certificate(content) for content in pem_blocks(where.read_bytes(), "CERTIFICATE")]
        for where in [] if trust.is_file() else sorted(trust.glob("makers/*.pem")):
            store.makers += [read_certificate(content) for content in pem_blocks(where.read_bytes(), "CERTIFICATE")]
        for where in [] if trust.is_file() else sorted(trust.glob("crls/*.crl")):
            store.lists.append(read_revocation_list(where.read_bytes(), f"--trust {where.name}"))
    except (OSError, Refused) as error:
        raise Unreadable(f"信任目录中的 {where.name} 无法读取：{error}") from None
    if not store.trusted:
        raise Unreadable(f"信任目录 {trust} 里没有根证书（*.pem）。")
    return [f"{certificate.name} SM3 {sm3(certificate.der).hex()}" for certificate in store.trusted]


def verify_file(path: str | Path, trust: str | Path | None = None, at: datetime | None = None) -> Report:
    """Verify one file and report.

    :param trust: directory (or PEM file) of roots the reader trusts; without it nothing can be better than open.
    :param at: aware instant for which to judge; now if not given.
    :raises Unreadable: if the file or the trust directory cannot be used.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE:
            raise Unreadable(f"文件超过 {MAX_FILE // MEBIBYTE} MiB。")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"无法读取 {path}：{error.strerror}。") from None
    store = Authorities((at or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0))
    report = Report(path.name, sm3(data).hex(), store.at)
    if trust is not None:
        report.anchors = load_trust(store, Path(trust))
    if data.startswith(b"PK") or (b"PK\5\6" in data[-66_000:] and not data.startswith(b"%PDF-")):
        try:
            Bundle(read_zip(data), store, report).verify()
        except Refused as refused:
            report.add("bundle", path.name, refused.outcome, file=path.name)
    else:
        Single(data, path, store, report).verify()
    return report


TITLES = {
    "bundle": "凭证包", "file": "文件", "certificate": "证书", "crl": "吊销列表", "parties": "名册", "log": "日志",
    "entry": "日志条目", "root": "日志根", "timestamp": "时间戳", "voucher": "凭证", "signature": "签名",
    "stamp": "签章", "seal": "印章", "approval": "审批",
}  # fmt: skip
WORDS = ("真实", "无法判断", "不真实")
LONG = 200  # passed findings of a kind beyond this are only counted


def as_json(report: Report) -> str:
    return json.dumps(
        {
            "program": PROGRAM, "file": report.file, "sm3": report.sm3, "at": stamp(report.at),
            "indication": report.indication,
            "sub_indications": sorted({finding.outcome.sub for finding in report.worst()}),
            "exit_code": report.exit_code, "trusted": report.anchors,
            "findings": [finding.as_json() for finding in report.findings],
        },
        ensure_ascii=False, indent=1,
    )  # fmt: skip


def _place(finding: Finding) -> str:
    unit = "行" if finding.file.endswith(".jsonl") else "项"
    return finding.file + (f" 第 {finding.row} {unit}" if finding.row else "")


def _shown(report: Report) -> Iterator[tuple[str, list[Finding], int]]:
    """Findings by kind, the grave ones first, and how many passed ones are left out."""
    for kind in TITLES:
        found = sorted((f for f in report.findings if f.kind == kind), key=lambda finding: -finding.outcome.state)
        grave = sum(finding.outcome.state != PASSED for finding in found)
        if found:
            yield kind, found[: max(LONG, grave)], max(0, len(found) - max(LONG, grave))


def as_text(report: Report) -> str:
    lines = [
        f"{PROGRAM}　{report.file}",
        f"文件 SM3 {report.sm3}　判断时间 {stamp(report.at)}",
        f"结论：{WORDS[report.state]}　{report.indication}",
    ]
    lines += [f"信任的根：{anchor}" for anchor in report.anchors] or [
        "没有指定信任的根（--trust），最多只能证明内部一致。"
    ]
    for kind, found, hidden in _shown(report):
        passed = sum(finding.outcome.state == PASSED for finding in found) + hidden
        lines += ["", f"【{TITLES[kind]}】通过 {passed}，共 {len(found) + hidden}"]
        for finding in found if kind not in ("entry", "certificate", "crl") else [f for f in found if f.outcome.state]:
            sub = f" {finding.outcome.sub}" if finding.outcome.sub else ""
            lines.append(f"  {'✓？✗'[finding.outcome.state]} {finding.name}　{finding.indication}{sub}")
            lines += [f"      {finding.outcome.reason}"] if finding.outcome.reason else []
            if finding.outcome.state:
                lines += [f"      位置：{_place(finding)}", f"      办法：{finding.advice}"]
    return "\n".join(lines) + "\n"


STYLE = """body{font:16px/1.6 system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;max-width:70em;margin:2em auto;
padding:0 1em;color:#1a1a1a}h1{font-size:1.5em}h2{font-size:1.1em;margin:1.5em 0 .3em}table{border-collapse:collapse;
width:100%}th,td{border-bottom:1px solid #ccc;padding:.3em .6em;text-align:left;vertical-align:top;
overflow-wrap:anywhere}.s0{color:#0a5c2b}.s1{color:#7a4b00}.s2{color:#a30f0f;font-weight:bold}.verdict{font-size:1.3em;
border:2px solid;padding:.5em 1em}code{overflow-wrap:anywhere}"""


def as_html(report: Report) -> str:
    """One page without scripts or links to anything."""
    e = html.escape
    parts = [
        f'<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>验证报告 {e(report.file)}</title>'
        f"<style>{STYLE}</style><h1>验证报告：{e(report.file)}</h1>"
        f'<p class="verdict s{report.state}">{WORDS[report.state]}　{report.indication}</p>'
        f"<p>文件 SM3 <code>{report.sm3}</code><br>判断时间 {stamp(report.at)}<br>程序 {PROGRAM}</p><ul>"
    ]
    parts += [f"<li>信任的根：<code>{e(anchor)}</code></li>" for anchor in report.anchors]
    parts.append("</ul>" if report.anchors else "<li>没有指定信任的根，最多只能证明内部一致。</li></ul>")
    for kind, found, hidden in _shown(report):
        parts.append(
            f"<h2>{TITLES[kind]}（{len(found) + hidden}）</h2><table><tr><th>对象<th>结论<th>理由与办法<th>位置</tr>"
        )
        for finding in found:
            why = " ".join(filter(None, (finding.outcome.reason, finding.advice)))
            parts.append(
                f'<tr><td>{e(finding.name)}<td class="s{finding.outcome.state}">'
                f"{finding.indication} {finding.outcome.sub}"
                f"<td>{e(why)}<td>{e(_place(finding))}</tr>"
            )
        parts.append("</table>" + (f"<p>另有 {hidden} 项通过，未列出。</p>" if hidden else ""))
    return "".join(parts) + "</html>\n"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="guoku_verify.py", description="离线验证国库凭证包、信封、印章、签章和凭证 PDF。"
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--trust", metavar="DIR", help="你信任的根证书所在目录")
    parser.add_argument("--at", metavar="TIME", help="判断时间，如 2036-01-31T00:00:00Z；不写为现在")
    parser.add_argument("--json", action="store_true", help="输出 JSON")
    parser.add_argument("--report", metavar="FILE", help="另写一份 HTML 报告")
    parser.add_argument("--no-openssl", action="store_true", help="不用 OpenSSL，只用本程序自己的算法（较慢）")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        given = parser.parse_args(argv)
    except SystemExit as stop:
        return 2 if stop.code else 0
    OPENSSL.allowed = not given.no_openssl
    try:
        report = verify_file(given.file, given.trust, instant(given.at) if given.at else None)
        if given.report:
            Path(given.report).write_text(as_html(report), encoding="utf-8")
    except (Unreadable, Refused, OSError) as error:
        print(f"无法验证：{error}", file=sys.stderr)
        return 2
    print(as_json(report) if given.json else as_text(report), end="" if not given.json else "\n")
    return report.exit_code


_POINT = (
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
EXAMPLE = (  # key, digest, text and signature of GB/T 32918.5, annex A.2
    read_key(SPKI_HEAD["sm2"] + bytes.fromhex(_POINT)),
    "sm3",
    b"message digest",
    der_pair(
        0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3,
        0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA,
    ),
)

if __name__ == "__main__":
    sys.exit(main())
