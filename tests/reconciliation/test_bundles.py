# ruff: noqa: F811 (fixtures of a helper module)
"""Evidence that leaves the house: what is exported verifies elsewhere, and what was altered inside says so."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from core.merkle import inclusion_paths, leaf_hash, root_of, verify_inclusion
from demo import world
from evidence import chain
from evidence.models import Entry
from launcher import commands
from parties.models import Region
from payments import services
from reconciliation.bundles import choosing
from reconciliation.bundles.errors import BundleEmpty, BundleNumbersClash, VoucherNotFound
from reconciliation.bundles.exporting import VERIFIER, export_bundle
from reconciliation.bundles.proofs import Forest
from tests import acts
from tests.reconciliation.sealed_city import as_owner, ask, exported, sealed_city, sealing_pki  # noqa: F401
from vouchers.codec import encode_envelope
from vouchers.models import InboxMessage, Voucher
from vouchers.transport import body_of

ROOT = Path(__file__).parents[2]
FOLDER, LOG = "vouchers/5201-ZF0001", "log/990100000-2026"


@pytest.fixture
def city(sealed_city):
    return sealed_city


def files_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def lines(content: bytes) -> list:
    return [json.loads(line) for line in content.splitlines()]


# Genuine --------------------------------------------------------------------------------------------------------------


def test_a_payment_that_went_the_whole_way_verifies_outside_with_no_remark(city, tmp_path):
    voucher = city.sealed()
    city.receipted(voucher)
    city.anchored()
    out = tmp_path / "bundle.zip"

    made = exported([voucher], out)

    answer = ask(out, city.trust)
    assert answer.grave == [] and answer.code == 0
    assert (made.vouchers, made.receipts, made.approvals, made.unrooted) == (1, 1, 5, 0)
    kinds = {finding["kind"] for finding in answer.report["findings"]}
    assert kinds >= {"signature", "stamp", "seal", "approval", "root", "timestamp", "entry", "certificate", "crl"}


def test_a_bundle_holds_exactly_what_the_contract_names(city, tmp_path):
    voucher = city.sealed()
    body = city.receipted(voucher)
    city.anchored()
    out = tmp_path / "bundle.zip"
    exported([voucher], out)
    files = files_of(out)

    assert files[f"{FOLDER}/voucher.txt"] == bytes(voucher.text)
    said = json.loads(files[f"{FOLDER}/voucher.json"])
    assert said["digest"] == voucher.digest and said["state"] == "receipted"
    assert [mark["position"] for mark in said["signatures"] + said["stamps"]] == ["cz_qm", "cz_sz", "cz_dwgz"]
    assert files[f"{FOLDER}/receipt-1.txt"] == body.text
    steps = json.loads(files[f"{FOLDER}/approvals.json"])
    assert [(step["post"], step["decision"]) for step in steps] == [
        ("unit_reviewer", "approve"), ("section_reviewer", "approve"), ("payment_reviewer", "approve"),
        ("name_seal", "seal"), ("seal_keeper", "seal"),
    ]  # fmt: skip
    items = [json.loads(step["item"]) for step in steps]
    assert items[0]["former"] == "" and all(item["former"] for item in items[1:])
    assert items[-1]["digest"] == voucher.digest and items[-1]["amount"] == "1234.50"
    assert files["verify.py"] == VERIFIER.read_bytes() and "--trust" in files["README.txt"].decode()
    parties = json.loads(files["parties.json"])
    # Two sides, five officers, and whose personal seal it is.
    assert parties[world.BANK_A]["name"] == "甲银行" and len(parties) == 2 + 5 + 1
    proofs, entries = lines(files[f"{LOG}/proofs.jsonl"]), lines(files[f"{LOG}/entries.jsonl"])
    assert len(proofs) == len(entries) > 10
    assert {json.loads(entry["entry"])["kind"] for entry in entries} == {
        "voucher.sealed", "stamp.affixed", "review.decided", "step.signed", "officer.signed", "exchange.received",
    }  # fmt: skip
    listed = [file["path"] for file in json.loads(files["manifest.json"])["files"]]
    assert listed == sorted(files.keys() - {"manifest.json"})
    assert len([name for name in listed if name.startswith("trust/")]) == 2  # of the two suites in use


def test_the_same_data_give_the_same_bytes_and_nobody_else_may_read_them(city, tmp_path):
    vouchers = city.all_sealed("I4", [("1.00",), ("2.00",)])
    city.anchored()
    now = timezone.now()
    for name, ids in (("a.zip", [v.pk for v in vouchers]), ("b.zip", [v.pk for v in reversed(vouchers)])):
        export_bundle(ids, tmp_path / name, now=now)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert (tmp_path / "a.zip").stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip", "trust"]


def test_an_entry_is_dated_by_the_first_root_over_it_and_tied_to_the_newest(city, tmp_path):
    early = city.sealed("I4", "1.00")
    city.anchored()
    late = city.sealed("I4", "2.00")
    city.anchored()
    exported([early, late], tmp_path / "b.zip")
    files = files_of(tmp_path / "b.zip")
    sizes = [json.loads(root["text"].partition("\0")[2])["size"] for root in lines(files[f"{LOG}/roots.jsonl"])]
    assert len(sizes) == 2 and sizes[0] < sizes[1]
    by_seq: dict[int, list[int]] = {}
    for proof in lines(files[f"{LOG}/proofs.jsonl"]):
        by_seq.setdefault(proof["seq"], []).append(proof["size"])
    assert by_seq[min(by_seq)] == sizes and by_seq[max(by_seq)] == sizes[1:]
    assert ask(tmp_path / "b.zip", city.trust).code == 0


def test_the_whole_log_verifies_too_and_needs_no_proofs(city, tmp_path):
    voucher, _other = city.all_sealed("I4", [("1.00",), ("2.00",)])
    city.anchored()
    exported([voucher], tmp_path / "b.zip", whole_log=True)
    files = files_of(tmp_path / "b.zip")
    assert f"{LOG}/proofs.jsonl" not in files
    assert len(lines(files[f"{LOG}/entries.jsonl"])) == Entry.objects.filter(stream="990100000/2026").count()
    answer = ask(tmp_path / "b.zip", city.trust)
    assert answer.grave == [] and answer.code == 0


def test_without_the_reader_s_own_roots_nothing_is_called_genuine(city, tmp_path):
    voucher = city.sealed()
    city.anchored()
    exported([voucher], tmp_path / "b.zip")
    answer = ask(tmp_path / "b.zip", None)
    assert answer.code == 3 and {f["sub_indication"] for f in answer.grave} >= {"NO_CERTIFICATE_CHAIN_FOUND"}


def test_what_is_in_no_root_yet_is_said_to_be_undated(city, tmp_path):
    voucher = city.sealed()
    city.anchored()
    later = city.sealed("I4", "2.00")
    assert exported([voucher, later], tmp_path / "b.zip").unrooted == 0  # not even placed in the log yet
    chain.sequence()
    made = exported([voucher, later], tmp_path / "b.zip")
    answer = ask(tmp_path / "b.zip", city.trust)
    assert made.unrooted > 0 and answer.code == 3 and {f["sub_indication"] for f in answer.grave} == {"NO_POE"}


def test_a_voucher_sealed_by_the_system_alone_has_no_approvals_of_its_own(city, tmp_path):
    city.sealed()
    notice = Voucher.objects.get(voucher_type="5108")
    city.anchored()
    made = exported([notice], tmp_path / "b.zip")
    answer = ask(tmp_path / "b.zip", city.trust)
    assert made.approvals == 0 and answer.grave == [] and answer.code == 0


def test_a_region_without_ukeys_is_proved_by_its_log(city, tmp_path):
    Region.objects.update(ukey_required=False)
    request = acts.draft("I4", "50.00")
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    now = timezone.now()
    for keeper in ("gk-mz", "gk-yz"):
        services.seal_payment_vouchers(
            request_ids=[request.pk], sealer=world.officer(keeper), now=now
        ).raise_if_refused()
    city.anchored()
    voucher = Voucher.objects.get(voucher_type="5201")
    exported([voucher], tmp_path / "b.zip")
    steps = json.loads(files_of(tmp_path / "b.zip")[f"{FOLDER}/approvals.json"])
    assert len(steps) == 3 and {step["statement"] for step in steps} == {None}
    answer = ask(tmp_path / "b.zip", city.trust)
    assert answer.grave == [] and answer.code == 0


def test_statements_do_not_grow_with_the_vouchers(city, tmp_path):
    vouchers = city.all_sealed("I4", [(f"{n}.00",) for n in range(1, 21)])
    city.anchored()
    exported(vouchers[:1], tmp_path / "warm.zip")
    counts = []
    for some in (vouchers[:2], vouchers):
        with acts.statements() as seen:
            exported(some, tmp_path / "b.zip")
        counts.append(len(seen))
    assert counts[0] == counts[1] and counts[0] < 70


# Altered inside -------------------------------------------------------------------------------------------------------

VOUCHER, RECEIPT, APPROVALS = f"{FOLDER}/voucher", f"{FOLDER}/receipt-1", f"{FOLDER}/approvals.json"
TEXT = "text = overlay(text placing '\\x41'::bytea from 200 for 1)"


def one_byte(column: str, place: str) -> str:
    return f"{column} = set_byte({column}, {place}, (get_byte({column}, {place}) + 1) % 256)"


SOMEBODY = "(SELECT id FROM parties_person WHERE name = '张守正')"
OTHERS = "(SELECT o.pem FROM seals_officercertificate o WHERE o.pem <> seals_officercertificate.pem LIMIT 1)"
NOTICE = "(SELECT v.signature FROM vouchers_voucher v WHERE v.voucher_type = '5108')"
ROOT_TEXT = "root = repeat('12', 32), text = replace(text, root, repeat('12', 32))"
ALTERED = {  # what, in which table, how, and the file that is named
    "the voucher's text": ("vouchers_voucher", TEXT, f"{VOUCHER}.txt"),
    "its digest": ("vouchers_voucher", "digest = repeat('ab', 32)", f"{VOUCHER}.txt"),
    "its signature": ("vouchers_voucher", f"signature = {NOTICE}", f"{VOUCHER}.json"),
    "its receiver": ("vouchers_voucher", "receiver = 'BANK-B'", f"{LOG}/entries.jsonl"),
    "when it was sealed": ("vouchers_voucher", "sealed_at = sealed_at - interval '1 hour'", f"{VOUCHER}.json"),
    "a stamp": ("seals_stamp", one_byte("der", "length(der) - 5"), f"{VOUCHER}.json"),
    "a decision's digest": ("parties_reviewdecision", "content_digest = repeat('cd', 32)", APPROVALS),
    "who decided": ("parties_reviewdecision", f"person_id = {SOMEBODY}", APPROVALS),
    "a statement": ("seals_statementsignature", "text = replace(text, '1234.50', '9234.50')", APPROVALS),
    "an officer's signature": ("seals_statementsignature", one_byte("signature", "20"), APPROVALS),
    "an item": ("seals_stepsignature", "item = replace(item, '1234.50', '9234.50')", APPROVALS),
    "the receipt": ("vouchers_inboxmessage", TEXT, f"{RECEIPT}.txt"),
    "a log entry": ("evidence_entry", "noted_at = noted_at + interval '1 second'", f"{LOG}/proofs.jsonl"),
    "a log entry's digest": ("evidence_entry", "payload_sm3 = repeat('ef', 32)", f"{LOG}/entries.jsonl"),
    "a root": ("evidence_evidenceroot", ROOT_TEXT, f"{LOG}/roots.jsonl"),
    "a root's signature": ("evidence_evidenceroot", one_byte("signature", "20"), f"{LOG}/roots.jsonl"),
    "a time stamp": ("evidence_roottimestamp", one_byte("token", "150"), f"{LOG}/roots.jsonl"),
    "a certificate": ("seals_officercertificate", f"pem = {OTHERS}", "parties.json"),
}
ONLY = {"vouchers_voucher": "voucher_type = '5201'", "parties_reviewdecision": "ordinal = 1"}


@pytest.mark.parametrize("what", ALTERED)
def test_what_was_altered_in_the_database_is_named(city, tmp_path, what):
    voucher = city.sealed()
    city.receipted(voucher)
    city.anchored()
    out = tmp_path / "b.zip"
    exported([voucher], out)
    assert ask(out, city.trust).code == 0
    table, change, file = ALTERED[what]
    with as_owner() as cursor:
        cursor.execute(f"UPDATE {table} SET {change} WHERE {ONLY.get(table, 'true')}")
        assert cursor.rowcount

    exported([Voucher.objects.get(pk=voucher.pk)], out)

    answer = ask(out, city.trust)
    assert answer.code == 1 and file in answer.failed_files, answer.failed


def test_one_changed_byte_of_the_file_itself_is_found(city, tmp_path):
    voucher = city.sealed()
    city.anchored()
    out = tmp_path / "b.zip"
    exported([voucher], out)
    content = files_of(out)
    content[f"{FOLDER}/voucher.txt"] = content[f"{FOLDER}/voucher.txt"].replace(b"A", b"B", 1)
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    answer = ask(out, city.trust)
    assert answer.code == 1 and f"{FOLDER}/voucher.txt" in answer.failed_files


def test_a_log_with_a_missing_entry_is_not_exported_as_if_whole(city, tmp_path, capsys):
    voucher = city.sealed()
    city.anchored()
    with as_owner() as cursor:
        cursor.execute("DELETE FROM evidence_entry WHERE seq = 2 AND stream = '990100000/2026'")
    with pytest.raises(CommandError) as refused:
        call_command("export_evidence", "--voucher", "5201/ZF0001", "--out", str(tmp_path / "b.zip"))
    assert refused.value.returncode == 1 and "缺失" in str(refused.value)
    assert not (tmp_path / "b.zip").exists() and voucher.pk


# Choosing and refusing ------------------------------------------------------------------------------------------------


def test_only_sealed_vouchers_are_exported(city, tmp_path):
    request = city.desk.vouchered("I4")
    with pytest.raises(VoucherNotFound):
        export_bundle([request.voucher_id], tmp_path / "b.zip", now=timezone.now())
    with pytest.raises(BundleEmpty):
        export_bundle([], tmp_path / "b.zip", now=timezone.now())
    with pytest.raises(BundleEmpty):
        choosing.vouchers_between(region=world.REGION, year=world.YEAR)
    assert list(tmp_path.glob("*.zip*")) == []


def test_numbers_of_two_years_do_not_share_a_folder(city, tmp_path):
    one, other = city.all_sealed("I4", [("1.00",), ("2.00",)])
    with as_owner() as cursor:
        change = "UPDATE vouchers_voucher SET fiscal_year = 2027, voucher_no = 'ZF0001' WHERE id = %s"
        cursor.execute(change, [other.pk])
    with pytest.raises(BundleNumbersClash):
        exported([one, other], tmp_path / "b.zip")
    with pytest.raises(VoucherNotFound) as ambiguous:
        choosing.vouchers_named(["5201/ZF0001"])
    assert "--year" in ambiguous.value.message
    assert choosing.vouchers_named(["5201/ZF0001"], year=2027) == [other.pk]


def test_a_refused_receipt_is_no_receipt(city, tmp_path):
    voucher = city.sealed()
    city.receipted(voucher)
    with as_owner() as cursor:
        cursor.execute("UPDATE vouchers_inboxmessage SET state = 'refused'")
    assert InboxMessage.objects.count() == 1
    assert exported([voucher], tmp_path / "b.zip").receipts == 0


def test_the_command_writes_tells_and_warns(city, tmp_path, capsys):
    city.all_sealed("I4", [("1.00",), ("2.00",)])
    chain.sequence()
    out = tmp_path / "june.zip"
    day = Voucher.objects.first().voucher_date
    span = ["--from", str(day), "--to", str(day)]
    call_command("export_evidence", "--region", world.REGION, "--year", "2026", *span, "--out", str(out), "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["vouchers"], told["file"]) == (4, str(out)) and out.exists()  # two 5201 and their 5108
    call_command("export_evidence", "--voucher", "5201/ZF0001", "--out", str(out))
    told = capsys.readouterr().out
    assert "已导出 1 张凭证" in told and "尚未签入带时间戳的根" in told


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--voucher", "5201-ZF0001"],
        ["--voucher", "5201/ZF9999"],
        ["--voucher", "5201/ZF0001", "--from", "2026-01-01"],
        ["--region", world.REGION],
        ["--region", world.REGION, "--year", "2025"],
        ["--region", world.REGION, "--year", "2026", "--to", "2025-01-01"],
    ],
)
def test_the_command_refuses_what_it_cannot_export(city, tmp_path, given):
    city.sealed()
    with pytest.raises(CommandError) as refused:
        call_command("export_evidence", *given, "--out", str(tmp_path / "b.zip"))
    assert refused.value.returncode == 2 and list(tmp_path.glob("*zip*")) == []


def test_proofs_under_any_root_are_those_of_the_standard():
    leaves = [leaf_hash(bytes([n])) for n in range(37)]
    forest = Forest(leaves)
    for size in range(1, 38):
        expected = inclusion_paths(leaves[:size])
        assert [forest.path(index, size) for index in range(size)] == expected
        assert verify_inclusion(leaves[size - 1], size - 1, size, forest.path(size - 1, size), root_of(leaves[:size]))
    for index, size in ((0, 0), (-1, 5), (5, 5), (0, 38)):
        with pytest.raises(IndexError):
            forest.path(index, size)


# manage.py verify -----------------------------------------------------------------------------------------------------


def verify(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        call_command("verify", *arguments)
    return int(ended.value.code)


def test_the_command_takes_its_trust_from_the_register(city, tmp_path, capfd):
    voucher = city.sealed()
    city.anchored()
    exported([voucher], tmp_path / "b.zip")
    assert verify(str(tmp_path / "b.zip"), "--json", "--report", str(tmp_path / "r.html")) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["indication"] == "TOTAL_PASSED" and len(told["trusted"]) == 3
    assert "验证报告" in (tmp_path / "r.html").read_text()
    (tmp_path / "v.xml").write_bytes(encode_envelope([body_of(voucher)]))
    assert verify(str(tmp_path / "v.xml")) == 0
    altered = (tmp_path / "v.xml").read_bytes().replace(b"<Voucher>P", b"<Voucher>Q")
    (tmp_path / "v.xml").write_bytes(altered)
    assert verify(str(tmp_path / "v.xml")) == 1
    assert verify(str(tmp_path / "nothing.xml")) == 2
    (tmp_path / "empty").mkdir()
    assert verify(str(tmp_path / "b.zip"), "--trust", str(tmp_path / "empty")) == 2  # no root in there
    assert verify(str(tmp_path / "b.zip"), "--trust", str(city.trust), "--at", "2026-01-01T00:00:00Z") == 1


@pytest.mark.parametrize("database", ["", "postgresql://nobody@127.0.0.1:1/nothing"])
def test_the_command_runs_from_anywhere_without_a_database(city, tmp_path, database):
    voucher = city.sealed()
    city.anchored()
    exported([voucher], tmp_path / "b.zip")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PGHOST": "127.0.0.1", "PGPORT": "1"}
    environment["DJANGO_SETTINGS_MODULE"] = "treasury.settings.dev"
    if database:
        environment["DATABASE_URL"] = database

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(ROOT / "manage.py"), "verify", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    unknown = run("b.zip")
    assert unknown.returncode == 3 and "不知道信任哪些根证书" in unknown.stderr and "无法判断" in unknown.stdout
    assert run("b.zip", "--trust", "trust").returncode == 0
    assert run("--help").returncode == 0 and "bundle.zip" in run("--help").stdout


def test_the_launcher_starts_nothing_to_verify_or_to_help(monkeypatch):
    called = []
    monkeypatch.setattr(commands, "holder", lambda run: None)
    monkeypatch.setattr(commands, "_system", lambda *a, **k: pytest.fail("started services"))
    monkeypatch.setattr(commands.subprocess, "call", lambda argv, env: called.append((argv[2:], "cwd")) or 3)
    for words in (["verify", "x.zip"], ["help"], ["--help"]):
        assert commands.main(["manage", *words]) == 3
    assert [argv for argv, _ in called] == [["verify", "x.zip"], ["help"], ["--help"]]
