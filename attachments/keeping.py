"""Rows for files: a step of whoever notes them with a document; or a whole, for what is no document of payments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from attachments.checking import Checked, check_file
from attachments.errors import FileRefused
from attachments.models import StoredFile
from attachments.store import FileStore, Received
from core.errors import ValidationFailed


@dataclass(frozen=True)
class Sound:
    """A file that arrived and was found to be what it says."""

    received: Received
    checked: Checked


@transaction.atomic(savepoint=False)
def note_files(files: Sequence[Sound], *, adm_div_code: str, fiscal_year: int, now: datetime) -> dict[str, StoredFile]:
    """Return the row of each content, by digest, made where the region has none of this year yet. A step."""
    by_digest = {file.received.digest: file for file in files}
    rows = [
        StoredFile(
            adm_div_code=adm_div_code,
            fiscal_year=fiscal_year,
            digest=digest,
            size=file.received.size,
            media_type=file.checked.media_type,
            pages=file.checked.pages,
            stored_at=now,
        )
        for digest, file in sorted(by_digest.items())
    ]
    StoredFile.objects.bulk_create(rows, ignore_conflicts=True)
    found = StoredFile.objects.filter(adm_div_code=adm_div_code, fiscal_year=fiscal_year, digest__in=by_digest)
    return {row.digest: row for row in found}


def keep_files(
    files: Sequence[Received], *, store: FileStore, adm_div_code: str, fiscal_year: int, now: datetime
) -> list[Sound]:
    """Check files that belong to something other than a payment, and keep all of them or none.

    :raises ValidationFailed: with what is wrong with each; nothing of any stays then.
    """
    sound, unsound = [], []
    for received in files:
        try:
            sound.append(Sound(received, check_file(received)))
        except FileRefused as refusal:
            unsound.append(refusal)
    if unsound:
        raise ValidationFailed([*unsound])
    ready = {file.received.digest: store.make_ready(file.received) for file in sound}
    try:
        with transaction.atomic(durable=True):
            note_files(sound, adm_div_code=adm_div_code, fiscal_year=fiscal_year, now=now)
    except BaseException:
        for path in ready.values():
            path.unlink(missing_ok=True)
        raise
    for digest, path in ready.items():
        store.place(path, digest)
    return sound


def known_digests(digests: Sequence[str]) -> set[str]:
    """Which of these contents have a row, of whatever region and year."""
    return set(StoredFile.objects.filter(digest__in=list(digests)).values_list("digest", flat=True))
