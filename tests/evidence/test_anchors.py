"""Anchors outside the database: written and on the disk before anybody relies on them, and what they find out."""

import json
import stat
from datetime import timedelta

import pytest

from core import merkle
from evidence import anchors, chain, rooting, selectors, streams
from evidence.models import EvidenceRoot
from tests.evidence.conftest import NOW, run, untriggered, write_facts

STREAM = "990100000/2026"


@pytest.fixture
def grown(facts, signer, anchor_file):
    """Three roots over 4, 7 and 7 entries."""
    for minute, count in enumerate((4, 3, 0)):
        if count:
            write_facts(count)
        chain.sequence()
        rooting.make_roots(now=NOW + timedelta(minutes=minute))
    return anchor_file


def problems(**how):
    return [(finding.problem, finding.stream, finding.size) for finding in anchors.check_anchors(**how)]


def both():
    return problems(), problems(quick=True)


def test_each_root_that_grew_leaves_one_line(grown):
    leaves = streams.leaves(STREAM, 0, 7)
    assert [json.loads(line) for line in grown.read_text().splitlines()] == [
        {"stream": STREAM, "size": 4, "root": merkle.root_of(leaves[:4]).hex(), "at": "2026-06-15T01:00:00Z"},
        {"stream": STREAM, "size": 7, "root": merkle.root_of(leaves).hex(), "at": "2026-06-15T01:01:00Z"},
    ]
    assert stat.S_IMODE(grown.stat().st_mode) == 0o600
    assert both() == ([], [])


def test_without_the_setting_no_anchor_is_kept(facts, signer, settings):
    settings.GUOKU_ANCHOR_FILE = ""
    write_facts(1)
    chain.sequence()
    assert len(rooting.make_roots(now=NOW)) == 1
    assert list(anchors.read_anchors()) == [] and both() == ([], [])


def test_a_shorter_log_is_found_out_at_a_glance(grown):
    untriggered("DELETE FROM evidence_entry WHERE seq = 7")
    assert both() == ([("truncated", STREAM, 7)], [("truncated", STREAM, 7)])
    assert selectors.status(NOW + timedelta(minutes=2)).alarm


def test_a_log_that_is_gone_is_found_out(grown):
    untriggered("DELETE FROM evidence_entry")
    assert both() == ([("truncated", STREAM, 7)], [("truncated", STREAM, 7)])


def test_another_root_of_the_same_size_is_found_out(grown):
    untriggered("UPDATE evidence_entry SET entry_sm3 = repeat('0', 64) WHERE seq = 6")
    assert problems() == [("forked", STREAM, 7)]  # the first four are as they were
    run("ALTER TABLE evidence_evidenceroot DISABLE TRIGGER ALL")
    EvidenceRoot.objects.filter(size=7).update(root=merkle.root_of(streams.leaves(STREAM, 0, 7)).hex())
    assert problems(quick=True) == [("forked", STREAM, 7)]


def test_a_hole_below_an_anchor_is_found_out(grown):
    untriggered("DELETE FROM evidence_entry WHERE seq = 2")
    assert problems() == [("forked", STREAM, 4)]


def test_a_log_that_grew_again_after_an_old_backup_is_a_fork(grown):
    """Three other facts took the places 5 to 7; the roots were made anew with them."""
    run("ALTER TABLE evidence_evidenceroot DISABLE TRIGGER ALL")
    EvidenceRoot.objects.filter(size=7).delete()
    untriggered("DELETE FROM evidence_entry WHERE seq > 4")
    write_facts(3)
    chain.sequence()
    rooting.make_roots(now=NOW + timedelta(minutes=5))
    assert problems() == [("forked", STREAM, 7)]
    assert len(list(anchors.read_anchors())) == 3


def test_a_line_cut_off_by_a_crash_costs_nothing_and_the_next_starts_anew(grown):
    whole = grown.read_bytes()
    grown.write_bytes(whole + whole.splitlines()[1][:40])
    assert both() == ([], [])
    write_facts(1)
    chain.sequence()
    rooting.make_roots(now=NOW + timedelta(minutes=9))
    assert [anchor.size for anchor in anchors.read_anchors()] == [4, 7, 8]
    assert both() == ([], [])


@pytest.mark.parametrize("line", ['{"size": 4}', '{"stream": "x", "size": "4", "root": "", "at": ""}', '{"a": }'])
def test_a_line_that_is_no_anchor_is_reported(grown, line):
    grown.write_text(f"{line}\n{grown.read_text()}")
    assert both() == ([("unreadable", "", 0)], [("unreadable", "", 0)])


def test_a_quick_look_reads_the_end_of_a_long_file_only(grown, monkeypatch):
    monkeypatch.setattr(anchors, "TAIL_BYTES", 200)
    grown.write_text('{"broken": }\n' * 50 + grown.read_text())
    assert problems(quick=True) == []
    assert len(problems()) == 50
