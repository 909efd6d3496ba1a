"""Where a private key lies: in a file of this machine, or in a device that never gives it out. One shape for both."""

from typing import Protocol

from seals.certificates import ParsedCertificate


class Key(Protocol):
    """A key and the certificate it belongs to."""

    @property
    def certificate(self) -> ParsedCertificate: ...

    def sign(self, data: bytes) -> bytes:
        """The DER signature value over `data`, with the suite of the certificate.

        :raises KeyNotUsable: if the key does not answer, or not as the certificate's.
        """
