"""The evidence log for its watchers: how each stream stands, what it holds, and the proof of a single entry."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from core.errors import NotFound, TreasuryError
from core.merkle import verify_inclusion
from dashboards.desk import BUREAU_READERS, Desk, officer
from evidence import kinds, selectors
from evidence.formats import VANISHED, entry_hash, entry_text, payload_hash
from evidence.models import Entry
from parties.duties import Post

READERS = (*BUREAU_READERS, Post.SECURITY_ADMIN)
SYSTEM = "system/0"
PAGE = 50


@dataclass(frozen=True)
class Shown:
    """One entry in words: the title of its kind beside the row it is about."""

    entry: Entry
    title: str
    rooted: bool


@dataclass(frozen=True)
class Proven:
    """An entry with its way to the root: `path` is what a verifier hashes it with, bottom first.

    `holds`: path and entry's own text lead to the signed root. `content`: what the row is now, against what was noted:
    same, changed or gone.
    """

    entry: Entry
    title: str
    text: str
    size: int
    path: list[str]
    root: str
    holds: bool
    content: str


@require_GET
@officer(*READERS)
def evidence(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show the streams of the region and of the system; `?stream=` lists entries, with `&seq=` one is proven."""
    status = selectors.status(desk.now)
    streams = [one for one in status.streams if _visible(one.stream, desk)]
    asked = request.GET.get("stream", "")
    chosen = next((one for one in streams if one.stream == asked), streams[0] if streams else None)
    if asked and chosen is not None and chosen.stream != asked:
        raise NotFound("没有这条存证日志，或不在您的权限范围内。", field="stream")
    rows, following = _entries(request, chosen) if chosen else ([], "")
    context = {
        "status": status,
        "streams": streams,
        "chosen": chosen,
        "anchors": [one for one in status.anchor_findings if not one.stream or _visible(one.stream, desk)],
        "rows": rows,
        "following": following,
        "proven": _proof(request, chosen) if chosen else None,
        "silence_minutes": int(selectors.SILENCE.total_seconds() // 60),
        "now": timezone.localtime(desk.now),
    }
    return render(request, "evidence/log.html", context)


def _visible(stream: str, desk: Desk) -> bool:
    return stream == SYSTEM or stream.partition("/")[0] == desk.actor.adm_div_code


def _title(kind: str) -> str:
    """The kind in Chinese; one that no app of this version knows stands by its name."""
    try:
        return kinds.find(kind).title
    except TreasuryError:
        return kind


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


def _entries(request: HttpRequest, chosen: selectors.StreamStatus) -> tuple[list[Shown], str]:
    rows = Entry.objects.filter(stream=chosen.stream, seq__isnull=False).order_by("-seq")
    before = _number(request.GET.get("before"))
    found = list((rows if before is None else rows.filter(seq__lt=before))[: PAGE + 1])
    reached = chosen.root.size if chosen.root else 0
    shown = [Shown(entry, _title(entry.kind), (entry.seq or 0) <= reached) for entry in found[:PAGE]]
    return shown, str(found[PAGE - 1].seq) if len(found) > PAGE else ""


def _proof(request: HttpRequest, chosen: selectors.StreamStatus) -> Proven | None:
    seq = _number(request.GET.get("seq"))
    if seq is None:
        return None
    entry = Entry.objects.filter(stream=chosen.stream, seq=seq).first()
    if entry is None or chosen.root is None:
        raise NotFound(f"日志 {chosen.stream} 没有第 {seq} 条，或还没有签名的根。", field="seq")
    proof = selectors.inclusion(chosen.stream, [seq], chosen.root.size)[0]
    text = entry_text(
        stream=entry.stream,
        seq=seq,
        kind=entry.kind,
        subject=entry.subject,
        at=entry.noted_at,
        payload_sm3=entry.payload_sm3 or "",
        prev=entry.prev or "",
    )
    return Proven(
        entry=entry,
        title=_title(entry.kind),
        text=text,
        size=proof.size,
        path=[node.hex() for node in proof.path],
        root=chosen.root.root,
        holds=verify_inclusion(
            bytes.fromhex(entry_hash(text)), seq - 1, proof.size, proof.path, bytes.fromhex(chosen.root.root)
        ),
        content=_content(entry),
    )


def _content(entry: Entry) -> str:
    payload = selectors.payloads_of([entry]).get((entry.kind, entry.subject_id), VANISHED)
    if payload == VANISHED:
        return "gone"
    return "same" if payload_hash(payload) == entry.payload_sm3 else "changed"
