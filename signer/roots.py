"""The signer's own memory of the evidence log: it signs a root only if the log still begins as it did.

For each stream a file in `settings.GUOKU_SIGNER_STATE` keeps a line of JSON for every root signed, on the disk before
the signature is given out. The database is not asked: whoever rewrites, cuts or restores it does not reach this file. A
log that is shorter or another one is refused until two operators accept it (`manage.py accept_shorter_log`).
Source: docs/signatures.md §6.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings

from core.merkle import EMPTY, verify_consistency
from evidence.formats import ROOT_PREFIX, SYSTEM_STREAM, instant, root_text
from parties.models import Region
from signer.errors import refused

CLOCK_LEEWAY = timedelta(minutes=5)
LONGEST_LINE = 4096
LONGEST_TEXT = 1024

_STREAM = re.compile(r"([0-9]{6}(?:[0-9]{3})?)/([0-9]{4})|system/0")
_HEX_64 = re.compile(r"[0-9a-f]{64}")
T = TypeVar("T")


@dataclass(frozen=True)
class Root:
    """What a root text says."""

    stream: str
    size: int
    root: str
    at: str


def read_root(text: bytes) -> Root:
    """Read a root text, which must be the one spelling of what it says.

    :raises SealingRefused: not_a_root.
    """
    try:
        value = json.loads(text.removeprefix(ROOT_PREFIX)) if len(text) <= LONGEST_TEXT else None
        if not text.startswith(ROOT_PREFIX) or not isinstance(value, dict):
            raise ValueError("not a root")
        read = Root(**value)
        at = datetime.strptime(read.at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if (
            type(read.size) is not int
            or read.size < 0
            or not _STREAM.fullmatch(read.stream)
            or not _HEX_64.fullmatch(read.root)
            or (read.size == 0) != (read.root == EMPTY.hex())
            or text != root_text(stream=read.stream, size=read.size, root=read.root, at=at)
        ):
            raise ValueError("another spelling")
    except (ValueError, TypeError) as error:
        raise refused("not_a_root", "不是存证日志的根。") from error
    return read


def sign_root(
    *,
    organisation_code: str,
    text: bytes,
    earlier: int,
    path: Sequence[bytes],
    sign: Callable[[bytes], T],
    now: datetime,
) -> T:
    """Have a root signed if its log begins with the last one signed for the stream.

    :param earlier: over how many entries the caller's proof starts; where the signer's last root is another one, the
        refusal `log_proof_differs` says over how many (facts: size).
    :raises SealingRefused: not_a_root, root_not_current, organisation_differs, log_proof_differs, log_shortened,
        log_forked.
    """
    root = read_root(text)
    stated = datetime.strptime(root.at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if abs(now - stated) > CLOCK_LEEWAY:
        raise refused("root_not_current", "根的时间不是现在。", at=root.at)
    _check_organisation(root.stream, organisation_code)
    with _memory(root.stream) as file:
        last = _last(file)
        if last is not None:
            _check_continues(root, last, earlier, path)
        _append(file, {"at": root.at, "root": root.root, "size": root.size, "stream": root.stream})
        return sign(text)


def accept(*, stream: str, size: int, root: str, reason: str, by: str, second: str, now: datetime) -> Root | None:
    """Let a stream go on from this root although it is shorter or another one; returns what was remembered before.

    :raises SealingRefused: not_a_root, two_persons_required, reason_required.
    """
    if not _STREAM.fullmatch(stream) or not _HEX_64.fullmatch(root) or size < 0 or (size == 0) != (root == EMPTY.hex()):
        raise refused("not_a_root", "日志名、条数或根的写法不正确。", stream=stream)
    if not by.strip() or not second.strip() or by.strip() == second.strip():
        raise refused("two_persons_required", "须写明两个不同的经办人。")
    if len(reason.strip()) < 8:
        raise refused("reason_required", "请写明原因（至少 8 个字）。")
    with _memory(stream) as file:
        last = _last(file)
        line = {"accepted": {"by": by.strip(), "reason": reason.strip(), "second": second.strip()}}
        _append(file, {"at": instant(now), "root": root, "size": size, "stream": stream, **line})
    return last


def _check_organisation(stream: str, organisation_code: str) -> None:
    """A stream's roots are signed by its finance bureau; those of the system by any of them."""
    regions = Region.objects.filter(finance_organisation=organisation_code)
    if stream != SYSTEM_STREAM:
        regions = regions.filter(adm_div_code=stream.partition("/")[0])
    if not regions.exists():
        raise refused(
            "organisation_differs", "该机构不能签发这个日志的根。", organisation=organisation_code, stream=stream
        )


def _check_continues(root: Root, last: Root, earlier: int, path: Sequence[bytes]) -> None:
    facts: dict[str, Any] = {"stream": root.stream, "size": last.size, "root": last.root}
    if root.size < last.size:
        raise refused("log_shortened", "日志比上次签名时短：可能被截断，或数据库恢复到了旧备份。", **facts)
    if root.size == last.size:
        if root.root != last.root:
            raise refused("log_forked", "日志与上次签名时不同：已有内容被改写。", **facts)
        return
    if last.size == 0:
        return  # every log begins with nothing
    if earlier != last.size:
        raise refused("log_proof_differs", "一致性证明不是从本服务上次签名的根开始的。", **facts)
    if not verify_consistency(last.size, bytes.fromhex(last.root), root.size, bytes.fromhex(root.root), path):
        raise refused("log_forked", "日志与上次签名时不同：已有内容被改写。", **facts)


@contextmanager
def _memory(stream: str) -> Iterator[int]:
    """The stream's file, locked against other threads, other processes and the operators' command."""
    config: Any = settings  # of treasury.settings.signer
    folder = Path(config.GUOKU_SIGNER_STATE)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / f"roots-{stream.replace('/', '-')}.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _last(handle: int) -> Root | None:
    """The last whole line. One that was cut off by a crash belongs to a root that was never given out."""
    end = os.fstat(handle).st_size
    start = max(0, end - 2 * LONGEST_LINE)
    whole, newline, _cut = os.pread(handle, end - start, start).rpartition(b"\n")
    if not newline:
        return None
    value: dict[str, Any] = json.loads(whole.rpartition(b"\n")[2])
    return Root(value["stream"], value["size"], value["root"], value["at"])


def _append(handle: int, value: dict[str, Any]) -> None:
    end = os.fstat(handle).st_size
    cut = end and os.pread(handle, 1, end - 1) != b"\n"
    if cut:
        start = max(0, end - 2 * LONGEST_LINE)
        os.ftruncate(handle, start + os.pread(handle, end - start, start).rfind(b"\n") + 1)
    line = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    if len(line) > LONGEST_LINE or os.write(handle, line) != len(line):
        raise OSError("the root could not be remembered")
    os.fsync(handle)
