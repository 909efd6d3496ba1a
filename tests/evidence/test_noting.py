"""The database notes facts by itself, whatever writes them, and what it has noted does not change."""

import io

import pgtrigger
import psycopg2
import pytest
from django.conf import settings
from django.core import checks
from django.db import IntegrityError, connection, transaction
from django.db.utils import DatabaseError

from evidence import chain, kinds
from evidence.errors import KindClash, UnknownKind
from evidence.kinds import Kind
from evidence.models import Entry, EvidenceRoot
from evidence.triggers import kept, witnessed
from tests.evidence.conftest import KINDS, NOTED, NOW, TABLE, Fact, assert_never, run, write_facts


def noted():
    return list(Entry.objects.order_by("id").values_list("stream", "kind", "subject_table", "subject_id", "seq"))


def test_raw_insert_is_noted_one_entry_a_row_in_order(facts):
    ids = write_facts(3)
    assert noted() == [("990100000/2026", "test.noted", TABLE, row, None) for row in ids]


def test_copy_is_noted(facts):
    lines = "990100000,2026,by copy\n990200000,2027,elsewhere\n"
    with connection.cursor() as cursor:
        cursor.cursor.copy_expert(f"COPY {TABLE} (region, year, note) FROM STDIN WITH (FORMAT csv)", io.StringIO(lines))
    assert [(row[0], row[1]) for row in noted()] == [("990100000/2026", "test.noted"), ("990200000/2027", "test.noted")]


def test_insert_through_cte_merge_and_upsert_is_noted(facts):
    (row,) = write_facts(1)
    run(f"WITH made AS (INSERT INTO {TABLE} (region, year) VALUES ('990100000', 2026) RETURNING id) SELECT * FROM made")
    run(
        f"MERGE INTO {TABLE} t USING (SELECT 1) s ON false"
        " WHEN NOT MATCHED THEN INSERT (region, year) VALUES ('990100000', 2026)"
    )
    run(
        f"INSERT INTO {TABLE} (id, region, year) VALUES (%s, '990100000', 2026)"
        " ON CONFLICT (id) DO UPDATE SET revoked_at = now()",
        row,
    )
    assert [entry[1] for entry in noted()] == ["test.noted"] * 3 + ["test.revoked"]


def test_a_setting_of_pgtrigger_switches_nothing_off(facts):
    run(f"SET LOCAL pgtrigger.ignore = '{{{NOTED.compile(Fact).sql.pgid}}}'")
    write_facts(1)
    assert len(noted()) == 1


def test_what_is_rolled_back_is_not_noted(facts):
    with transaction.atomic():
        write_facts(2)
        transaction.set_rollback(True)
    assert noted() == []


def test_an_update_is_a_fact_only_where_its_condition_says_so(facts):
    first, second = write_facts(2)
    run(f"UPDATE {TABLE} SET note = 'other'")
    run(f"UPDATE {TABLE} SET revoked_at = now() WHERE id = %s", second)
    run(f"UPDATE {TABLE} SET revoked_at = now()")  # the second is revoked already
    assert [(kind, row) for _, kind, _, row, _ in noted() if kind == "test.revoked"] == [
        ("test.revoked", second),
        ("test.revoked", first),
    ]


def test_region_by_expression_and_facts_of_no_region(facts):
    run("CREATE TEMP TABLE child (id bigserial PRIMARY KEY, fact_id uuid) ON COMMIT DROP")
    owner = f"(SELECT {{}} FROM {TABLE} f WHERE f.id = fact.fact_id)"
    child = witnessed("test.child", region=owner.format("f.region"), year=owner.format("f.year"))
    _install(child, "child")
    (row,) = write_facts(1, region="990200000", year=2025)
    run("INSERT INTO child (fact_id) VALUES (%s), (NULL)", row)
    assert [entry[0] for entry in noted()] == ["990200000/2025", "990200000/2025", "system/0"]


def test_a_condition_leaves_rows_out(facts):
    run("CREATE TEMP TABLE letter (id bigserial PRIMARY KEY, sent boolean) ON COMMIT DROP")
    _install(witnessed("test.letter", condition="fact.sent"), "letter")
    run("INSERT INTO letter (sent) VALUES (true), (false), (true)")
    assert [(stream, row) for stream, _, _, row, _ in noted()] == [("system/0", "1"), ("system/0", "3")]


def _install(witness, table):
    meta = type("Meta", (), {"pk": type("Key", (), {"column": "id"}), "db_table": table})
    run(
        f"CREATE TRIGGER {witness.name} {witness.when} {witness.operation} ON {table} {witness.referencing}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {witness.render_execute(type('Model', (), {'_meta': meta}))}"
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"operation": pgtrigger.Update},
        {"operation": pgtrigger.Delete},
        {"operation": pgtrigger.Insert | pgtrigger.Update, "condition": "true"},
        {"region": "region"},
        {"year": "year"},
    ],
)
def test_a_witness_that_says_too_little_is_refused(asked):
    with pytest.raises(ValueError, match=r"fact|region"):
        witnessed("test.odd", **asked)


def test_an_entry_is_placed_once_and_otherwise_stays(facts):
    write_facts(2)
    assert_never(
        "does not change", "UPDATE evidence_entry SET noted_at = now()", error=IntegrityError
    )  # nothing may change even while it waits
    chain.sequence()
    before = list(Entry.objects.order_by("id").values())
    for change in ("seq = seq + 5", "seq = NULL", "prev = ''", "kind = 'x'", "entry_sm3 = repeat('0', 64)"):
        assert_never("does not change", f"UPDATE evidence_entry SET {change}", error=IntegrityError)
    assert_never("does not change", "DELETE FROM evidence_entry", error=IntegrityError)
    assert list(Entry.objects.order_by("id").values()) == before


def test_a_half_placed_entry_is_refused(facts):
    write_facts(1)
    assert_never("entry_placed_whole", "UPDATE evidence_entry SET seq = 1", error=IntegrityError)


def test_two_entries_cannot_have_one_place(facts):
    write_facts(2)
    sql = "UPDATE evidence_entry SET seq = 1, payload_sm3 = '', prev = '', entry_sm3 = ''"
    assert_never("one_entry_per_place", sql, error=IntegrityError)


def test_roots_are_append_only(facts):
    root = EvidenceRoot.objects.create(
        stream="system/0",
        size=0,
        root="",
        frontier="",
        text="{}",
        signature=b"",
        certificate_serial="",
        at=NOW,
    )
    assert_never("does not change", "UPDATE evidence_evidenceroot SET size = 1", error=IntegrityError)
    assert_never("does not change", "DELETE FROM evidence_evidenceroot", error=IntegrityError)
    assert EvidenceRoot.objects.get().size == root.size


def test_the_log_cannot_be_emptied_where_it_is_not_a_test(db):
    """A test database may be emptied, so this is tried on another one, with triggers as the migration makes them."""
    (functions,) = run("""SELECT string_agg(pg_get_functiondef(oid), ';') FROM pg_proc
                           WHERE proname IN ('evidence_refuse', '_pgtrigger_should_ignore')""")
    name = f"evidence_elsewhere_{connection.settings_dict['NAME']}"
    server = psycopg2.connect(**connection.get_connection_params() | {"dbname": "postgres"})
    server.autocommit = True
    server.cursor().execute(f"DROP DATABASE IF EXISTS {name}")
    server.cursor().execute(f"CREATE DATABASE {name}")
    try:
        elsewhere = psycopg2.connect(**connection.get_connection_params() | {"dbname": name})
        cursor = elsewhere.cursor()
        cursor.execute(f"CREATE TABLE evidence_entry (id bigint); {functions[0]}")
        for trigger in kept():
            cursor.execute(str(trigger.compile(Entry).install_sql))
        cursor.execute("INSERT INTO evidence_entry VALUES (1)")
        elsewhere.commit()
        for attempt in ("TRUNCATE evidence_entry", "DELETE FROM evidence_entry"):
            with pytest.raises(psycopg2.errors.CheckViolation, match="does not change"):
                cursor.execute(attempt)
            elsewhere.rollback()
        cursor.execute("SELECT count(*) FROM evidence_entry")
        assert cursor.fetchone() == (1,)
        elsewhere.close()
    finally:
        server.cursor().execute(f"DROP DATABASE {name}")
        server.close()


class TestTheApplicationsRole:
    """What the role that serves pages may do to the log, with the rights `docs/evidence.md` asks for."""

    @pytest.fixture(autouse=True)
    def role(self, facts):
        columns = ", ".join(Entry.written_once)
        run(f"""
            CREATE ROLE evidence_test_app;
            GRANT USAGE ON SCHEMA public TO evidence_test_app;
            GRANT SELECT, INSERT ON {TABLE} TO evidence_test_app;
            GRANT SELECT, UPDATE ({columns}) ON evidence_entry TO evidence_test_app;
            SET LOCAL ROLE evidence_test_app""")
        yield
        if not connection.needs_rollback:
            run("RESET ROLE")

    def test_its_facts_are_noted_and_placed(self):
        write_facts(2)
        assert chain.sequence() == 2
        assert [entry[4] for entry in noted()] == [1, 2]

    def test_it_cannot_note_what_is_no_fact(self):
        assert_never(
            "permission denied",
            "INSERT INTO evidence_entry (stream, kind, subject_table, subject_id, noted_at)"
            " VALUES ('system/0', 'test.noted', 'x', '1', now())",
            error=DatabaseError,
        )
        run(f"CREATE TEMP TABLE {TABLE}_copy (id bigint)")
        assert_never(
            "permission denied",
            f"CREATE TRIGGER t AFTER INSERT ON {TABLE}_copy REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT"
            " EXECUTE FUNCTION evidence_note('test.noted', '''system/0''', '1', 'new_rows fact')",
            error=DatabaseError,
        )

    def test_it_cannot_rewrite_an_entry_or_empty_the_log(self):
        write_facts(1)
        chain.sequence()
        for attempt in (
            "UPDATE evidence_entry SET kind = 'x'",
            "DELETE FROM evidence_entry",
            "TRUNCATE evidence_entry",
            "ALTER TABLE evidence_entry DISABLE TRIGGER ALL",
        ):
            assert_never(r"permission denied|must be owner", attempt, error=DatabaseError)
        guards = ",".join(trigger.compile(Entry).sql.pgid for trigger in Entry._meta.triggers)
        run(f"SET LOCAL pgtrigger.ignore = '{{{guards}}}'")
        assert_never("does not change", "UPDATE evidence_entry SET prev = 'x'", error=IntegrityError)


def test_a_name_can_mean_one_kind_only(facts):
    kinds.register(Kind(**vars(KINDS[1])))  # the same once more
    with pytest.raises(KindClash):
        kinds.register(Kind("test.revoked", "另一个", TABLE, {"revoked_at": "revoked_at"}))
    assert kinds.find("test.revoked").title == "测试撤销"


def test_unknown_kind_is_refused():
    with pytest.raises(UnknownKind):
        kinds.find("test.unheard_of")


def test_a_witness_of_an_unregistered_kind_is_reported_before_anything_runs(facts):
    assert [check for check in checks.run_checks() if check.id == "evidence.E001"] == []
    kinds.unregister("test.revoked")
    (found,) = [check for check in checks.run_checks() if check.id == "evidence.E001"]
    assert "test.revoked" in found.msg and TABLE in found.msg


def test_payload_is_canonical_text(facts):
    run(
        f"INSERT INTO {TABLE} (id, region, year, amount, note, body, at) VALUES"
        " ('00000000-0000-4000-8000-000000000001', '990100000', 2026, 1234.5, '“引号” \\ 100%%', '\\x616263', %s)",
        "2026-06-15T09:00:00.000001+08:00",
    )
    run("SET LOCAL TimeZone = 'Asia/Shanghai'; SET LOCAL DateStyle = 'German'")
    (payload,) = kinds.payloads(KINDS[0], ["00000000-0000-4000-8000-000000000001"]).values()
    assert payload == (
        '{"amount":"1234.50","at":"2026-06-15T01:00:00.000001Z",'
        '"body":"66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",'
        '"body_sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",'
        '"note":"“引号” \\\\ 100%","region":"990100000","year":"2026"}'
    )


def test_payload_of_nothing_is_null_and_of_no_row_is_none(facts):
    (row,) = write_facts(1)
    run(f"UPDATE {TABLE} SET note = NULL, body = NULL")
    payloads = kinds.payloads(KINDS[0], [row, "00000000-0000-4000-8000-000000000009"])
    assert list(payloads) == [row] and '"note":null' in payloads[row] and '"body":null' in payloads[row]


def test_settings_name_the_three_beats():
    tasks = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {"evidence.sequence", "evidence.make_roots", "evidence.stamp_roots"} <= tasks
