"""One byte anywhere, and a forger who puts the manifest right again: found, and the file is named."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from core.digests import sm3_hex
from seals import der
from seals.pki import Issuer, Usage, load_issuer
from seals.revocation import RevokedEntry, build_crl
from seals.suites import get_suite
from tests.verifier import bundles
from tests.verifier.bundles import (
    FINANCE,
    FIRST,
    LOG,
    MEMBERS,
    SEALED,
    SECOND,
    LogBuilder,
    Step,
    ask,
    build,
    edited,
    honest,
    instant,
    jsonl,
    manifest_of,
    pack,
    to_json,
    world,
)  # fmt: skip
from verifier import guoku_verify

AT = guoku_verify.instant(bundles.AT)
# What no signature, digest or log entry covers (docs/verifying.md): only the manifest tells.
UNCOVERED = ("README.txt", "verify.py")


def verdict(tmp_path: Path, files: dict[str, bytes], manifest: bytes | None = None) -> guoku_verify.Report:
    path = tmp_path / "b.zip"
    path.write_bytes(pack(files, manifest))
    return guoku_verify.verify_file(path, world().trust, AT)


def names(report: guoku_verify.Report, path: str) -> bool:
    return any(path in (f.file, f.name) or path in f.outcome.reason for f in report.findings if f.outcome.state)


def flipped(content: bytes, position: int, bit: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1 << bit]) + content[position + 1 :]


@pytest.mark.parametrize("path", MEMBERS)
def test_one_changed_byte_is_found_by_the_manifest(tmp_path, path):
    files, pick = honest(), random.Random(path)
    right = manifest_of(files)
    for position in {0, len(files[path]) - 1, *(pick.randrange(len(files[path])) for _ in range(3))}:
        report = verdict(tmp_path, files | {path: flipped(files[path], position, pick.randrange(8))}, right)
        assert report.exit_code == 1 and path in {f.file for f in report.worst()}, position


@pytest.mark.parametrize("path", [path for path in MEMBERS if path not in UNCOVERED])
def test_one_changed_byte_is_found_though_the_manifest_was_put_right(tmp_path, path):
    """Twenty-five places in each file. State and time of a receipt are said by nobody but the exporter."""
    files, pick = honest(), random.Random(f"clever {path}")
    content = files[path]
    uncovered = [
        range(start, start + length)
        for mark, length in ((b'"sealed_at":"', 33), (b'"state":"', 18), (b'"position":"yh_qm', 17))
        for start in [content.find(mark)]
        if start >= 0 and path.endswith(".json") and ("receipt" in path or b"state" in mark)
    ]
    survived, unnamed = [], []
    for _ in range(25):
        position = pick.randrange(len(content))
        if any(position in span for span in uncovered):
            continue
        report = verdict(tmp_path, files | {path: flipped(content, position, pick.randrange(8))})
        if report.exit_code != 1 and not ("approvals" in path and report.exit_code == 3):
            survived.append((position, content[max(0, position - 20) : position + 5]))
        elif not names(report, path):
            unnamed.append((position, [(f.file, f.outcome.reason) for f in report.worst()]))
    assert survived == [] and unnamed == []


def test_every_byte_of_the_signed_text_counts(tmp_path):
    """All of them, cheaply: the signature over the text alone."""
    text, it = honest()[f"{FIRST}/voucher.txt"], world()
    key = guoku_verify.read_key(it.finance.certificate.spki)
    signature = it.finance.sign(text)
    assert guoku_verify.verify_signature(key, "sm3", text, signature)
    for position in range(len(text)):
        assert not guoku_verify.verify_signature(key, "sm3", flipped(text, position, position % 8), signature)


@pytest.mark.parametrize("start", range(0, 400, 40))
def test_a_byte_changed_in_the_zip_itself_is_never_called_genuine_with_other_content(tmp_path, start):
    """Raw damage: refused, or in a field that carries no content (a date of the archive)."""
    data = pack(honest())
    path = tmp_path / "b.zip"
    pick = random.Random(start)
    for _ in range(4):
        path.write_bytes(flipped(data, pick.randrange(len(data)), pick.randrange(8)))
        report = guoku_verify.verify_file(path, world().trust, AT)
        if report.exit_code == 0:
            assert guoku_verify.read_zip(path.read_bytes()) == guoku_verify.read_zip(data)


def reasons(report: guoku_verify.Report) -> str:
    return "".join(finding.outcome.reason for finding in report.worst())


def refused(tmp_path: Path, files: dict[str, bytes], because: str, state: int = 1) -> guoku_verify.Report:
    report = verdict(tmp_path, files)
    assert report.exit_code == state and because in reasons(report), reasons(report)
    return report


# Vouchers -------------------------------------------------------------------------------------------------------------


def resigned(amount: str, signer: bundles.Holder) -> dict[str, bytes]:
    """The first voucher for another amount, text, digest, signature and stamp put right as far as a key reaches."""
    it, files = world(), honest()
    text = bundles.base64.b64encode(bundles.inner_xml("ZF0001", amount, "临江市第一小学"))

    def change(said):
        said["digest"] = sm3_hex(text)
        said["signatures"] = [
            {"position": "cz_qm", "serial": signer.serial, "value": bundles.in_base64(signer.sign(text))}
        ]
        seal = bundles.seal_of(signer, it.maker)
        stamp = bundles.stamp_on(text, signer, seal, "990100000/2026/5201/ZF0001/cz_dwgz")
        said["stamps"][0]["value"] = bundles.in_base64(stamp)

    return edited(files | {f"{FIRST}/voucher.txt": text}, f"{FIRST}/voucher.json", change)


def test_another_amount_signed_by_the_receiver_is_not_the_senders(tmp_path):
    refused(tmp_path, resigned("9999.00", world().bank_b), "没有发送方 临江市财政局 的有效签名或签章")


def test_another_amount_signed_by_an_officer_is_nobodys(tmp_path):
    refused(tmp_path, resigned("9999.00", world().officers[0]), "应签一方")


def test_another_amount_signed_with_the_senders_own_key_contradicts_approvals_and_receipt(tmp_path):
    report = refused(tmp_path, resigned("9999.00", world().finance), "用印声明所指的不是这张凭证")
    assert "审批的金额 1234.50 不是凭证的金额" in reasons(report) and "PayAmt 与原凭证不同" in reasons(report)


def test_receiver_and_other_claims_outside_the_signature_are_checked_against_the_log(tmp_path):
    def other(said):
        said["receiver"] = bundles.BANK_A

    refused(tmp_path, edited(honest(), f"{FIRST}/voucher.json", other), "receiver 与日志")


def test_a_voucher_without_any_signature_is_refused(tmp_path):
    def strip(said):
        said["signatures"], said["stamps"] = [], []

    refused(tmp_path, edited(honest(), f"{FIRST}/voucher.json", strip), "没有任何签名或签章")


def test_a_receipt_that_changes_more_than_its_own_fields_is_refused(tmp_path):
    it = world()
    text = bundles.base64.b64encode(bundles.inner_xml("ZF0001", "1234.50", "别人", receipt=True))

    def change(said):
        said["digest"] = sm3_hex(text)
        said["signatures"][0]["value"] = bundles.in_base64(it.bank_b.sign(text))

    files = edited(honest() | {f"{FIRST}/receipt-1.txt": text}, f"{FIRST}/receipt-1.json", change)
    refused(tmp_path, files, "明细 1 的 PayeeAcctName 与原凭证不同")


@pytest.mark.parametrize(
    ("name", "because"),
    [
        (f"{FIRST}/voucher.txt", "缺少文件"), (f"{FIRST}/approvals.json", "缺少文件"), ("parties.json", "缺少文件"),
        (f"{LOG}/roots.jsonl", "缺少文件"), (f"{FIRST}/voucher.json", "缺少文件"),
    ],
)  # fmt: skip
def test_a_file_left_out_of_bundle_and_manifest_is_missed(tmp_path, name, because):
    files = honest()
    del files[name]
    refused(tmp_path, files, because)


@pytest.mark.parametrize("inner", [
    b'<?xml version="1.0" encoding="GBK"?><!DOCTYPE V [<!ENTITY a "1">]><Voucher><VoucherNo>&a;</VoucherNo></Voucher>',
    b'<?xml version="1.0" encoding="GBK"?><Voucher><VoucherNo>1<!-- -->0</VoucherNo></Voucher>',
    b'<?xml version="1.0" encoding="UTF-16"?><Voucher></Voucher>',
    b"<Voucher><VoucherNo>1</VoucherNo></Voucher>",
    b'\xef\xbb\xbf<?xml version="1.0" encoding="GBK"?><Voucher></Voucher>',
    b'<?xml version="1.0" encoding="GBK"?><Voucher>\xff\xff</Voucher>',
    b'<?xml version="1.0" encoding="GBK"?><Voucher><?x y?></Voucher>',
    b'<?xml version="1.0" encoding="GBK"?>' + b"<a>" * 40 + b"</a>" * 40,
    b'<?xml version="1.0" encoding="GBK"?><Voucher xmlns="u"></Voucher>',
    b'<?xml version="1.0" encoding="GBK"?><Voucher>text<b/></Voucher>',
])  # fmt: skip
def test_xml_that_could_be_read_in_two_ways_is_not_read(inner):
    with pytest.raises(guoku_verify.Refused) as refusal:
        guoku_verify.read_xml(inner)
    assert refusal.value.outcome.sub == "FORMAT_FAILURE"


# Stamps and seals -----------------------------------------------------------------------------------------------------


def with_stamp(stamp: bytes, seal_id: str = "99010000000001") -> dict[str, bytes]:
    def change(said):
        said["stamps"] = [{"position": "cz_dwgz", "seal_id": seal_id, "value": bundles.in_base64(stamp)}]

    return edited(honest(), f"{FIRST}/voucher.json", change)


def text_of(folder: str = FIRST) -> bytes:
    return honest()[f"{folder}/voucher.txt"]


BINDING, DAY = "990100000/2026/5201/ZF0001/cz_dwgz", timedelta(days=1)


def stamped(holder: bundles.Holder, seal: bytes, binding: str = BINDING, text: bytes | None = None, **more) -> bytes:
    return bundles.stamp_on(text or text_of(), holder, seal, binding, **more)


@pytest.mark.parametrize(
    ("make", "because"),
    [
        (lambda it, s: stamped(it.finance, s, text=text_of(SECOND)), "不是盖在这份原文上"),
        (lambda it, s: stamped(it.finance, s, BINDING.replace("dwgz", "qm")), "签章所指位置"),
        (lambda it, s: stamped(it.finance, s, data_hash=bytes(32)), "dataHash 全为零"),
        (lambda it, s: stamped(it.bank_b, s), "不在印章的持有人列表中"),
        (lambda it, s: stamped(it.officers[0], s), "不在印章的持有人列表中"),
        (lambda it, s: stamped(it.finance, bundles.seal_of(it.finance, it.finance)), "自己制作"),
        (lambda it, s: stamped(it.finance, bundles.seal_of(it.finance, it.officers[0])), "自己制作"),
        (lambda it, s: stamped(it.finance, bundles.seal_of(it.finance, it.maker, es_id="OTHER")), "印章编号"),
        (lambda it, s: stamped(it.finance, bundles.seal_of(it.finance, it.maker, valid_to=SEALED - DAY)), "印章有效期"),
        (lambda it, s: stamped(it.finance, bundles.seal_of(it.finance, it.maker, valid_from=SEALED + DAY)), "有效期"),
        (lambda it, s: stamped(it.finance, s, at=SEALED + timedelta(hours=1)), "晚于凭证完成时间"),
        (lambda it, s: stamped(it.finance, s) + b"\0", "DER"),
        (lambda it, s: stamped(it.finance, s)[:-1], "DER"),
    ],
)  # fmt: skip
def test_a_stamp_that_is_not_this_vouchers_is_refused(tmp_path, make, because):
    it = world()
    refused(tmp_path, with_stamp(make(it, bundles.seal_of(it.finance, it.maker))), because)


def test_a_seal_changed_after_it_was_made_is_refused(tmp_path):
    it = world()
    seal = bundles.seal_of(it.finance, it.maker)
    for old, new in (("业务专用章", "财务专用章"), ("99010000000001", "99010000000002")):
        changed = seal.replace(old.encode(), new.encode())
        assert changed != seal
        stamp = bundles.stamp_on(text_of(), it.finance, changed, BINDING)
        refused(tmp_path, with_stamp(stamp, new if new.isdigit() else "99010000000001"), "不是其制章人证书所签")


def test_a_holder_list_of_digests_is_read_too(tmp_path):
    it = world()
    good = bundles.seal_of(it.finance, it.maker, holder_digest=lambda data: guoku_verify.sm3(data))
    stamp = bundles.stamp_on(text_of(), it.finance, good, BINDING)
    report = verdict(tmp_path, with_stamp(stamp))
    assert [f for f in report.findings if f.kind in ("stamp", "seal") and f.outcome.state] == []

    bad = bundles.seal_of(it.bank_a, it.maker, holder_digest=lambda data: guoku_verify.sm3(data))
    refused(tmp_path, with_stamp(bundles.stamp_on(text_of(), it.finance, bad, BINDING)), "不在印章的持有人列表中")


def test_only_admitted_makers_count_where_the_reader_names_them(tmp_path):
    it, trust = world(), tmp_path / "trust"
    (trust / "makers").mkdir(parents=True)
    for path in it.trust.glob("*.pem"):
        (trust / path.name).write_bytes(path.read_bytes())
    (trust / "makers" / "m.pem").write_bytes(der.pem("CERTIFICATE", it.bank_a.certificate.der))
    (tmp_path / "b.zip").write_bytes(pack(honest()))
    report = guoku_verify.verify_file(tmp_path / "b.zip", trust, AT)
    assert report.exit_code == 1 and "准入的制章人" in reasons(report)

    (trust / "makers" / "m.pem").write_bytes(der.pem("CERTIFICATE", it.maker.certificate.der))
    assert guoku_verify.verify_file(tmp_path / "b.zip", trust, AT).exit_code == 0


@pytest.mark.parametrize(("size", "because"), [(5, "日志被改写"), (500, "日志末尾被删")])
def test_the_root_a_stamp_carries_is_a_witness_against_a_rewritten_log(tmp_path, size, because):
    it = world()
    witness = {"root": "ab" * 32, "size": size, "stream": bundles.STREAM}
    seal = bundles.seal_of(it.finance, it.maker)
    refused(tmp_path, with_stamp(bundles.stamp_on(text_of(), it.finance, seal, BINDING, witness=witness)), because)


# Approvals ------------------------------------------------------------------------------------------------------------


def approvals(change) -> dict[str, bytes]:
    return edited(honest(), f"{FIRST}/approvals.json", change)


def test_a_step_taken_out_is_missed(tmp_path):
    def drop(rows):
        del rows[1]

    report = refused(tmp_path, approvals(drop), "与前一步的签名接不上")
    assert "审批中没有" in reasons(report)


def test_the_last_step_taken_out_is_missed_by_the_log(tmp_path):
    refused(tmp_path, approvals(lambda rows: rows.pop()), "记有一步签名，审批中没有")


def test_all_steps_taken_out_are_missed_by_the_log(tmp_path):
    refused(tmp_path, approvals(lambda rows: rows.clear()), "记有一步签名，审批中没有")


def test_two_steps_changed_about_are_refused(tmp_path):
    def swap(rows):
        rows[1], rows[2] = rows[2], rows[1]

    refused(tmp_path, approvals(swap), "次序")


def test_the_approvals_of_another_voucher_are_refused(tmp_path):
    files = honest()
    files[f"{FIRST}/approvals.json"] = files[f"{SECOND}/approvals.json"]
    report = refused(tmp_path, files, "审批的金额 99.00 不是凭证的金额")
    assert "用印声明所指的不是这张凭证" in reasons(report)


@pytest.mark.parametrize(
    ("name", "value", "because"),
    [
        ("person", "周某", "与名册"), ("person_id", "00000000-0000-7000-8000-000000000004", "与名册"),
        ("post", "treasury_chief", "不符"), ("decision", "reject", "不符"), ("revision", 2, "版本"),
        ("content_digest", "0" * 64, "不是所审的内容"), ("index", 1, "不在所签声明之中"),
        ("path", ["0" * 64], "不在所签声明之中"),
        ("at", "2026-06-15T01:14:50Z", "有效期"),
            ("at", "2026-06-15T01:12:00Z", "与日志"), ("certificate_serial", "ab", "certificates/"),
        ("signature", None, "没有 signature"), ("statement", None, "却有签名的其他部分"), ("ordinal", "1", "类型"),
    ],
)  # fmt: skip
def test_what_is_written_beside_a_statement_must_be_what_it_says(tmp_path, name, value, because):
    def change(rows):
        rows[1][name] = value

    refused(tmp_path, approvals(change), because)


@pytest.mark.parametrize(
    ("old", "new"), [('"amount":"1234.50"', '"amount":"1234.60"'), ('"payee":"临江市第一小学"', '"payee":"别人"')]
)
def test_an_item_changed_after_signing_is_refused(tmp_path, old, new):
    def change(rows):
        rows[1]["item"] = rows[1]["item"].replace(old, new)

    refused(tmp_path, approvals(change), "不在所签声明之中")


@pytest.mark.parametrize("spelling", [lambda t: t.replace(",", ", ", 1), lambda t: t.replace('"v":1', '"v":1,"v":1')])
def test_a_statement_in_another_spelling_is_refused(tmp_path, spelling):
    def change(rows):
        rows[1]["statement"] = spelling(rows[1]["statement"])

    refused(tmp_path, approvals(change), "不是规范的 JSON")


def digest_of(number: str) -> str:
    return sm3_hex(f"content of {number}".encode())


def test_one_person_in_two_posts_is_refused_though_every_signature_holds(tmp_path):
    reviewer = world().officers[0]
    steps = [
        Step(reviewer, "payment_reviewer", "approve", 10, digest_of("ZF0001")),
        Step(reviewer, "treasury_chief", "approve", 15, digest_of("ZF0001")),
        Step(world().officers[2], "seal_keeper", "seal", 29, sm3_hex(text_of())),
    ]
    refused(tmp_path, build(steps=steps), "一人办理了两个岗位")


def test_a_seal_statement_for_another_voucher_is_refused(tmp_path):
    steps = [Step(world().officers[2], "seal_keeper", "seal", 29, sm3_hex(text_of(SECOND)))]
    refused(tmp_path, build(steps=steps), "用印声明所指的不是这张凭证")


def test_a_return_and_a_second_revision_are_two_chains(tmp_path):
    reviewer, chief, keeper, _unit = world().officers
    steps = [
        Step(reviewer, "payment_reviewer", "return", 5, digest_of("ZF0001")),
        Step(reviewer, "payment_reviewer", "approve", 10, digest_of("ZF0001"), revision=2),
        Step(chief, "treasury_chief", "approve", 15, digest_of("ZF0001"), revision=2),
        Step(keeper, "seal_keeper", "seal", 29, sm3_hex(text_of()), revision=2),
    ]
    assert verdict(tmp_path, build(steps=steps)).exit_code == 0


def test_a_step_without_ukey_that_the_log_does_not_know_is_undecided(tmp_path):
    def change(rows):
        rows[0]["decision"] = "reject"

    refused(tmp_path, approvals(change), "日志中也没有这一步", 3)


# The log --------------------------------------------------------------------------------------------------------------


def log_lines(change) -> dict[str, bytes]:
    return edited(honest(), f"{LOG}/entries.jsonl", change)


def rechained(files: dict[str, bytes], change) -> dict[str, bytes]:
    """Entries changed, then payload digests and chain put right by a forger without the root key."""
    rows = [guoku_verify.loads(line, "") for line in files[f"{LOG}/entries.jsonl"].splitlines()]
    change(rows)
    prev = ""
    for seq, row in enumerate(rows, 1):
        entry = guoku_verify.loads(row["entry"], "") | {"payload_sm3": sm3_hex(row["payload"].encode())}
        row["entry"] = bundles.canonical(entry | {"prev": prev, "seq": seq})
        prev = guoku_verify.leaf_hash(row["entry"].encode()).hex()
    return files | {f"{LOG}/entries.jsonl": jsonl(rows)}


def test_a_changed_fact_is_named_by_its_row(tmp_path):
    def change(rows):
        rows[4]["payload"] = rows[4]["payload"].replace("approve", "reject!")

    report = refused(tmp_path, log_lines(change), "条目 5 的事实内容被改动")
    assert next((f.file, f.row) for f in report.worst()) == (f"{LOG}/entries.jsonl", 5)


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (lambda rows: rows.pop(3), "缺少条目"),
        (lambda rows: rows.insert(3, rows[3]), "缺少条目，或次序不对"),
        (lambda rows: rows.reverse(), "次序不对"),
        (lambda rows: rows.__delitem__(slice(-2, None)), "末尾被删"),
    ],
)
def test_entries_taken_out_doubled_or_reordered_are_refused(tmp_path, change, because):
    refused(tmp_path, log_lines(change), because)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[2].update(payload=rows[2]["payload"].replace("approve", "return")),
        lambda rows: rows.pop(2),
        lambda rows: rows.insert(2, rows[5]),
    ],
)
def test_a_log_rewritten_with_a_right_chain_does_not_lead_to_the_signed_roots(tmp_path, change):
    report = verdict(tmp_path, rechained(honest(), change))
    assert report.exit_code == 1 and any(f.kind == "root" for f in report.worst())


def test_a_log_rewritten_and_rooted_anew_by_another_party_is_refused(tmp_path):
    it = world()
    files = rechained(honest(), lambda rows: rows.pop(2))
    log = LogBuilder(it.bank_a, it.tsa)
    rows = [guoku_verify.loads(line, "") for line in files[f"{LOG}/entries.jsonl"].splitlines()]
    log.leaves = [guoku_verify.leaf_hash(row["entry"].encode()) for row in rows]
    log.root(SEALED + timedelta(hours=2))
    report = refused(tmp_path, files | {f"{LOG}/roots.jsonl": jsonl(log.roots)}, "根不是由本区划的财政机构一方签署")
    assert "日志被改写" in reasons(report)  # and the stamps bear witness


def test_entries_after_the_last_root_are_undecided(tmp_path):
    def drop(rows):
        del rows[-1]

    report = refused(tmp_path, edited(honest(), f"{LOG}/roots.jsonl", drop), "尚未签入任何根", 3)
    assert report.exit_code == 3


def roots_with(**changes) -> dict[str, bytes]:
    """The honest bundle with its last root made anew."""
    it = world()
    rows = [guoku_verify.loads(line, "") for line in honest()[f"{LOG}/roots.jsonl"].splitlines()]
    entries = [guoku_verify.loads(line, "") for line in honest()[f"{LOG}/entries.jsonl"].splitlines()]
    log = LogBuilder(it.finance, changes.pop("tsa", it.tsa))
    log.leaves = [guoku_verify.leaf_hash(row["entry"].encode()) for row in entries]
    log.root(changes.pop("at", SEALED + timedelta(hours=2)), **changes)
    return honest() | {f"{LOG}/roots.jsonl": jsonl([*rows[:-1], *log.roots])}


def test_two_roots_of_one_size_are_a_fork(tmp_path):
    rows = [guoku_verify.loads(line, "") for line in honest()[f"{LOG}/roots.jsonl"].splitlines()]
    other = [
        guoku_verify.loads(line, "") for line in roots_with(leaves=[bytes(32)] * 20)[f"{LOG}/roots.jsonl"].splitlines()
    ]
    files = honest() | {f"{LOG}/roots.jsonl": jsonl([*rows, other[-1]])}
    refused(tmp_path, files, "日志被分叉")


def test_a_time_stamp_before_its_root_or_in_the_future_is_refused(tmp_path):
    for stamped_at in (SEALED, SEALED + timedelta(days=900)):
        refused(tmp_path, roots_with(stamped_at=stamped_at), "矛盾")


def test_a_time_stamp_by_a_certificate_that_is_none_is_refused(tmp_path):
    fake = world().bank_b  # a good P-256 certificate, for signing
    refused(tmp_path, roots_with(tsa=fake), "不是时间戳证书")


def test_the_time_stamp_of_another_root_is_refused(tmp_path):
    def swap(rows):
        rows[2]["token"] = rows[1]["token"]

    refused(tmp_path, edited(honest(), f"{LOG}/roots.jsonl", swap), "时间戳不是对这一内容所盖")


def test_a_proof_that_leads_elsewhere_is_refused(tmp_path):
    def change(rows):
        rows[1]["path"][0] = "0" * 64

    refused(tmp_path, edited(build(only=[1, 2, 3]), f"{LOG}/proofs.jsonl", change), "不能由路径算到")


# Certificates ---------------------------------------------------------------------------------------------------------


def with_officer(officer: bundles.Holder) -> dict[str, bytes]:
    """A bundle in which this officer is the reviewer."""
    _reviewer, chief, keeper, _unit = world().officers
    content = digest_of("ZF0001")
    steps = [
        Step(officer, "payment_reviewer", "approve", 10, content),
        Step(chief, "treasury_chief", "approve", 15, content),
        Step(keeper, "seal_keeper", "seal", 29, sm3_hex(text_of())),
    ]  # fmt: skip
    return build(steps=steps, holders=[officer])


@pytest.mark.parametrize(
    ("dates", "because"),
    [({"not_after": SEALED - timedelta(days=1)}, "到期"), ({"not_before": SEALED + timedelta(days=1)}, "才生效")],
)
def test_a_certificate_outside_its_dates_when_signing_is_refused(tmp_path, dates, because):
    refused(tmp_path, with_officer(world().officer(9, "吴某", **dates)), because)


def test_an_encryption_certificate_does_not_sign(tmp_path):
    key = get_suite("sm2-sm3").generate_private_key()
    officer = world().issue(key, "00000000-0000-7000-8000-000000000009", "吴某", usage=Usage.ENCRYPTION)
    refused(tmp_path, with_officer(officer), "不是签名证书")


def revoked(officer: bundles.Holder, at) -> bytes:
    issuer = load_issuer(world().directory / "pki", "sm2-sm3")
    return build_crl(
        issuer, number=9, this_update=SEALED + timedelta(days=30), next_update=bundles.END,
        revoked=[RevokedEntry(officer.serial, at, "keyCompromise")],
    )  # fmt: skip


def test_revoked_before_signing_fails_and_revoked_after_a_proved_time_passes(tmp_path):
    officer = world().officer(9, "吴某")
    files = with_officer(officer)
    later = files | {"crls/sub-sm2-sm3.crl": revoked(officer, SEALED + timedelta(days=20))}
    assert verdict(tmp_path, later).exit_code == 0

    refused(tmp_path, files | {"crls/sub-sm2-sm3.crl": revoked(officer, SEALED - timedelta(days=1))}, "早于签名时间")

    def strip(rows):
        for row in rows:
            row["token"] = None

    report = refused(tmp_path, edited(later, f"{LOG}/roots.jsonl", strip), "没有可信时间证明签名在先", 3)
    assert "REVOKED_NO_POE" in {f.outcome.sub for f in report.worst()}


def test_without_revocation_lists_nothing_is_decided(tmp_path):
    files = {path: content for path, content in honest().items() if not path.startswith("crls/")}
    report = refused(tmp_path, files, "没有能覆盖", 3)
    assert "TRY_LATER" in {f.outcome.sub for f in report.worst()}


def test_a_revocation_list_by_nobody_is_refused(tmp_path):
    key = get_suite("sm2-sm3").generate_private_key()
    forged = build_crl(
        Issuer(load_issuer(world().directory / "pki", "sm2-sm3").name, key.spki, key),
        number=9, this_update=bundles.START, next_update=bundles.END,
    )  # fmt: skip
    refused(tmp_path, honest() | {"crls/sub-sm2-sm3.crl": forged}, "不是任何一个发证机构所签")


def test_a_whole_bundle_made_with_a_pki_of_the_forgers_own_is_at_best_undecided(tmp_path):
    """Every signature holds; only the reader's own roots tell the difference."""
    mine, theirs = world(), bundles.World(tmp_path)
    (tmp_path / "b.zip").write_bytes(pack(honest()))
    report = guoku_verify.verify_file(tmp_path / "b.zip", theirs.trust, AT)

    assert mine.trust != theirs.trust and report.exit_code in (1, 3)
    assert "NO_CERTIFICATE_CHAIN_FOUND" in {f.outcome.sub for f in report.findings} or report.exit_code == 1


def test_parties_cannot_be_given_each_others_certificates(tmp_path):
    def swap(parties):
        parties[FINANCE]["serials"], parties["BANK-A"]["serials"] = (
            parties["BANK-A"]["serials"], parties[FINANCE]["serials"],
        )  # fmt: skip

    refused(tmp_path, edited(honest(), "parties.json", swap), "的主体不是")


def test_the_program_itself_says_so_too(tmp_path):
    """One forgery through the command line, with its words."""
    files = honest()
    files[f"{FIRST}/voucher.txt"] = flipped(files[f"{FIRST}/voucher.txt"], 100, 0)
    answer = ask(tmp_path, pack(files))

    assert answer.code == 1 and f"{FIRST}/voucher.txt" in answer.failed_files
    assert all(finding["advice"] for finding in answer.failed)
    assert instant(SEALED) and to_json({}) == b"{}"
