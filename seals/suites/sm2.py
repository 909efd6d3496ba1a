"""SM2 signatures with SM3 (GB/T 32918.2 and .5) by the system's OpenSSL: constant-time C, strict DER."""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from core.digests import sm3
from seals import der
from seals.errors import KeyNotUsable, SuiteUnavailable
from seals.suites import libcrypto
from seals.suites.base import SPKI_HEAD, PrivateKeyHandle, PublicKeyHandle, Suite

DEFAULT_USER_ID = b"1234567812345678"  # GM/T 0009 §10; part of what is signed, so both sides must use the same
LONGEST_SIGNATURE = 72


class Sm2Sm3(Suite):
    """The default suite. What is signed is SM3(Z || data), where Z binds the user id, the curve and the public key."""

    id = "sm2-sm3"
    digest_name = "sm3"
    curve_oid = "1.2.156.10197.1.301"
    signature_oid = "1.2.156.10197.1.501"

    def __init__(self, user_id: bytes = DEFAULT_USER_ID) -> None:
        """:raises SuiteUnavailable: if the library lacks SM2 or fails the standard's own example."""
        self._user_id = user_id
        self._lib = libcrypto.load()
        self._sm3 = self._lib.EVP_sm3()
        self._cached_public_key = lru_cache(maxsize=1024)(self._read_public_key)
        _self_test(self)

    def digest(self, data: bytes) -> bytes:
        return sm3(data)

    def sign(self, private_key: PrivateKeyHandle, data: bytes) -> bytes:
        operation = _Operation(self, self._native(private_key), self._lib.EVP_DigestSignInit)
        try:
            signature = ctypes.create_string_buffer(LONGEST_SIGNATURE)
            length = ctypes.c_size_t(LONGEST_SIGNATURE)
            if self._lib.EVP_DigestSign(operation.context, signature, length, data, len(data)) != 1:
                raise self._failed("OpenSSL 拒绝签名。")
            return signature.raw[: length.value]
        finally:
            operation.close()

    def verify(self, public_key: PublicKeyHandle, data: bytes, signature: bytes) -> bool:
        operation = _Operation(self, self._native(public_key), self._lib.EVP_DigestVerifyInit)
        try:
            result = self._lib.EVP_DigestVerify(operation.context, signature, len(signature), data, len(data))
        finally:
            operation.close()
        if result != 1:
            self._lib.ERR_clear_error()  # else Python's ssl, which shares the queue, would report our error as its own
        return bool(result == 1)

    def load_private_key(self, pem: bytes, password: bytes | None = None) -> PrivateKeyHandle:
        source = self._lib.BIO_new_mem_buf(pem, len(pem))
        try:  # without a password an empty one is given, for with none OpenSSL would ask at the terminal
            pointer = self._lib.PEM_read_bio_PrivateKey(source, None, None, password or b"")
        finally:
            self._lib.BIO_free(source)
        if not pointer:
            raise self._unusable("私钥无法读取，或口令不对。")
        return self._private_handle(_EvpKey(pointer, self._lib.EVP_PKEY_free))

    def load_public_key(self, spki_der: bytes) -> PublicKeyHandle:
        return self._cached_public_key(bytes(spki_der))

    def generate_private_key(self) -> PrivateKeyHandle:
        context = self._lib.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
        pointer = ctypes.c_void_p()
        try:
            if (
                not context
                or self._lib.EVP_PKEY_keygen_init(context) != 1
                or self._lib.EVP_PKEY_generate(context, pointer) != 1
            ):
                raise self._failed("OpenSSL 不能生成 SM2 密钥。")
        finally:
            self._lib.EVP_PKEY_CTX_free(context)
        return self._private_handle(_EvpKey(pointer.value, self._lib.EVP_PKEY_free))

    def private_key_pem(self, private_key: PrivateKeyHandle, password: bytes | None = None) -> bytes:
        sink = self._lib.BIO_new(self._lib.BIO_s_mem())
        try:
            cipher = self._lib.EVP_aes_256_cbc() if password else None
            key = self._native(private_key).pointer
            written = self._lib.PEM_write_bio_PKCS8PrivateKey(
                sink, key, cipher, password, len(password or b""), None, None
            )
            if written != 1:
                raise self._failed("OpenSSL 不能写出私钥。")
            pem = ctypes.create_string_buffer(self._lib.BIO_ctrl_pending(sink))
            self._lib.BIO_read(sink, pem, len(pem))
            return pem.raw
        finally:
            self._lib.BIO_free(sink)

    def _private_handle(self, key: "_EvpKey") -> PrivateKeyHandle:
        if self._lib.EVP_PKEY_is_a(key.pointer, b"SM2") != 1:
            raise self._unusable("私钥不在 SM2 曲线上。")
        spki = ctypes.create_string_buffer(self._lib.i2d_PUBKEY(key.pointer, None))
        self._lib.i2d_PUBKEY(key.pointer, ctypes.pointer(ctypes.c_void_p(ctypes.addressof(spki))))
        self._check_spki(spki.raw)
        return PrivateKeyHandle(self.id, spki.raw, key)

    def _read_public_key(self, spki: bytes) -> PublicKeyHandle:
        self._check_spki(spki)
        source = ctypes.create_string_buffer(spki, len(spki))
        start = ctypes.c_void_p(ctypes.addressof(source))
        pointer = self._lib.d2i_PUBKEY(None, start, len(spki))
        if not pointer:
            raise self._unusable("公钥不是 SM2 曲线上的点。")
        key = _EvpKey(pointer, self._lib.EVP_PKEY_free)
        context = self._lib.EVP_PKEY_CTX_new(pointer, None)
        try:
            sound = self._lib.EVP_PKEY_is_a(pointer, b"SM2") == 1 and self._lib.EVP_PKEY_public_check(context) == 1
        finally:
            self._lib.EVP_PKEY_CTX_free(context)
        if not sound:
            raise self._unusable("公钥不是 SM2 曲线上的点。")
        return PublicKeyHandle(self.id, spki, key)

    def _unusable(self, message: str) -> KeyNotUsable:
        self._lib.ERR_clear_error()
        return KeyNotUsable(message, suite=self.id)

    def _failed(self, message: str) -> SuiteUnavailable:
        self._lib.ERR_clear_error()
        return SuiteUnavailable(message, suite=self.id)


class _EvpKey:
    """Owns one EVP_PKEY. OpenSSL lets threads share it for signing and verifying."""

    __slots__ = ("_free", "pointer")

    def __init__(self, pointer: int | None, free: Callable[[int | None], None]) -> None:
        self.pointer = pointer
        self._free = free

    def __del__(self) -> None:
        self._free(self.pointer)


class _Operation:
    """The two contexts of one signature, with the user id set before the digest starts; `close` frees them."""

    __slots__ = ("_key_context", "_lib", "context")

    def __init__(self, suite: Sm2Sm3, key: _EvpKey, start: Callable[..., int]) -> None:
        self._lib: Any = suite._lib
        self.context = self._lib.EVP_MD_CTX_new()
        self._key_context = self._lib.EVP_PKEY_CTX_new(key.pointer, None)
        user_id = suite._user_id
        if self._lib.EVP_PKEY_CTX_set1_id(self._key_context, user_id, len(user_id)) == 1:
            self._lib.EVP_MD_CTX_set_pkey_ctx(self.context, self._key_context)
            if start(self.context, None, suite._sm3, None, key.pointer) == 1:
                return
        self.close()
        raise suite._failed("OpenSSL 不能开始 SM2 运算。")

    def close(self) -> None:
        self._lib.EVP_MD_CTX_free(self.context)
        self._lib.EVP_PKEY_CTX_free(self._key_context)


# The example of GB/T 32918.5, annex A.2: the public key and the signature of "message digest".
_POINT = (
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_R_AND_S = (
    "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)


def _self_test(suite: Sm2Sm3) -> None:
    """Refuse a library that gets the standard's example wrong: it accepts it, no other text, and its own signature."""
    if suite._user_id != DEFAULT_USER_ID:
        return  # the example is for the default id
    message = b"message digest"
    try:
        key = suite.load_public_key(SPKI_HEAD[suite.id] + bytes.fromhex(_POINT))
        example = der.signature_from_raw(bytes.fromhex(_R_AND_S))
        own_key = suite.generate_private_key()
        passed = (
            suite.verify(key, message, example)
            and not suite.verify(key, message + b".", example)
            and suite.verify(suite.public_key_of(own_key), message, suite.sign(own_key, message))
        )
    except KeyNotUsable as error:
        raise SuiteUnavailable(f"本机 OpenSSL 不能使用 SM2 密钥：{error}", suite=suite.id) from error
    if not passed:
        raise SuiteUnavailable("本机 OpenSSL 未通过 GB/T 32918.5 示例自检。", suite=suite.id)
