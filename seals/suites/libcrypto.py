"""The OpenSSL functions SM2 needs, taken from the libcrypto that Python's own `ssl` has loaded.

ctypes rather than a compiled binding: no compiler, no wheel, and the library gets its security updates with the
operating system. Calls release the GIL.
"""

import ctypes
import ctypes.util
import ssl
from collections.abc import Iterator
from ctypes import POINTER, c_char_p, c_int, c_long, c_size_t, c_ulong, c_void_p
from types import ModuleType

from seals.errors import SuiteUnavailable

_PROTOTYPES: dict[str, tuple[object, ...]] = {  # name: result type, argument types
    "OpenSSL_version_num": (c_ulong,),
    "ERR_clear_error": (None,),
    "EVP_sm3": (c_void_p,),
    "EVP_aes_256_cbc": (c_void_p,),
    "EVP_MD_CTX_new": (c_void_p,),
    "EVP_MD_CTX_free": (None, c_void_p),
    "EVP_MD_CTX_set_pkey_ctx": (None, c_void_p, c_void_p),
    "EVP_PKEY_CTX_new": (c_void_p, c_void_p, c_void_p),
    "EVP_PKEY_CTX_new_from_name": (c_void_p, c_void_p, c_char_p, c_char_p),
    "EVP_PKEY_CTX_free": (None, c_void_p),
    "EVP_PKEY_CTX_set1_id": (c_int, c_void_p, c_char_p, c_int),
    "EVP_PKEY_keygen_init": (c_int, c_void_p),
    "EVP_PKEY_generate": (c_int, c_void_p, POINTER(c_void_p)),
    "EVP_PKEY_public_check": (c_int, c_void_p),
    "EVP_PKEY_is_a": (c_int, c_void_p, c_char_p),
    "EVP_PKEY_free": (None, c_void_p),
    "EVP_DigestSignInit": (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "EVP_DigestSign": (c_int, c_void_p, c_void_p, POINTER(c_size_t), c_char_p, c_size_t),
    "EVP_DigestVerifyInit": (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "EVP_DigestVerify": (c_int, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t),
    "d2i_PUBKEY": (c_void_p, c_void_p, POINTER(c_void_p), c_long),
    "i2d_PUBKEY": (c_int, c_void_p, POINTER(c_void_p)),
    "BIO_new": (c_void_p, c_void_p),
    "BIO_s_mem": (c_void_p,),
    "BIO_new_mem_buf": (c_void_p, c_char_p, c_int),
    "BIO_free": (c_int, c_void_p),
    "BIO_read": (c_int, c_void_p, c_void_p, c_int),
    "BIO_ctrl_pending": (c_size_t, c_void_p),
    "PEM_read_bio_PrivateKey": (c_void_p, c_void_p, c_void_p, c_void_p, c_char_p),
    "PEM_write_bio_PKCS8PrivateKey": (
        c_int, c_void_p, c_void_p, c_void_p, c_char_p, c_int, c_void_p, c_void_p,
    ),
}  # fmt: skip


def load() -> ctypes.CDLL:
    """The library with its prototypes declared.

    :raises SuiteUnavailable: if no OpenSSL 3 with SM3 can be reached from this Python.
    """
    tried = []
    for origin, candidate in _candidates():
        try:
            library = ctypes.CDLL(candidate)
            _declare(library)
        except (OSError, AttributeError) as error:
            tried.append(f"{origin}: {error}")
            continue
        if library.EVP_sm3():
            return library
        tried.append(f"{origin}: has no SM3")
    raise SuiteUnavailable(
        "SM2 需要含 SM2、SM3 的 OpenSSL 3，本机 Python 找不到"
        f"（{ssl.OPENSSL_VERSION}；{'；'.join(tried)}）。请改用链接系统 OpenSSL 的 Python。",
        openssl=ssl.OPENSSL_VERSION,
    )


def _candidates() -> Iterator[tuple[str, str | None]]:
    import _ssl  # the extension module itself: looking a symbol up in it searches the libcrypto it was linked to

    module: ModuleType = _ssl
    if path := getattr(module, "__file__", None):
        yield "the library of Python's ssl", path
    yield "the Python executable", None
    if name := ctypes.util.find_library("crypto"):
        yield name, name


def _declare(library: ctypes.CDLL) -> None:
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
