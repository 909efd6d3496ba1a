"""Look for private keys in a running process: in its memory, its environment and its command line.

What is looked for are the ways a key can lie there: its PEM text, the DER inside, and the private number itself in
either byte order (libraries keep big numbers as machine words, least significant first). A walk that finds nothing
proves something only beside one that finds the key where it must be; `tests/signer/test_memory.py` shows both.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seals import der
from seals.certificates import parse_certificate
from seals.suites import get_suite

WINDOW = 4 * 1024 * 1024
_PEM = re.compile(rb"-----BEGIN (?:EC )?PRIVATE KEY-----(.+?)-----END", re.DOTALL)
_REGION = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (r\S+) \S+ \S+ \S+\s*(.*)")
_UNREADABLE = ("[vvar]", "[vsyscall]", "[vvar_vclock]")


@dataclass(frozen=True)
class Find:
    """Where what was found."""

    what: str
    where: str


def needles(pem: bytes) -> dict[str, bytes]:
    """What gives a private key (plain PKCS#8 or SEC 1, PEM) away, by name."""
    match = _PEM.search(pem)
    assert match is not None, "an encrypted key, or none"
    body = match[1].strip()
    encoded = base64.b64decode(body)
    number = private_number(encoded)
    return {
        "PEM text": body.splitlines()[0],  # the first line holds the beginning of the number
        "PEM second line": body.splitlines()[1],
        "DER": encoded[-96:],
        "number, most significant first": number,
        "number, least significant first": number[::-1],
    }


def private_number(encoded: bytes) -> bytes:
    """The private number inside PKCS#8 (RFC 5208): of an EC key (RFC 5915), or the first prime of an RSA key."""
    fields = der.read_all(der.read(encoded)[0].value)
    if fields[1].tag == der.SEQUENCE:  # PKCS#8: version, algorithm, OCTET STRING
        return private_number(fields[2].value)
    if fields[0].value == b"\1":
        assert (fields[1].tag, len(fields[1].value)) == (der.OCTET_STRING, 32)
        return fields[1].value
    return fields[4].value.lstrip(b"\0")


def keys_below(folder: Path, password: str = "") -> dict[str, bytes]:
    """Every needle of every key.pem below a folder, by path and name; encrypted ones are opened with the password.

    Without a password only plain keys are looked for.
    """
    found = {}
    for path in sorted(folder.rglob("key.pem")):
        pem = path.read_bytes()
        if b"ENCRYPTED" in pem:
            if not password:
                continue
            suite = get_suite(parse_certificate((path.parent / "cert.pem").read_bytes()).suite_id)
            pem = suite.private_key_pem(suite.load_private_key(pem, password.encode()))
        found |= {f"{path.relative_to(folder)}: {name}": needle for name, needle in needles(pem).items()}
    return found


def children_of(pid: int) -> list[int]:
    """The processes a process has started and that still run."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def search_process(pid: int, wanted: Mapping[str, bytes]) -> list[Find]:
    """Every needle that is in the memory, environment or command line of the process.

    :raises PermissionError: if the kernel does not let us look; run as root or as the process's user.
    """
    finds = []
    for place in ("environ", "cmdline"):
        content = Path(f"/proc/{pid}/{place}").read_bytes()
        finds += [Find(name, place) for name, needle in wanted.items() if needle in content]
    longest = max(map(len, wanted.values()))
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, name in _regions(pid):
            tail = b""
            for window in _windows(memory, start, end):
                content = tail + window
                finds += [Find(what, name) for what, needle in wanted.items() if needle in content]
                tail = content[-(longest - 1) :]
    return finds


def bytes_readable(pid: int) -> int:
    """How much of the process's memory a search looks at, so that a test can tell a search of nothing."""
    return sum(end - start for start, end, _name in _regions(pid))


def _regions(pid: int) -> Iterator[tuple[int, int, str]]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        match = _REGION.match(line)
        if match is not None and match[4] not in _UNREADABLE:
            yield int(match[1], 16), int(match[2], 16), match[4] or "anonymous"


def _windows(memory: object, start: int, end: int) -> Iterator[bytes]:
    position = start
    while position < end:
        with suppress(OSError, OverflowError, ValueError):
            memory.seek(position)  # type: ignore[attr-defined]
            yield memory.read(min(WINDOW, end - position))  # type: ignore[attr-defined]
        position += WINDOW
