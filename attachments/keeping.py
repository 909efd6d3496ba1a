"""Rows for files: a step of whoever notes them with a document."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from attachments.checking import Checked
from attachments.models import StoredFile
from attachments.store import Received


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


def known_digests(digests: Sequence[str]) -> set[str]:
    """Which of these contents have a row, of whatever region and year."""
    return set(StoredFile.objects.filter(digest__in=list(digests)).values_list("digest", flat=True))
