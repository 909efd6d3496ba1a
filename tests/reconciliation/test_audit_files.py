"""I24: somebody with rights on the disk or the database changes what was attached; the audit finds exactly that."""

import os

import pytest
from django.db import connection

from attachments.store import FileStore, Received
from core.digests import sm3_hex
from demo import world
from payments.attaching import attach_files
from reconciliation.audit.findings import Scope
from reconciliation.audit.runner import choose, examine
from tests import acts
from tests.attachments import files
from tests.conftest import NOW


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "files")


@pytest.fixture
def kept(city, store):
    """Two files, one of them with two requests."""
    contents = [files.picture(), files.pdf()]
    for request, sent in ((acts.draft("I1", "1.00"), contents), (acts.draft("I1", "2.00"), contents[:1])):
        received = []
        for content in sent:
            descriptor, path = store.incoming()
            os.write(descriptor, content)
            os.close(descriptor)
            name = "a.pdf" if content.startswith(b"%PDF") else "a.png"
            received.append(Received(path, name, len(content), sm3_hex(content)))
        attach_files(request_id=request.id, files=received, store=store, clerk=world.officer("u101001-jb"), now=NOW)
    return [sm3_hex(content) for content in contents]


def asked(store, region=None):
    [invariant] = choose(["I24"])
    return examine(invariant, Scope(region, NOW, store))


def test_an_honest_store_holds_and_what_is_coming_in_or_can_be_drawn_again_is_no_orphan(kept, store):
    store.incoming()
    (store.root / "previews").mkdir()
    (store.root / "previews" / "x.webp").write_bytes(b"x")
    assert asked(store).status == "ok"


def test_without_a_store_it_is_not_asked(kept):
    result = asked(None)
    assert result.status == "not_applicable" and "没有指明附件存储目录" in result.reason


def spoil(store, digest, content):
    store.path(digest).chmod(0o600)
    store.path(digest).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, d: spoil(s, d, s.path(d).read_bytes()[:-1] + b"!"), "的内容与摘要不符"),
        (lambda s, d: spoil(s, d, s.path(d).read_bytes() + b"!"), "字节，实为"),
        (lambda s, d: s.path(d).unlink(), "不在存储中"),
    ],
    ids=["changed", "longer", "gone"],
)
def test_a_file_that_was_changed_or_lost_is_named(kept, store, change, words):
    change(store, kept[0])
    result = asked(store, world.REGION)
    assert (result.status, result.count) == ("broken", 1) and words in result.samples[0].explanation
    assert kept[0][:16] in result.samples[0].explanation


def test_a_file_nobody_noted_is_named(kept, store):
    (store.root / ("ab" * 32)).write_bytes(b"x")
    (store.root / "notes.txt").write_bytes(b"x")
    result = asked(store)
    assert (result.status, [s.id for s in result.samples]) == ("broken", ["ab" * 32, "notes.txt"])
    assert asked(store, world.REGION).status == "ok"  # a file does not say whose it is


def test_a_file_whose_place_is_being_given_is_not_missing(kept, store):
    os.replace(store.path(kept[0]), store.root / "incoming" / f"{kept[0]}.{'0' * 32}")
    assert asked(store).status == "ok"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE attachments_storedfile SET size = size + 1 WHERE media_type = 'application/pdf'",
        "UPDATE payments_attachment SET media_type = 'image/gif' WHERE media_type = 'application/pdf'",
        "UPDATE payments_attachment SET digest = repeat('0', 64) WHERE media_type = 'application/pdf'",
    ],
)
def test_a_row_that_was_changed_is_named(kept, store, statement):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # every trigger asleep
        cursor.execute(statement)
        assert cursor.rowcount == 1
    assert asked(store).status == "broken"
