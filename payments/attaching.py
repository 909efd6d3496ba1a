"""Files that come with a request: checked before anything is locked, noted in one transaction, then put in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from attachments.checking import check_file
from attachments.errors import FileRefused, TooManyFiles
from attachments.keeping import Sound, note_files
from attachments.limits import most_files
from attachments.models import StoredFile
from attachments.store import FileStore, Received
from core.actors import Actor
from core.errors import NotFound, TreasuryError, ValidationFailed
from core.transitions import check_move
from payments.locking import lock_requests
from payments.models import Attachment, PaymentRequest
from payments.states import LIVE, REQUEST_FLOW


@dataclass(frozen=True)
class Attached:
    """What became of the files of one upload."""

    accepted: list[Attachment]
    refused: list[FileRefused]


def attach_files(
    *,
    request_id: UUID,
    files: Sequence[Received],
    store: FileStore,
    clerk: Actor,
    now: datetime,
    refused: Sequence[FileRefused] = (),
) -> Attached:
    """Keep the good ones of these files with a request that is still the clerk's, and say of each other why not.

    The same content twice is one attachment. A file gets its place in the store only after its row is committed;
    whatever is refused, nothing of it stays.

    :param refused: what was wrong with files that did not even arrive.
    :raises ValidationFailed: if none is good, with every reason.
    :raises NotFound, TransitionNotAllowed, RoleRequired: as for a revision.
    :raises TooManyFiles: if the request would have more than it may.
    """
    sound, unsound = _checked(files)
    unsound = [*refused, *unsound]
    if not sound:
        found: list[TreasuryError] = [*unsound] or [FileRefused("请选择要上传的文件。", field="file")]
        raise ValidationFailed(found)
    ready = {file.received.digest: store.make_ready(file.received) for file in sound}
    try:
        accepted = _note(request_id, sound, clerk, now)
    except BaseException:
        for path in ready.values():
            path.unlink(missing_ok=True)
        raise
    for digest, path in ready.items():
        store.place(path, digest)
    return Attached(accepted, unsound)


def _checked(files: Sequence[Received]) -> tuple[list[Sound], list[FileRefused]]:
    sound: dict[str, Sound] = {}
    refused = []
    for received in files:
        try:
            sound.setdefault(received.digest, Sound(received, check_file(received)))
        except FileRefused as refusal:
            refused.append(refusal)
    return list(sound.values()), refused


@transaction.atomic(durable=True)
def _note(request_id: UUID, sound: Sequence[Sound], clerk: Actor, now: datetime) -> list[Attachment]:
    request = _editable(request_id, clerk)
    have = {attachment.digest: attachment for attachment in request.attachments.all()}
    new = [file for file in sound if file.received.digest not in have]
    if len(have) + len(new) > most_files():
        raise TooManyFiles(
            f"一张申请最多 {most_files()} 个附件，已有 {len(have)} 个，本次 {len(new)} 个。", field="file"
        )
    rows = note_files(new, adm_div_code=request.adm_div_code, fiscal_year=request.fiscal_year, now=now)
    made = Attachment.objects.bulk_create(
        [_attachment(request, file, rows[file.received.digest], clerk, now) for file in new]
    )
    have |= {attachment.digest: attachment for attachment in made}
    return [have[file.received.digest] for file in sound]


def _attachment(request: PaymentRequest, file: Sound, row: StoredFile, clerk: Actor, now: datetime) -> Attachment:
    return Attachment(
        adm_div_code=request.adm_div_code,
        fiscal_year=request.fiscal_year,
        request=request,
        file=row,
        file_name=file.received.name,
        media_type=row.media_type,
        size=row.size,
        digest=row.digest,
        added_by=clerk.name,
        added_at=now,
    )


@transaction.atomic(durable=True)
def remove_attachment(*, request_id: UUID, attachment_id: UUID, clerk: Actor, now: datetime) -> Attachment:
    """Take a file off a request that is still the clerk's. The bytes stay in the store, as everything received does.

    :raises NotFound, TransitionNotAllowed, RoleRequired: as for a revision.
    """
    request = _editable(request_id, clerk)
    attachment = request.attachments.filter(pk=attachment_id).first()
    if attachment is None:
        raise NotFound("附件不存在。", field="id")
    Attachment.objects.filter(pk=attachment.pk).delete()
    return attachment


def _editable(request_id: UUID, clerk: Actor) -> PaymentRequest:
    found = lock_requests([request_id], clerk)
    if not found:
        raise NotFound("单据不存在或不在您的权限范围内。", field="id")
    check_move(REQUEST_FLOW, found[0], "revise", clerk)
    return found[0]


def used_elsewhere(request: PaymentRequest) -> Mapping[str, list[PaymentRequest]]:
    """The other live requests of the region that have a file of the same content, by digest (one query)."""
    digests = request.attachments.values_list("digest", flat=True)
    others = (
        Attachment.objects.filter(adm_div_code=request.adm_div_code, digest__in=list(digests))
        .filter(request__state__in=LIVE)
        .exclude(request_id=request.id)
        .select_related("request__unit")
        .order_by("request_id")
    )
    found: dict[str, list[PaymentRequest]] = {}
    for other in others:
        found.setdefault(other.digest, []).append(other.request)
    return found
