"""The audit of the log: what somebody changed, took away or slipped in, named by table and row.

Everything is computed anew from what is stored, some thousands of entries at a time: payloads from the facts, entries
from their columns, roots from the entries. Whoever owns the database can rewrite all of that alike; then the signed
roots, their time stamps and the anchors outside disagree.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import connection
from django.db.models import Max

from core.merkle import CompactRange
from evidence import anchors, kinds, streams
from evidence.errors import UnknownKind
from evidence.formats import VANISHED, entry_hash, entry_text, payload_hash, root_text
from evidence.kinds import Kind
from evidence.models import Entry, EvidenceRoot
from evidence.selectors import payloads_of, placed_entries
from evidence.triggers import all_witnesses

# What is wrong with a root's signature or its token, as a sentence; "" if nothing is.
RootVerifier = Callable[[bytes, bytes, str], str]  # root text, signature, serial of the certificate
TokenVerifier = Callable[[bytes, bytes], str]  # root text, token


@dataclass(frozen=True)
class LogFinding:
    """One disagreement. `code` is stable: gap, chain_broken, entry_altered, payload_differs, fact_missing,
    fact_unnoted, kind_unknown, root_differs, root_signature, token_refused, truncated, forked, unreadable.

    `table` and `row` name the row to look at: the fact, the entry or the root; "" for what is outside the database.
    """

    code: str
    stream: str
    table: str
    row: str
    message: str
    seq: int | None = None


def check_log(
    region: str | None = None, *, verify_root: RootVerifier | None = None, verify_token: TokenVerifier | None = None
) -> Iterator[LogFinding]:
    """Walk the log of a region, or with None of every region and of the system itself.

    Reads every entry and every fact once. May run while facts are written.
    """
    newest = EvidenceRoot.objects.aggregate(last=Max("id"))["last"] or 0  # before the sizes: a root never runs ahead
    for stream, size in streams.sizes().items():
        if region is None or stream.startswith(f"{region}/"):
            yield from _Walk(stream, size, newest, verify_root, verify_token).findings()
    for kind in kinds.all_kinds():
        yield from _unnoted(kind, region)
    for finding in anchors.check_anchors():
        if region is None or finding.stream.startswith(f"{region}/") or not finding.stream:
            yield LogFinding(finding.problem, finding.stream, "", "", finding.message, finding.size)


class _Walk:
    """One stream from its first entry to its last, with the roots that were made on the way."""

    def __init__(
        self,
        stream: str,
        size: int,
        newest: int,
        verify_root: RootVerifier | None,
        verify_token: TokenVerifier | None,
    ) -> None:
        self._stream, self._size = stream, size
        self._verify_root, self._verify_token = verify_root, verify_token
        rooted = EvidenceRoot.objects.filter(stream=stream, id__lte=newest).order_by("size", "id")
        self._roots = rooted.prefetch_related("timestamps").iterator(chunk_size=1000)
        self._range = CompactRange()
        self._prev, self._expected = "", 1
        self._differs = False  # the last root did: those after it are then no news
        self._unknown: set[str] = set()

    def findings(self) -> Iterator[LogFinding]:
        root = next(self._roots, None)
        for entries in placed_entries(self._stream, upto=self._size):
            yield from self._entries(entries)
            leaves = [_leaf(entry) for entry in entries]
            while root is not None and root.size <= self._range.size + len(leaves):
                count = root.size - self._range.size
                self._range, leaves = self._range.extended(leaves[:count]), leaves[count:]
                yield from self._root(root)
                root = next(self._roots, None)
            self._range = self._range.extended(leaves)
        if root is not None:
            yield self._about(
                "truncated",
                root,
                f"根 {root.pk} 覆盖 {root.size} 条，而日志只有 {self._range.size} 条：日志末尾被截去。",
            )

    def _entries(self, entries: list[Entry]) -> Iterator[LogFinding]:
        known = [entry for entry in entries if entry.kind not in self._unknown]
        try:
            contents = payloads_of(known)
        except UnknownKind as unknown:
            self._unknown.add(unknown.facts["kind"])
            yield LogFinding("kind_unknown", self._stream, "", "", unknown.message)
            yield from self._entries(entries)
            return
        for entry in entries:
            yield from self._place(entry)
            if entry.kind not in self._unknown:
                yield from self._fact(entry, contents.get((entry.kind, entry.subject_id)))

    def _place(self, entry: Entry) -> Iterator[LogFinding]:
        seq = entry.seq or 0
        if seq != self._expected:
            yield self._of(entry, "gap", f"日志 {self._stream} 缺少第 {self._expected} 至 {seq - 1} 条。")
        elif entry.prev != self._prev:
            yield self._of(entry, "chain_broken", f"日志 {self._stream} 第 {seq} 条没有接在前一条之后。")
        text = entry_text(
            stream=entry.stream,
            seq=seq,
            kind=entry.kind,
            subject=entry.subject,
            at=entry.noted_at,
            payload_sm3=entry.payload_sm3 or "",
            prev=entry.prev or "",
        )
        if entry_hash(text) != entry.entry_sm3:
            yield self._of(entry, "entry_altered", f"日志 {self._stream} 第 {seq} 条与其摘要不符：条目被改动。")
        self._expected, self._prev = seq + 1, entry.entry_sm3 or ""

    def _fact(self, entry: Entry, payload: str | None) -> Iterator[LogFinding]:
        if payload is None:
            code, says = "fact_missing", "日志记有此事，而该行已不存在"
            if entry.payload_sm3 == payload_hash(VANISHED):
                says = "该行在记入日志之前已被删除"
        elif payload_hash(payload) != entry.payload_sm3:
            code, says = "payload_differs", "该行与记入日志时不同：内容被改动"
        else:
            return
        yield LogFinding(
            code, self._stream, entry.subject_table, entry.subject_id, f"{says}（{entry.kind}）。", entry.seq
        )

    def _root(self, root: EvidenceRoot) -> Iterator[LogFinding]:
        said = root_text(stream=root.stream, size=root.size, root=root.root, at=root.at)
        frontier = b"".join(self._range.nodes).hex()
        differs = root.root != self._range.root().hex() or root.frontier != frontier or root.signed_text != said
        if differs and not self._differs:
            yield self._about("root_differs", root, f"根 {root.pk}（{root.size} 条）与按条目重算的不同。")
        self._differs = differs
        if self._verify_root and (
            wrong := self._verify_root(root.signed_text, bytes(root.signature), root.certificate_serial)
        ):
            yield self._about("root_signature", root, f"根 {root.pk} 的签名：{wrong}")
        for stamp in root.timestamps.all():
            if self._verify_token and (wrong := self._verify_token(root.signed_text, bytes(stamp.token))):
                yield self._about("token_refused", root, f"根 {root.pk} 的时间戳 {stamp.pk}：{wrong}")

    def _of(self, entry: Entry, code: str, message: str) -> LogFinding:
        return LogFinding(code, self._stream, Entry._meta.db_table, str(entry.pk), message, entry.seq)

    def _about(self, code: str, root: EvidenceRoot, message: str) -> LogFinding:
        return LogFinding(code, self._stream, EvidenceRoot._meta.db_table, str(root.pk), message, root.size)


def _leaf(entry: Entry) -> bytes:
    try:
        return bytes.fromhex(entry.entry_sm3 or "")
    except ValueError:  # altered, as its place says; the roots over it differ
        return b""


def _unnoted(kind: Kind, region: str | None) -> Iterator[LogFinding]:
    """Facts of a kind that no entry is about: written while the trigger slept."""
    table, key = connection.ops.quote_name(kind.table), f"fact.{connection.ops.quote_name(kind.key)}"
    query = f"""
        SELECT {key}::text FROM {table} fact
         WHERE NOT EXISTS (SELECT 1 FROM evidence_entry e
                            WHERE e.subject_table = %s AND e.subject_id = {key}::text AND e.kind = %s)"""
    parameters = [kind.table, kind.name]
    if kind.where:
        query += " AND ({})".format(kind.where.replace("%", "%%"))
    witness = next((each.witness for each in all_witnesses() if each.witness.kind == kind.name), None)
    if region is not None and witness is not None:
        query += " AND ({}) LIKE %s".format(witness.stream_sql.replace("%", "%%"))
        parameters.append(f"{region}/%")
    with connection.cursor() as cursor:
        cursor.execute(f"{query} ORDER BY {key}", parameters)
        missing = [row[0] for row in cursor.fetchall()]
    for row in missing:
        yield LogFinding("fact_unnoted", "", kind.table, row, f"该行没有记入日志（{kind.name}）：写入时触发器被停用。")
