"""What an invariant is made of, and what comes out when it is asked."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from attachments.store import FileStore

Status = Literal["ok", "broken", "not_applicable"]


@dataclass(frozen=True)
class Scope:
    """What one run looks at: a region (None: every region), the instant by which ages are judged, and the file store
    (None: it is not here, and what needs it is not asked)."""

    region: str | None
    now: datetime
    files: FileStore | None = None


@dataclass(frozen=True)
class Finding:
    """One row that breaks an invariant: where it stands, a sentence for a person, and by how much (yuan or count)."""

    table: str
    id: str
    explanation: str
    delta: Decimal | None = None


@dataclass(frozen=True)
class SqlCheck:
    """A query whose rows are findings: columns "table", id, explanation, delta. `says` is what it asks, in words.

    It may use %(region)s (text or NULL), %(now)s and its own `parameters`.
    """

    says: str
    query: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CodeCheck:
    """What SQL cannot say: signatures, digests, the inside of signed texts."""

    says: str
    run: Callable[[Scope], Iterator[Finding]]


@dataclass(frozen=True)
class Invariant:
    """One statement about the books; `missing` says why it cannot be asked yet, where its tables do not exist."""

    id: str
    title: str
    checks: tuple[SqlCheck | CodeCheck, ...] = ()
    missing: str = ""
    needs_files: bool = False


@dataclass(frozen=True)
class Result:
    """The answer to one invariant. `count` is the number of findings, of which `samples` are the first."""

    id: str
    title: str
    status: Status
    count: int
    samples: tuple[Finding, ...] = ()
    reason: str = ""
    seconds: float = 0.0


def in_region(*aliases: str) -> str:
    """Return the SQL condition that limits these tables to the audited region, if there is one."""
    return " AND ".join(f"(%(region)s::text IS NULL OR {alias}.adm_div_code = %(region)s)" for alias in aliases)
