"""Write a bundle: vouchers with all that proves them, to be verified by anybody, anywhere. docs/signatures.md §7."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import IO
from uuid import UUID

from django.db import connection, transaction

from evidence.formats import instant
from reconciliation.bundles.archive import MOST_FILES, Archive
from reconciliation.bundles.choosing import sealed
from reconciliation.bundles.collecting import Collected, Involved, collect
from reconciliation.bundles.errors import BundleEmpty, BundleNumbersClash, BundleTooLarge, VoucherNotFound
from reconciliation.bundles.log_parts import LogPart, parts_of
from reconciliation.bundles.trust import trust_of

VERIFIER = Path(__file__).resolve().parents[2] / "verifier" / "guoku_verify.py"
README = Path(__file__).with_name("README.txt")
LOT = 500  # vouchers read at a time
MOST_VOUCHERS = 8_000
_BESIDES = 2_000  # files of certificates, lists and logs, with room


@dataclass(frozen=True)
class Exported:
    """What a bundle holds. `unrooted` entries are in no signed root yet: the verifier cannot date them."""

    vouchers: int
    receipts: int
    approvals: int
    entries: int
    unrooted: int
    files: int


def export_bundle(
    voucher_ids: Sequence[UUID], out: Path | IO[bytes], *, now: datetime, whole_log: bool = False
) -> Exported:
    """Write these vouchers into a bundle, in one read-only snapshot; a file appears whole or not at all.

    The number of SQL statements grows only with every 500 vouchers. The same data and `now` give the same bytes.

    :param out: where to; a stream must be seekable.
    :param whole_log: with the whole logs of their regions and years instead of the entries about them.
    :raises BundleEmpty, BundleTooLarge: for none, or more than 8,000 vouchers.
    :raises VoucherNotFound: if one is unknown or not sealed.
    :raises BundleNumbersClash: if two of different regions or years have one type and number.
    :raises LogDamaged: if entries of the log are missing, so that no proof can be made.
    """
    if not voucher_ids:
        raise BundleEmpty("没有要导出的凭证。", field="voucher")
    if len(set(voucher_ids)) > MOST_VOUCHERS:
        raise BundleTooLarge(
            f"一个凭证包最多 {MOST_VOUCHERS} 张凭证，请按日期分批导出。", field="voucher", given=len(voucher_ids)
        )
    if not isinstance(out, Path):
        return _in_a_snapshot(voucher_ids, out, whole_log, now)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as target:
            os.fchmod(target.fileno(), 0o600)  # names and accounts of payees
            exported = _in_a_snapshot(voucher_ids, target, whole_log, now)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return exported


def _in_a_snapshot(ids: Sequence[UUID], out: IO[bytes], whole_log: bool, now: datetime) -> Exported:
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        with Archive(out) as archive:
            return _Bundle(archive).write(ids, whole_log, now)


class _Bundle:
    def __init__(self, archive: Archive) -> None:
        self._archive, self._involved = archive, Involved()
        self._vouchers = self._receipts = self._approvals = 0

    def write(self, ids: Sequence[UUID], whole_log: bool, now: datetime) -> Exported:
        for collected in self._collected(ids):
            self._folder(collected)
        if len(self._archive.files) > MOST_FILES - _BESIDES:
            raise BundleTooLarge("凭证包里的文件太多，请按日期分批导出。", field="voucher")
        parts = parts_of(self._involved.facts, whole=whole_log)
        entries = sum(self._log(part) for part in parts)
        self._trust(parts)
        self._archive.add("verify.py", VERIFIER.read_bytes())
        self._archive.add("README.txt", README.read_bytes())
        self._archive.finish(instant(now))
        return Exported(
            self._vouchers,
            self._receipts,
            self._approvals,
            entries,
            sum(part.unrooted for part in parts),
            len(self._archive.files) + 1,
        )

    def _collected(self, ids: Sequence[UUID]) -> Iterator[Collected]:
        """All of them, in the order of type and number."""
        rows = sealed().filter(pk__in=ids).order_by("voucher_type", "voucher_no", "pk")
        found = list(rows.values_list("pk", "voucher_type", "voucher_no"))
        missing = set(ids) - {pk for pk, _kind, _number in found}
        if missing:
            raise VoucherNotFound("凭证不存在或尚未签章。", field="voucher", missing=sorted(map(str, missing))[:5])
        for (_pk, *one), (_other, *next_one) in pairwise(found):
            if one == next_one:
                raise BundleNumbersClash(
                    f"不同区划或年度都有 {one[0]}/{one[1]}，请分开导出。", field="voucher", given="/".join(one)
                )
        for start in range(0, len(found), LOT):
            yield from collect([pk for pk, _kind, _number in found[start : start + LOT]], self._involved)

    def _folder(self, collected: Collected) -> None:
        self._archive.add(f"{collected.folder}/voucher.txt", collected.text)
        self._archive.add_json(f"{collected.folder}/voucher.json", collected.voucher)
        for number, (said, text) in enumerate(collected.receipts, start=1):
            self._archive.add(f"{collected.folder}/receipt-{number}.txt", text)
            self._archive.add_json(f"{collected.folder}/receipt-{number}.json", said)
        self._archive.add_json(f"{collected.folder}/approvals.json", list(collected.approvals))
        self._vouchers += 1
        self._receipts += len(collected.receipts)
        self._approvals += len(collected.approvals)

    def _log(self, part: LogPart) -> int:
        count = self._archive.add_lines(f"{part.folder}/entries.jsonl", part.entries())
        if part.proofs is not None:
            self._archive.add_lines(f"{part.folder}/proofs.jsonl", part.proof_lines())
        self._archive.add_lines(f"{part.folder}/roots.jsonl", part.root_lines())
        return count

    def _trust(self, parts: Sequence[LogPart]) -> None:
        roots = [root for part in parts for root in part.roots]
        self._involved.note_root_signers(root.certificate_serial for root in roots)
        trusted = trust_of(self._involved, [root.token for root in roots if root.token is not None])
        for path, content in trusted.files.items():
            self._archive.add(path, content)
        self._archive.add_json("parties.json", trusted.parties)
