"""The evidence log on the screen: how it stands, what to do when it does not, and the proof of one entry."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from demo import world
from evidence import anchors, chain, rooting
from evidence.models import Entry, EvidenceRoot
from tests.acts import draft, newcomer, submit

STREAM = f"{world.REGION}/{world.YEAR}"


@pytest.fixture
def log(city, monkeypatch, settings, tmp_path):
    """A log with entries about the opening of the city, and a signer that signs what it is given."""
    monkeypatch.setattr(rooting, "_signer", lambda root: (b"signature", "serial"))
    monkeypatch.setattr(rooting, "_timestamper", None)
    settings.GUOKU_ANCHOR_FILE = tmp_path / "anchors.jsonl"
    submit(draft("I1", "100.00")).raise_if_refused()
    chain.sequence()
    return city


def rooted(now=None) -> None:
    rooting.make_roots(now=now or timezone.now())


def text(response) -> str:
    return response.content.decode()


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def a_seq() -> int:
    return Entry.objects.filter(stream="system/0", seq__isnull=False).order_by("seq").values_list("seq", flat=True)[1]


def test_every_stream_of_the_region_stands_with_its_size_root_and_age(at, log):
    rooted()
    page = text(at("gk-dz").get("/evidence/"))
    root = EvidenceRoot.objects.filter(stream="system/0").get()
    assert "system/0" in page and root.root[:16] in page and f"到第 {root.size} 条" in page
    assert '<span class="state state-ok">正常</span>' in page and "报警" not in page
    assert "还没有</span>" in page  # no time stamp yet


def test_entries_stand_by_their_kind_in_chinese_newest_first(at, log):
    rooted()
    page = text(at("gk-dz").get("/evidence/?stream=system/0"))
    seqs = [int(found) for found in re.findall(r"seq=(\d+)#proof", page)]
    assert seqs == sorted(seqs, reverse=True) and len(seqs) <= 50
    older = text(at("gk-dz").get(f"/evidence/?stream=system/0&before={seqs[-1]}"))
    assert all(int(found) < seqs[-1] for found in re.findall(r"seq=(\d+)#proof", older))
    kept = Entry.objects.filter(stream="system/0", kind="certificate.registered", seq__isnull=False).first()
    there = text(at("gk-dz").get(f"/evidence/?stream=system/0&before={kept.seq + 1}"))
    assert "登记证书" in there and "certificate.registered" in there and "seals_certificate/" in there


def test_an_entry_after_the_last_root_has_no_proof_yet(at, log):
    page = text(at("gk-dz").get("/evidence/?stream=system/0"))
    assert "等下一个根" in page and "#proof" not in page
    assert at("gk-dz").get("/evidence/?stream=system/0&seq=1").status_code == 404


def test_the_proof_of_an_entry_leads_to_the_signed_root(at, log):
    rooted()
    page = text(at("gk-dz").get(f"/evidence/?stream=system/0&seq={a_seq()}"))
    assert "在根之下" in page and "与记下时一致" in page
    assert EvidenceRoot.objects.get(stream="system/0").root in page


def _asleep(statement: str, *values: object) -> None:
    """Change a row as somebody with full rights on the database would."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("evidence_entry", "seals_certificate"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement, values)
        for table in ("evidence_entry", "seals_certificate"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_a_changed_entry_no_longer_leads_to_the_root(at, log):
    rooted()
    _asleep("UPDATE evidence_entry SET subject_id = 'forged' WHERE stream = 'system/0' AND seq = %s", a_seq())
    page = text(at("gk-dz").get(f"/evidence/?stream=system/0&seq={a_seq()}"))
    assert "不在根之下" in page and "被改动过" in page


def test_a_changed_fact_is_told_from_what_was_noted(at, log):
    rooted()
    entry = Entry.objects.filter(stream="system/0", kind="certificate.registered").order_by("seq")[0]
    _asleep("UPDATE seals_certificate SET subject = 'CN=somebody' WHERE id = %s", entry.subject_id)
    page = text(at("gk-dz").get(f"/evidence/?stream=system/0&seq={entry.seq}"))
    assert "现在的内容与记下时不同" in page
    assert '<span class="state state-ok">在根之下' in page  # the log itself is whole


@pytest.mark.parametrize(("age", "alarm"), [(timedelta(minutes=1, seconds=50), False), (timedelta(minutes=3), True)])
def test_a_silent_log_says_what_happened_and_what_to_do(at, log, age, alarm):
    rooted(timezone.now() - age)
    page = plain(text(at("gk-dz").get("/evidence/")))
    assert ("没有签名的根" in page) == alarm
    assert ("怎么办：请系统管理员查看签章服务" in page) == alarm


@pytest.mark.parametrize("username", ["gk-yz", "aq-gl", "aq-sj"])
def test_a_silent_log_is_announced_on_every_page_to_its_watchers(at, log, username):
    newcomer("aq-gl", "security_admin")
    newcomer("aq-sj", "security_auditor")
    rooted(timezone.now() - timedelta(minutes=3))
    page = text(at(username).get("/"))
    assert "存证日志报警" in page and 'href="/evidence/"' in page
    for other in ("gk-sh", "u101001-jb", "admin"):
        assert "存证日志报警" not in text(at(other).get("/"))
    rooted()
    assert "存证日志报警" not in text(at(username).get("/"))


def test_a_log_shorter_than_its_anchor_is_an_alarm_with_instructions(at, log):
    rooted()
    anchors.append(stream="system/0", size=10_000, root="ab" * 32, at=timezone.now())
    page = plain(text(at("gk-dz").get("/evidence/")))
    assert "日志被截短" in page and "保留现场" in page
    assert "存证日志报警" in text(at("gk-yz").get("/"))


def test_another_regions_log_is_not_shown(at, log):
    _asleep("UPDATE evidence_entry SET stream = '990200000/2026' WHERE stream = 'system/0' AND seq = %s", a_seq())
    assert "990200000" not in text(at("gk-dz").get("/evidence/"))
    assert at("gk-dz").get("/evidence/?stream=990200000/2026").status_code == 404


@pytest.mark.parametrize(
    "query", ["stream=%00", "stream=system/0&seq=0", "stream=system/0&seq=99999999", "seq=1e9", "before=x"]
)
def test_nonsense_is_answered_in_words(at, log, query):
    rooted()
    assert at("gk-dz").get(f"/evidence/?{query}").status_code in (200, 404)
