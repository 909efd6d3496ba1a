"""A zip that is the same bytes for the same content: entries in the order given, no dates, no attributes.

Entries are written as they come; what is kept of each is its digest, for the manifest that ends the archive.
"""

import zipfile
from collections.abc import Iterable
from typing import IO, Any, Self

from cryptography.hazmat.primitives import hashes

from core.digests import sm3_hex
from evidence.formats import canonical

FORMAT = "guoku-bundle/1"
MANIFEST = "manifest.json"
MOST_FILES = 50_000  # what the verifier reads at most


class Archive:
    """A bundle being written, within `with`. Without `finish` it has no manifest, and verifies as nothing."""

    def __init__(self, out: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)
        self.files: list[dict[str, Any]] = []

    def add(self, path: str, content: bytes) -> None:
        """Write one file whole."""
        self._zip.writestr(_info(path), content)
        self._note(path, sm3_hex(content), len(content))

    def add_json(self, path: str, value: Any) -> None:
        self.add(path, canonical(value).encode())

    def add_lines(self, path: str, lines: Iterable[str]) -> int:
        """Write one file line by line; returns how many lines there were."""
        digest, size, count = hashes.Hash(hashes.SM3()), 0, 0
        with self._zip.open(_info(path), "w") as target:
            for line in lines:
                content = line.encode() + b"\n"
                target.write(content)
                digest.update(content)
                size, count = size + len(content), count + 1
        self._note(path, digest.finalize().hex(), size)
        return count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()

    def finish(self, made_at: str) -> None:
        """Write the manifest."""
        manifest = {"files": sorted(self.files, key=lambda file: file["path"]), "format": FORMAT, "made_at": made_at}
        self._zip.writestr(_info(MANIFEST), canonical(manifest).encode())

    def _note(self, path: str, digest: str, size: int) -> None:
        self.files.append({"path": path, "sm3": digest, "size": size})


def _info(path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path)  # dated 1980-01-01
    info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
    return info
