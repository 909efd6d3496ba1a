"""SM3 (GB/T 32905) from the library Python's ssl uses, else from `cryptography`; both pass the standard's vectors."""

import hashlib
from typing import IO

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


def sm3_stream(file: IO[bytes]) -> str:
    """The SM3 (hex) of what is left of a file, read piece by piece."""
    try:
        digest = hashlib.new("sm3")
    except ValueError:
        return sm3_hex(file.read())
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()
