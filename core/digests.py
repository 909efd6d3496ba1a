"""SM3 (GB/T 32905) from the library Python's ssl uses, else from `cryptography`; both pass the standard's vectors."""

import hashlib
from typing import IO, Any

from cryptography.hazmat.primitives import hashes


def sm3(data: bytes) -> bytes:
    """32 bytes: the SM3 digest of `data`."""
    try:
        return hashlib.new("sm3", data).digest()
    except ValueError:  # a Python built against a library without SM3
        digest = hashes.Hash(hashes.SM3())
        digest.update(data)
        return digest.finalize()


def sm3_hex(data: bytes) -> str:
    """64 lower-case hexadecimal digits: the SM3 digest of `data`."""
    return sm3(data).hex()


class Sm3:
    """The same over bytes that come in pieces: `update` each, then ask once for `hexdigest`."""

    def __init__(self) -> None:
        self._digest: Any
        try:
            self._digest = hashlib.new("sm3")
        except ValueError:
            self._digest = hashes.Hash(hashes.SM3())

    def update(self, data: bytes) -> None:
        self._digest.update(data)

    def hexdigest(self) -> str:
        if isinstance(self._digest, hashes.Hash):
            return self._digest.finalize().hex()
        return str(self._digest.hexdigest())


def sm3_stream(file: IO[bytes]) -> str:
    """The SM3 (hex) of what is left of a file, read piece by piece."""
    digest = Sm3()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()
