"""A fact table of the tests' own, witnessed like a real one, on a real PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pgtrigger
import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

from evidence import kinds, rooting
from evidence.kinds import Kind
from evidence.rooting import RootDraft
from evidence.triggers import Witness, witnessed

NOW = datetime(2026, 6, 15, 1, 0, tzinfo=UTC)
TABLE = "evidence_test_fact"

with isolate_apps("evidence"):

    class Fact(models.Model):
        """What a real fact table has: a region and year, an amount, bytes, an instant, and something filled later."""

        id = models.UUIDField(primary_key=True)
        region = models.CharField(max_length=9)
        year = models.IntegerField()
        amount = models.DecimalField(max_digits=18, decimal_places=2)
        note = models.TextField(null=True)
        body = models.BinaryField(null=True)
        at = models.DateTimeField()
        revoked_at = models.DateTimeField(null=True)

        class Meta:
            app_label = "evidence"
            db_table = TABLE


NOTED = witnessed("test.noted", region="region", year="year")
REVOKED = witnessed(
    "test.revoked",
    region="region",
    year="year",
    condition="former.revoked_at IS NULL AND fact.revoked_at IS NOT NULL",
    operation=pgtrigger.Update,
)
KINDS = (
    Kind(
        "test.noted",
        "测试事实",
        TABLE,
        {name: f"fact.{name}" for name in ("region", "year", "amount", "note", "body", "at")}
        | {"body_sha256": "encode(sha256(fact.body), 'hex')"},
    ),
    Kind("test.revoked", "测试撤销", TABLE, {"revoked_at": "revoked_at"}, where="fact.revoked_at IS NOT NULL"),
)


@pytest.fixture(scope="session")
def _fact_table(django_db_setup: None, django_db_blocker) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"""
            DROP TABLE IF EXISTS {TABLE};
            CREATE TABLE {TABLE} (
                id uuid PRIMARY KEY DEFAULT gen_random_uuid(), region varchar(9) NOT NULL, year integer NOT NULL,
                amount numeric(18, 2) NOT NULL DEFAULT 1, note text, body bytea,
                at timestamptz NOT NULL DEFAULT '2026-06-15 09:00:00.25+08', revoked_at timestamptz)""")
        for witness in (NOTED, REVOKED):
            cursor.execute(str(witness.compile(Fact).install_sql))


@pytest.fixture
def _registered(_fact_table: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tests' kinds are known; nobody signs or stamps until the test says who, whatever the apps have set."""
    monkeypatch.setattr(rooting, "_signer", None)
    monkeypatch.setattr(rooting, "_timestamper", None)
    for kind in KINDS:
        kinds.register(kind)
    with NOTED.register(Fact), REVOKED.register(Fact):
        yield
    for kind in KINDS:
        kinds.unregister(kind.name)


@pytest.fixture
def facts(db: None, _registered: None) -> None:
    """The fact table inside the test's transaction."""


@pytest.fixture
def real_facts(transactional_db: None, _registered: None) -> Iterator[None]:
    """The fact table, committed: for threads and crashes."""
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {TABLE}")


@pytest.fixture
def anchor_file(tmp_path: Path, settings) -> Path:
    """Anchors are kept, in a folder of this test."""
    settings.GUOKU_ANCHOR_FILE = tmp_path / "anchors" / "roots.jsonl"
    return settings.GUOKU_ANCHOR_FILE


class RecordingSigner:
    """Signs by writing down what it was given; it demands nothing."""

    def __init__(self) -> None:
        self.drafts: list[RootDraft] = []

    def __call__(self, draft: RootDraft) -> tuple[bytes, str]:
        self.drafts.append(draft)
        return b"signed:" + draft.text, "0a"


@pytest.fixture
def signer() -> RecordingSigner:
    signer = RecordingSigner()
    rooting.set_signer(signer)
    return signer


def write_facts(count: int, *, region: str = "990100000", year: int = 2026) -> list[str]:
    """Insert facts by one raw statement; returns their ids in the order of insertion."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} (region, year, note, body) SELECT %s, %s, 'fact ' || n, ('body ' || n)::bytea"
            " FROM generate_series(1, %s) n RETURNING id::text",
            [region, year, count],
        )
        return [row[0] for row in cursor.fetchall()]


def run(sql: str, *parameters: object) -> list[tuple]:
    """One statement, whatever it returns."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall() if cursor.description else []


def untriggered(sql: str, *parameters: object, table: str = "evidence_entry") -> None:
    """What somebody who owns the database can do: change rows while every trigger of the table sleeps."""
    run(f"SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE {table} DISABLE TRIGGER ALL")
    run(sql, *parameters)
    run(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


def assert_never(pattern: str, sql: str, *parameters: object, error: type[Exception]) -> None:
    """The database refuses the statement, and the transaction goes on."""
    from django.db import transaction

    with pytest.raises(error, match=pattern), transaction.atomic():
        run(sql, *parameters)


__all__ = ["KINDS", "NOTED", "NOW", "REVOKED", "TABLE", "Fact", "RecordingSigner", "Witness"]
