"""Certificate requests (PKCS#10) for keys that may never leave their token: whoever holds the key signs the bytes.

Source: RFC 2986; the signature suite is the key's own.
"""

from collections.abc import Callable

from seals import der
from seals.suites import get_suite


def build_csr(holder: str, spki: bytes, suite_id: str, sign: Callable[[bytes], bytes]) -> str:
    """The request in PEM: subject C=CN, CN=`holder`. The authority takes the rest from its own register.

    :param sign: signs data (not a digest) with the private half of `spki`; returns the DER signature value.
    """
    subject = der.write(
        der.SEQUENCE, _name("2.5.4.6", der.PRINTABLE_STRING, "CN"), _name("2.5.4.3", der.UTF8_STRING, holder)
    )
    info = der.write(der.SEQUENCE, der.integer(0), subject, spki, der.write(0xA0))
    parameters = der.write(der.NULL) if suite_id.startswith("rsa") else b""  # RFC 4055 §5; RFC 5758 wants none
    algorithm = der.write(der.SEQUENCE, der.oid(get_suite(suite_id).signature_oid), parameters)
    request = der.write(der.SEQUENCE, info, algorithm, der.write(der.BIT_STRING, b"\0", sign(info)))
    return der.pem("CERTIFICATE REQUEST", request).decode("ascii")


def _name(kind: str, tag: int, text: str) -> bytes:
    return der.write(der.SET, der.write(der.SEQUENCE, der.oid(kind), der.write(tag, text.encode("utf-8"))))
