"""What is genuine is called genuine, and by nothing less than roots the reader trusts."""

import base64
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.samples import sample
from tests.verifier import bundles
from tests.verifier.bundles import FIRST, LOG, PROGRAM, STREAM, ask, edited, honest, pack, world
from verifier import guoku_verify
from vouchers.paper import model, pdf


def test_an_honest_bundle_is_genuine_in_every_part(tmp_path):
    answer = ask(tmp_path, pack(honest()))

    assert (answer.code, answer.report["indication"], answer.grave) == (0, "TOTAL_PASSED", [])
    assert sorted(honest()) == sorted(bundles.MEMBERS)
    kinds = [finding["kind"] for finding in answer.report["findings"]]
    counted = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counted == {
        "bundle": 1, "certificate": 13, "crl": 4, "parties": 1, "log": 1, "entry": 20, "root": 3, "timestamp": 3,
        "voucher": 8, "signature": 4, "stamp": 2, "seal": 2, "approval": 8,
    }  # fmt: skip


def test_without_trusted_roots_the_same_bundle_is_undecided_and_says_which_roots_to_compare(tmp_path):
    answer = ask(tmp_path, pack(honest()), trust=False)

    assert (answer.code, answer.failed) == (3, [])
    assert {f["sub_indication"] for f in answer.grave} == {"NO_CERTIFICATE_CHAIN_FOUND", "NO_POE"}
    root = guoku_verify.read_certificate(guoku_verify.pem_blocks(honest()["trust/sm2-sm3.pem"], "CERTIFICATE")[0])
    assert guoku_verify.sm3(root.der).hex() in answer.reasons


def test_without_openssl_the_verdict_is_the_same(tmp_path):
    assert ask(tmp_path, pack(honest()), "--no-openssl").code == 0


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_other_versions_of_python_say_the_same(tmp_path, version):
    found = sorted(Path(sys.base_prefix).parent.glob(f"{version}*/bin/python"))
    if not found:
        pytest.skip(f"no Python {version} here")
    (tmp_path / "b.zip").write_bytes(pack(honest()))
    command = [found[0], "-I", "-S", PROGRAM, "b.zip", "--trust", world().trust, "--at", bundles.AT]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)

    assert run.returncode == 0, run.stdout.decode()


def test_a_copy_of_the_program_needs_nothing_of_the_project(tmp_path):
    """Run from a bundle's own verify.py, in an empty environment, with an empty path."""
    (tmp_path / "verify.py").write_bytes(honest()["verify.py"])
    (tmp_path / "b.zip").write_bytes(pack(honest()))
    command = [sys.executable, "-I", "-S", "verify.py", "b.zip", "--trust", world().trust, "--at", bundles.AT]
    run = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, check=False)

    assert run.returncode == 0 and "真实　TOTAL_PASSED" in run.stdout.decode()
    source = PROGRAM.read_text("utf-8")
    for ours in ("core", "seals", "evidence", "vouchers", "signer", "parties", "cryptography", "lxml", "django"):
        assert f"import {ours}" not in source and f"from {ours}" not in source


def test_a_partial_log_is_genuine_through_its_proofs(tmp_path):
    files = bundles.build(only=[1, 2, 3, 9, 10])

    answer = ask(tmp_path, pack(files))

    assert f"{LOG}/proofs.jsonl" in files and answer.failed == [] and answer.code in (0, 3)
    assert [f["name"] for f in answer.report["findings"] if f["kind"] == "entry"] == [
        f"{STREAM} #{seq}" for seq in (1, 2, 3, 9, 10)
    ]


def test_long_after_the_certificates_ended_the_time_stamped_log_still_proves_the_signatures(tmp_path):
    assert ask(tmp_path, pack(honest()), at="2040-01-01T00:00:00Z").code == 0


def test_without_time_stamps_an_ended_certificate_leaves_the_signature_undecided(tmp_path):
    def strip(rows):
        for row in rows:
            row["token"] = None

    files = edited(honest(), f"{LOG}/roots.jsonl", strip)
    assert ask(tmp_path, pack(files), at="2026-11-01T00:00:00Z").code == 3  # the entries have no proved time

    answer = ask(tmp_path, pack(files), at="2040-01-01T00:00:00Z")
    assert (answer.code, answer.failed) == (3, [])
    assert "OUT_OF_BOUNDS_NO_POE" in {f["sub_indication"] for f in answer.grave if f["kind"] == "signature"}


def test_the_html_report_stands_alone_and_names_what_failed(tmp_path):
    files = honest()
    text = bytearray(files[f"{FIRST}/voucher.txt"])
    text[40] ^= 1
    ask(tmp_path, pack(files | {f"{FIRST}/voucher.txt": bytes(text)}), "--report", "report.html")

    page = (tmp_path / "report.html").read_text("utf-8")
    assert "不真实　TOTAL_FAILED" in page and f"{FIRST}/voucher.txt" in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "") and "src=" not in page


def test_text_from_a_file_cannot_become_markup_in_the_report(tmp_path):
    def rename(parties):
        parties[bundles.BANK_A]["name"] = "<script>alert(1)</script>"

    ask(tmp_path, pack(edited(honest(), "parties.json", rename)), "--report", "report.html")

    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize(
    "arguments", [[], ["b.zip", "--at", "yesterday"], ["missing.zip"], ["b.zip", "--trust", "nowhere"], ["text.txt"]]
)
def test_wrong_usage_and_unreadable_files_end_with_two(tmp_path, arguments):
    (tmp_path / "b.zip").write_bytes(pack(honest()))
    (tmp_path / "text.txt").write_text("这不是凭证。")
    run = subprocess.run(
        [sys.executable, "-I", "-S", PROGRAM, *arguments], cwd=tmp_path, capture_output=True, check=False
    )

    assert run.returncode == 2 and run.stderr and not run.stdout


def test_main_and_verify_file_can_be_called(tmp_path, capsys):
    path = tmp_path / "b.zip"
    path.write_bytes(pack(honest()))
    report = guoku_verify.verify_file(path, world().trust, guoku_verify.instant(bundles.AT))

    assert (report.exit_code, report.indication, report.worst()) == (0, "TOTAL_PASSED", [])
    assert guoku_verify.main([str(path), "--at", bundles.AT]) == 3
    assert "INDETERMINATE" in capsys.readouterr().out


# Files made by others: verdicts of samples/README.md ------------------------------------------------------------------


@pytest.mark.parametrize(("name", "version"), [("UserV1.esl", "1"), ("UserV4.esl", "4")])
def test_a_seal_of_another_maker_holds_but_its_root_is_unknown(tmp_path, name, version):
    answer = ask(tmp_path, sample(name), name=name, trust=False, at="2021-01-01T00:00:00Z")

    (finding,) = answer.report["findings"]
    assert (answer.code, finding["sub_indication"]) == (3, "NO_CERTIFICATE_CHAIN_FOUND")
    assert finding["facts"]["version"] == version


@pytest.mark.parametrize("name", ["UserV1.esl", "UserV4.esl"])
def test_a_seal_of_another_maker_changed_in_its_picture_fails(tmp_path, name):
    data = bytearray(sample(name))
    data[5000] ^= 1
    answer = ask(tmp_path, bytes(data), name=name, trust=False)

    assert (answer.code, {f["sub_indication"] for f in answer.failed}) == (1, {"SIG_CRYPTO_FAILURE"})


def test_a_stamp_that_covers_nothing_is_refused_as_such(tmp_path):
    answer = ask(tmp_path, sample("SignedValueV4.dat"), name="v4.dat", trust=False, at="2020-10-13T00:00:00Z")

    assert answer.code == 1 and "dataHash 全为零" in answer.reasons


def test_placeholders_in_an_envelope_are_refused(tmp_path):
    answer = ask(tmp_path, sample("EXAMPLE_made_up_5207.envelope.xml"), name="e.xml", trust=False)

    assert (answer.code, [f["kind"] for f in answer.failed]) == (1, ["signature", "stamp"])


def test_an_inner_document_alone_is_undecided(tmp_path):
    answer = ask(tmp_path, sample("EXAMPLE_made_up_5207.voucher.xml"), name="v.xml", trust=False)

    assert (answer.code, [f["sub_indication"] for f in answer.grave]) == (3, ["SIGNED_DATA_NOT_FOUND"])


# Single files of ours -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def full_trust(tmp_path_factory):
    """A trust directory with roots, the certificates of the parties and the revocation lists."""
    directory = tmp_path_factory.mktemp("full-trust")
    for path, content in honest().items():
        if path.split("/")[0] in ("certificates", "crls", "trust"):
            (directory / path).parent.mkdir(exist_ok=True)
            (directory / path).write_bytes(content)
    return directory


def envelope(text: bytes, number: str = "ZF0001") -> bytes:
    said = guoku_verify.loads(honest()[f"{FIRST}/voucher.json"], "")
    (signature,), (stamp,) = said["signatures"], said["stamps"]
    return (
        '<?xml version="1.0" encoding="GBK"?>\n<MOF><VoucherCount>1</VoucherCount><VoucherBody '
        f'AdmDivCode="{bundles.REGION}" StYear="2026" VtCode="5201" VoucherNo="{number}"><VoucherFlag>0</VoucherFlag>'
        f"<Return_Reason></Return_Reason><Attach></Attach><Voucher>{text.decode()}</Voucher><SignStampList>"
        f'<SignStamp No="cz_dwgz" SN="{stamp["seal_id"]}">{stamp["value"]}</SignStamp></SignStampList><SignatureList>'
        f'<Signature No="cz_qm" SN="{signature["serial"]}">{signature["value"]}</Signature></SignatureList>'
        "</VoucherBody></MOF>"
    ).encode("gbk")


def run(path, trust, at=bundles.AT):
    return guoku_verify.verify_file(path, trust, guoku_verify.instant(at))


def test_an_envelope_is_genuine_with_certificates_from_the_trust_directory(tmp_path, full_trust):
    path = tmp_path / "e.xml"
    path.write_bytes(envelope(honest()[f"{FIRST}/voucher.txt"]))
    assert run(path, full_trust).exit_code == 0

    report = run(path, world().trust)  # roots only: the signer of the plain signature is unknown
    assert report.exit_code == 3
    assert {f.outcome.sub for f in report.worst()} == {"NO_SIGNING_CERTIFICATE_FOUND", "NO_CERTIFICATE_CHAIN_FOUND"}


def test_an_envelope_under_another_number_or_with_another_text_fails(tmp_path, full_trust):
    path, text = tmp_path / "e.xml", honest()[f"{FIRST}/voucher.txt"]
    path.write_bytes(envelope(text, "ZF0009"))
    report = run(path, full_trust)
    assert report.exit_code == 1 and "VoucherNo" in "".join(f.outcome.reason for f in report.worst())

    changed = base64.b64encode(base64.b64decode(text).replace(b"1234.50", b"9234.50"))
    path.write_bytes(envelope(changed))
    report = run(path, full_trust)
    assert [(f.kind, f.outcome.sub) for f in report.worst()] == [
        ("signature", "SIG_CRYPTO_FAILURE"), ("stamp", "HASH_FAILURE"),
    ]  # fmt: skip


def test_an_inner_document_with_its_signature_beside_it(tmp_path, full_trust):
    path, text = tmp_path / "v.xml", honest()[f"{FIRST}/voucher.txt"]
    path.write_bytes(base64.b64decode(text))
    path.with_suffix(".sig").write_text(base64.b64encode(world().finance.sign(text)).decode())
    assert run(path, full_trust).exit_code == 0

    path.write_bytes(base64.b64decode(text).replace(b"1234.50", b"1234.51"))
    assert run(path, full_trust).exit_code == 1


def test_a_stamp_with_its_text_beside_it_and_a_seal_alone(tmp_path, full_trust):
    said = guoku_verify.loads(honest()[f"{FIRST}/voucher.json"], "")
    path = tmp_path / "s.der"
    path.write_bytes(base64.b64decode(said["stamps"][0]["value"]))
    assert run(path, full_trust).exit_code == 3  # no text, no verdict
    path.with_suffix(".txt").write_bytes(honest()[f"{FIRST}/voucher.txt"])
    assert run(path, full_trust).exit_code == 0
    path.with_suffix(".txt").write_bytes(honest()[f"{FIRST}/receipt-1.txt"])
    assert run(path, full_trust).exit_code == 1

    path = tmp_path / "seal.esl"
    path.write_bytes(bundles.seal_of(world().finance, world().maker))
    assert run(path, full_trust).exit_code == 0


def test_a_pdf_is_worth_what_is_attached_to_it(tmp_path, full_trust):
    original = pdf.Original("e.xml", envelope(honest()[f"{FIRST}/voucher.txt"]), "application/xml", "原件", "source")
    data = pdf.paper([model.Page(210, 297, "票面", ())], title="票面", made_at=bundles.SEALED, originals=[original])
    path = tmp_path / "p.pdf"
    path.write_bytes(data)
    assert guoku_verify.pdf_attachments(data) == {"e.xml": original.data}
    assert run(path, full_trust).exit_code == 0

    path.write_bytes(data + b"\n1 0 obj\n<<>>\nendobj\n%%EOF\n")  # a later revision
    report = run(path, full_trust)
    assert report.exit_code == 1 and "两个版本" in report.worst()[0].outcome.reason


def test_a_pdf_with_object_streams_is_read_too():
    """As other tools write them: the file specification inside a compressed object stream, the file compressed."""
    spec = b"<</Type/Filespec/UF<FEFF0061002E0078006D006C>/EF<</F 3 0 R>>>>"
    inside = b"1 0 " + spec
    packed, content = zlib.compress(inside), zlib.compress(b"<Voucher/>" * 50)
    data = b"%PDF-1.7\n" + b"".join(
        b"%d 0 obj\n<<%b/Filter/FlateDecode/Length %d>>\nstream\n%b\nendstream\nendobj\n"
        % (number, kind, len(body), body)
        for number, kind, body in ((2, b"/Type/ObjStm/N 1/First 4", packed), (3, b"/Type/EmbeddedFile", content))
    )
    assert list(guoku_verify.pdf_attachments(data).values()) == [b"<Voucher/>" * 50]
    with pytest.raises(guoku_verify.Refused, match="两个版本"):
        guoku_verify.pdf_attachments(data + b"1 0 obj\n<<>>\nendobj\n")


def test_a_pdf_without_attachments_is_only_a_picture(tmp_path, full_trust):
    typst = pytest.importorskip("typst")
    (tmp_path / "p.typ").write_text("票面", "utf-8")
    (tmp_path / "p.pdf").write_bytes(typst.compile(str(tmp_path / "p.typ"), format="pdf"))

    report = run(tmp_path / "p.pdf", full_trust)
    assert report.exit_code == 3 and "只是一张图" in report.worst()[0].outcome.reason


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_trust_directory_may_be_one_file(tmp_path):
    roots = b"".join(path.read_bytes() for path in sorted(world().trust.glob("*.pem")))
    (tmp_path / "roots.pem").write_bytes(roots)
    (tmp_path / "b.zip").write_bytes(pack(honest()))
    assert run(tmp_path / "b.zip", tmp_path / "roots.pem").exit_code == 0
