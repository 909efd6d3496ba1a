"""Honest bundles to verify and to forge, made with the project's own modules and the keys of a demo PKI.

`build` gives the files of one bundle by path; `pack` zips them, with a manifest made anew (as a clever forger would) or
with the one that is there. Nothing here needs a database. Source of all formats: docs/signatures.md.
"""

import base64
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from core.digests import sm3, sm3_hex
from core.merkle import inclusion_path, leaf_hash, root_of
from seals import der, statements
from seals.certificates import ParsedCertificate, parse_certificate
from seals.eseal import structures
from seals.pki import OrganisationSpec, issue_certificate, load_issuer, make_demo_pki
from seals.suites import PrivateKeyHandle, get_suite

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "verifier" / "guoku_verify.py"
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
SEALED = datetime(2026, 6, 15, 1, 30, tzinfo=UTC)
AT = "2026-11-01T00:00:00Z"  # when the auditor looks
REGION, YEAR, FINANCE, BANK_A, BANK_B = "990100000", 2026, "FIN-990100000", "BANK-A", "BANK-B"
STREAM, LOG = f"{REGION}/{YEAR}", f"log/{REGION}-{YEAR}"
FIRST, SECOND = "vouchers/5201-ZF0001", "vouchers/5201-ZF0002"
SHA256, SM3, TST_INFO = "2.16.840.1.101.3.4.2.1", "1.2.156.10197.1.401", "1.2.840.113549.1.9.16.1.4"
MEMBERS = [  # of an honest bundle, named here so that tests are the same for every process that collects them
    *(f"{folder}/{name}" for folder in (FIRST, SECOND) for name in (
        "voucher.txt", "voucher.json", "receipt-1.txt", "receipt-1.json", "approvals.json")),
    f"{LOG}/entries.jsonl", f"{LOG}/roots.jsonl", "parties.json", "verify.py", "README.txt",
    *(f"certificates/{holder}.pem" for holder in (
        FINANCE, BANK_A, BANK_B, "maker-sm2-sm3", "tsa", *(f"00000000-0000-7000-8000-{n:012d}" for n in range(1, 5)))),
    *(f"{kind.format(suite)}" for suite in ("sm2-sm3", "ecdsa-p256-sha256") for kind in (
        "certificates/sub-{}.pem", "trust/{}.pem", "crls/{}.crl", "crls/sub-{}.crl")),
]  # fmt: skip
_FOLDER = tempfile.TemporaryDirectory(prefix="guoku-verifier-")  # removed when the tests end
PICTURE = structures.Picture("PNG", b"\x89PNG\r\n\x1a\n", 42, 42)


@dataclass(frozen=True)
class Holder:
    """A party with its key: an organisation, an officer, the seal maker or the time-stamp service."""

    id: str
    name: str
    certificate: ParsedCertificate
    key: PrivateKeyHandle = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        return get_suite(self.key.suite_id).sign(self.key, data)

    @property
    def serial(self) -> str:
        return self.certificate.serial_hex

    @property
    def oid(self) -> str:
        return get_suite(self.key.suite_id).signature_oid


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class World:
    """A demo PKI, its parties, and a trust directory with its roots only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        specs = [(FINANCE, "临江市财政局", "sm2-sm3"), (BANK_A, "甲银行", "sm2-sm3")]
        specs.append((BANK_B, "乙银行", "ecdsa-p256-sha256"))
        make_demo_pki(directory / "pki", [OrganisationSpec(*spec) for spec in specs], START, END, services=True)
        self.finance, self.bank_a, self.bank_b = (self._kept(code, name, suite) for code, name, suite in specs)
        self.maker = self._kept("maker-sm2-sm3", "电子印章制章人", "sm2-sm3")
        self.tsa = self._kept("tsa", "时间戳服务", "ecdsa-p256-sha256")
        self.officers = [self.officer(n, name) for n, name in enumerate(("赵审核", "钱科长", "孙印章", "李复核"), 1)]
        self.trust = directory / "trust"
        self.trust.mkdir()
        for path in (directory / "pki" / "ca").glob("*/cert.pem"):
            (self.trust / f"{path.parent.name}.pem").write_bytes(path.read_bytes())

    def officer(self, number: int, name: str, **dates: datetime) -> Holder:
        """An officer with a new SM2 key."""
        key = get_suite("sm2-sm3").generate_private_key()
        person = f"00000000-0000-7000-8000-{number:012d}"
        return self.issue(key, person, name, **dates)

    def issue(self, key: PrivateKeyHandle, unit: str, name: str, **more: Any) -> Holder:
        dates = {"not_before": more.pop("not_before", START), "not_after": more.pop("not_after", END)}
        issuer = load_issuer(self.directory / "pki", key.suite_id)
        encoded = issue_certificate(issuer, subject_common_name=name, unit=unit, spki=key.spki, **dates, **more)
        return Holder(unit, name, parse_certificate(encoded), key)

    def _kept(self, folder: str, name: str, suite_id: str) -> Holder:
        path = self.directory / "pki" / folder
        key = get_suite(suite_id).load_private_key((path / "key.pem").read_bytes())
        return Holder(folder, name, parse_certificate((path / "cert.pem").read_bytes()), key)

    @property
    def holders(self) -> list[Holder]:
        return [self.finance, self.bank_a, self.bank_b, *self.officers, self.maker, self.tsa]


@cache
def world() -> World:
    return World(Path(_FOLDER.name))


# The contents of a bundle ------------------------------------------------------------


def inner_xml(number: str, amount: str, payee: str, *, receipt: bool = False) -> bytes:
    """A voucher's inner document in GBK; a receipt has its X fields filled."""
    paid = f"<XPayAmt>{amount}</XPayAmt><XPayDate>20260615</XPayDate>" if receipt else "<XPayAmt></XPayAmt>"
    return (
        '<?xml version="1.0" encoding="GBK"?>\n<Voucher><Id>1</Id>'
        f"<AdmDivCode>{REGION}</AdmDivCode><StYear>{YEAR}</StYear><VtCode>5201</VtCode><VouDate>20260615</VouDate>"
        f"<VoucherNo>{number}</VoucherNo><PayAmt>{amount}</PayAmt>{paid}<DetailList><Detail><Id>1</Id>"
        f"<PayeeAcctName>{payee}</PayeeAcctName><PayAmt>{amount}</PayAmt></Detail></DetailList></Voucher>"
    ).encode("gbk")


def seal_of(holder: Holder, maker: Holder, **changes: Any) -> bytes:
    draft = {
        "es_id": "99010000000001", "name": f"{holder.name}业务专用章", "kind": 1, "holders": [holder.certificate.der],
        "created_at": START, "valid_from": START, "valid_to": END, "picture": PICTURE,
    } | changes  # fmt: skip
    return structures.build_seal(
        structures.SealDraft(**draft),
        maker_certificate=maker.certificate.der,
        signature_oid=maker.oid,
        sign=maker.sign,
    )


def stamp_on(text: bytes, holder: Holder, seal: bytes, property_info: str, **changes: Any) -> bytes:
    """An SES_Signature; `witness` is the evidence root it carries, `at` when it was made."""
    witness = changes.pop("witness", None)
    value = der.write(der.UTF8_STRING, canonical(witness).encode()) if witness else b""
    extensions = [structures.Extension(structures.EVIDENCE_ROOT_OID, False, value)] if witness else []
    tbs = structures.build_signature_tbs(
        seal=seal,
        signed_at=changes.pop("at", SEALED),
        data_hash=changes.pop("data_hash", get_suite(holder.key.suite_id).digest(text)),
        property_info=property_info,
        extensions=extensions,
    )
    return structures.assemble_signature(
        tbs, certificate=holder.certificate.der, signature_oid=holder.oid, signature=holder.sign(tbs)
    )


def token_over(data: bytes, tsa: Holder, at: datetime, **changes: Any) -> bytes:
    """An RFC 3161 token with an SM3 imprint, signed with P-256."""
    sequence = der.SEQUENCE
    algorithm = der.write(sequence, der.oid(SHA256))
    imprint = der.write(sequence, der.write(sequence, der.oid(SM3)), der.write(der.OCTET_STRING, sm3(data)))
    time = der.write(der.GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").encode())
    info = der.write(sequence, der.integer(1), der.oid("1.2.156.10197.9.1"), imprint, der.integer(7), time)
    digest = get_suite("ecdsa-p256-sha256").digest
    identity = der.write(der.OCTET_STRING, digest(changes.get("certificate", tsa.certificate.der)))
    attributes = [
        ("1.2.840.113549.1.9.3", der.oid(TST_INFO)),
        ("1.2.840.113549.1.9.4", der.write(der.OCTET_STRING, digest(changes.get("info", info)))),
        ("1.2.840.113549.1.9.16.2.47", der.write(sequence, der.write(sequence, der.write(sequence, identity)))),
    ]
    listed = b"".join(der.write(sequence, der.oid(name), der.write(der.SET, value)) for name, value in attributes)
    serial = der.integer(int(tsa.serial, 16))
    signer = der.write(
        sequence, der.integer(1), der.write(sequence, tsa.certificate.issuer_name, serial), algorithm,
        der.write(0xA0, listed), der.write(sequence, der.oid(tsa.oid)),
        der.write(der.OCTET_STRING, tsa.sign(der.write(der.SET, listed))),
    )  # fmt: skip
    signed = der.write(
        sequence, der.integer(3), der.write(der.SET, algorithm),
        der.write(sequence, der.oid(TST_INFO), der.write(0xA0, der.write(der.OCTET_STRING, info))),
        der.write(0xA0, tsa.certificate.der), der.write(der.SET, signer),
    )  # fmt: skip
    return der.write(sequence, der.oid("1.2.840.113549.1.7.2"), der.write(0xA0, signed))


class LogBuilder:
    """The log of one stream as it grows: entries, then roots over what is there."""

    def __init__(self, holder: Holder, tsa: Holder, stream: str = STREAM) -> None:
        self.holder, self.tsa, self.stream = holder, tsa, stream
        self.lines: list[dict[str, Any]] = []
        self.leaves: list[bytes] = []
        self.roots: list[dict[str, Any]] = []

    def note(self, kind: str, when: datetime, /, **payload: str | None) -> None:
        content = canonical(payload)
        entry = canonical(
            {
                "stream": self.stream, "seq": len(self.lines) + 1, "kind": kind, "subject": f"table/{len(self.lines)}",
                "at": instant(when), "payload_sm3": sm3_hex(content.encode()),
                "prev": self.leaves[-1].hex() if self.leaves else "",
            }
        )  # fmt: skip
        self.lines.append({"entry": entry, "payload": content})
        self.leaves.append(leaf_hash(entry.encode()))

    def root(self, at: datetime, *, stamped: bool = True, **changes: Any) -> dict[str, Any]:
        """Sign a root over all entries so far; returns what a stamp carries of it."""
        holder, leaves = changes.get("holder", self.holder), changes.get("leaves", self.leaves)
        root = {"at": instant(at), "root": root_of(leaves).hex(), "size": len(leaves), "stream": self.stream}
        text = b"GUOKU-ROOT-V1\0" + canonical(root).encode()
        token = token_over(text, self.tsa, changes.get("stamped_at", at + timedelta(seconds=5))) if stamped else None
        self.roots.append(
            {
                "certificate_serial": holder.serial,
                "signature": base64.b64encode(holder.sign(text)).decode(),
                "text": text.decode(),
                "token": base64.b64encode(token).decode() if token else None,
            }
        )
        return {"root": root_of(leaves).hex(), "size": len(leaves), "stream": self.stream}

    def files(self, only: list[int] | None = None) -> dict[str, bytes]:
        """The whole log, or the entries of these places (from 1) with proofs under the last root."""
        lines = self.lines if only is None else [self.lines[seq - 1] for seq in only]
        found = {f"{LOG}/entries.jsonl": jsonl(lines), f"{LOG}/roots.jsonl": jsonl(self.roots)}
        if only is not None:
            size = json.loads(self.roots[-1]["text"][14:])["size"]
            paths = [inclusion_path(self.leaves[:size], seq - 1) for seq in only]
            proofs = [
                {"path": [node.hex() for node in path], "seq": seq, "size": size}
                for seq, path in zip(only, paths, strict=True)
            ]
            found[f"{LOG}/proofs.jsonl"] = jsonl(proofs)
        return found


@dataclass
class Step:
    """One approval as it will stand in approvals.json; `others` are further items of the same batch."""

    officer: Holder
    post: str
    decision: str
    minute: int
    digest: str
    ukey: bool = True
    others: int = 0
    revision: int = 1


def approvals(
    steps: list[Step], *, number: str, amount: str, payee: str, document: str, log: LogBuilder, sealed: datetime
) -> list[Any]:
    rows, former = [], {}
    for ordinal, step in enumerate(steps, 1):
        at = sealed.replace(minute=0) + timedelta(minutes=step.minute)
        row: dict[str, Any] = {
            "ordinal": ordinal, "post": step.post, "decision": step.decision, "person_id": step.officer.id,
            "person": step.officer.name, "at": instant(at), "revision": step.revision,
            "content_digest": step.digest, "statement": None, "item": None, "index": None, "path": None,
            "signature": None, "certificate_serial": None,
        }  # fmt: skip
        if step.ukey:
            chain = (document, step.revision)
            item = statements.Item(amount, step.digest, document, number, former.get(chain, ""), payee, step.revision)
            items = [item] + [
                statements.Item("1.00", "ab" * 32, f"OTHER-{n}", f"QT{n}", "", "其他", 1) for n in range(step.others)
            ]
            statement = statements.build_statement(
                action=step.decision, adm_div_code=REGION, certificate_sm3=sm3_hex(step.officer.certificate.der),
                issued_at=at - timedelta(seconds=40), nonce=f"{ordinal:032x}", officer=step.officer.name,
                origin="https://guoku.example", person_id=step.officer.id, post=step.post, items=items,
                note="材料不全" if step.decision in ("return", "reject") else "",
            )  # fmt: skip
            text = statements.statement_text(statement)
            signature = step.officer.sign(statements.tbs(text))
            former[chain] = sm3_hex(signature)
            row |= {
                "statement": text, "item": statements.item_text(item), "index": 0, "path": statements.path_of(items, 0),
                "signature": base64.b64encode(signature).decode(), "certificate_serial": step.officer.serial,
            }  # fmt: skip
            log.note(
                "officer.signed", at, document_id=document, item=row["item"], signature_sm3=former[chain],
                signature=sm3_hex(signature), at=f"{instant(at)[:-1]}.654321Z",
            )  # fmt: skip
        log.note(
            "review.decided", at, person_id=step.officer.id, decision=step.decision, content_digest=step.digest,
            revision=str(step.revision), ordinal=str(ordinal), post=step.post,
            signature_id="11111111-1111-7111-8111-111111111111" if step.ukey else None,
        )  # fmt: skip
        rows.append(row)
    return rows


def voucher_files(
    folder: str,
    number: str,
    amount: str,
    payee: str,
    receiver: Holder,
    log: LogBuilder,
    sealed: datetime,
    *,
    steps: Any = None,
) -> dict[str, bytes]:
    """One voucher with its approvals, signature, stamp and receipt; what happens is noted in the log."""
    it = world()
    text = base64.b64encode(inner_xml(number, amount, payee))
    content, document = sm3_hex(f"content of {number}".encode()), f"REQ-{number}"
    reviewer, chief, keeper, unit = it.officers
    given = steps or [
        Step(unit, "unit_reviewer", "approve", 5, content, ukey=False),
        Step(reviewer, "payment_reviewer", "approve", 10, content),
        Step(chief, "treasury_chief", "approve", 15, content, others=2),
        Step(keeper, "seal_keeper", "seal", 29, sm3_hex(text)),
    ]
    rows = approvals(given, number=number, amount=amount, payee=payee, document=document, log=log, sealed=sealed)
    witness = log.root(sealed - timedelta(seconds=30))
    signature = it.finance.sign(text)
    seal = seal_of(it.finance, it.maker)
    binding = f"{REGION}/{YEAR}/5201/{number}"
    stamp = stamp_on(text, it.finance, seal, f"{binding}/cz_dwgz", witness=witness, at=sealed)
    identity = {"adm_div_code": REGION, "fiscal_year": YEAR, "voucher_type": "5201", "voucher_no": number}
    said = identity | {
        "sender": it.finance.id, "receiver": receiver.id, "digest": sm3_hex(text), "sealed_at": instant(sealed),
        "signatures": [{"position": "cz_qm", "serial": it.finance.serial, "value": in_base64(signature)}],
        "stamps": [{"position": "cz_dwgz", "seal_id": "99010000000001", "value": in_base64(stamp)}],
        "state": "delivered",
    }  # fmt: skip
    log.note(
        "voucher.sealed", sealed, **{name: str(value) for name, value in identity.items()}, digest=said["digest"],
        sender=it.finance.id, receiver=receiver.id, signature=said["signatures"][0]["value"],
    )  # fmt: skip
    log.note("stamp.affixed", sealed, digest_sm3=sm3_hex(stamp), position="cz_dwgz")
    answer = base64.b64encode(inner_xml(number, amount, payee, receipt=True))
    answered = base64.b64encode(receiver.sign(answer)).decode()
    receipt = said | {
        "sender": receiver.id, "receiver": it.finance.id, "digest": sm3_hex(answer), "stamps": [],
        "signatures": [{"position": "yh_qm", "serial": receiver.serial, "value": answered}],
        "sealed_at": instant(sealed + timedelta(minutes=30)), "state": "applied",
    }  # fmt: skip
    log.note("receipt.applied", sealed + timedelta(minutes=30), digest=receipt["digest"], signature=answered)
    return {
        f"{folder}/voucher.txt": text,
        f"{folder}/voucher.json": to_json(said),
        f"{folder}/receipt-1.txt": answer,
        f"{folder}/receipt-1.json": to_json(receipt),
        f"{folder}/approvals.json": to_json(rows),
    }


def build(**changes: Any) -> dict[str, bytes]:
    """All files of an honest bundle but the manifest. `only` makes its log a partial one; `officers` replaces them."""
    it = world()
    log = LogBuilder(it.finance, it.tsa)
    files = voucher_files(
        FIRST, "ZF0001", "1234.50", "临江市第一小学", it.bank_b, log, SEALED, steps=changes.get("steps")
    )
    files |= voucher_files(SECOND, "ZF0002", "99.00", "临江市第二小学", it.bank_a, log, SEALED + timedelta(hours=1))
    log.root(SEALED + timedelta(hours=2))
    files |= log.files(changes.get("only"))
    holders = [*it.holders, *changes.get("holders", ())]
    for holder in holders:
        files[f"certificates/{holder.id}.pem"] = der.pem("CERTIFICATE", holder.certificate.der)
    pki = it.directory / "pki" / "ca"
    for suite in ("sm2-sm3", "ecdsa-p256-sha256"):
        files[f"certificates/sub-{suite}.pem"] = (pki / suite / "sub" / "cert.pem").read_bytes()
        files[f"trust/{suite}.pem"] = (pki / suite / "cert.pem").read_bytes()
        files[f"crls/{suite}.crl"] = (pki / suite / "crl.der").read_bytes()
        files[f"crls/sub-{suite}.crl"] = (pki / suite / "sub" / "crl.der").read_bytes()
    parties = {h.id: {"name": h.name, "serials": [h.serial]} for h in holders if h not in (it.maker, it.tsa)}
    files["parties.json"] = to_json(parties)
    files["verify.py"] = PROGRAM.read_bytes()
    files["README.txt"] = "运行：python verify.py 文件\n".encode()
    return files


@cache
def _honest() -> dict[str, bytes]:
    return build()


def honest() -> dict[str, bytes]:
    """A bundle in which everything is as it should be; made once, a copy for each caller."""
    return dict(_honest())


# Packing, forging and asking ------------------------------------------------------------


def in_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def to_json(value: Any) -> bytes:
    return canonical(value).encode()


def jsonl(rows: list[Any]) -> bytes:
    return b"".join(to_json(row) + b"\n" for row in rows)


def manifest_of(files: dict[str, bytes]) -> bytes:
    listed = [
        {"path": path, "sm3": sm3_hex(content), "size": len(content)}
        for path, content in sorted(files.items())
        if path != "manifest.json"
    ]
    return to_json({"files": listed, "format": "guoku-bundle/1", "made_at": "2026-06-16T03:00:00Z"})


def pack(files: dict[str, bytes], manifest: bytes | None = None) -> bytes:
    """A bundle; its manifest is right for these files unless another is given."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", manifest or manifest_of(files))
        for path, content in files.items():
            if path != "manifest.json":
                archive.writestr(path, content)
    return packed.getvalue()


def edited(files: dict[str, bytes], path: str, change: Any) -> dict[str, bytes]:
    """The files with one JSON document changed in place by `change(value)`; jsonl files are lists of rows."""
    lined = path.endswith(".jsonl")
    value = [json.loads(line) for line in files[path].splitlines()] if lined else json.loads(files[path])
    change(value)
    return files | {path: jsonl(value) if lined else to_json(value)}


@dataclass(frozen=True)
class Answer:
    """What the program said and how it ended."""

    code: int
    report: dict[str, Any]
    error: str

    @property
    def grave(self) -> list[dict[str, Any]]:
        return [f for f in self.report.get("findings", []) if not f["indication"].endswith("PASSED")]

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [f for f in self.report.get("findings", []) if f["indication"].endswith("FAILED")]

    @property
    def failed_files(self) -> set[str]:
        return {finding["file"] for finding in self.failed}

    @property
    def reasons(self) -> str:
        return "".join(finding["reason"] for finding in self.grave)


def ask(directory: Path, data: bytes, *more: str, name: str = "bundle.zip", trust: bool = True, at: str = AT) -> Answer:
    """Run the program as an auditor would: alone, isolated, in a folder that holds nothing but the file."""
    (directory / name).write_bytes(data)
    arguments = [name, "--at", at, "--json", *(["--trust", str(world().trust)] if trust else []), *more]
    run = subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM), *arguments],
        cwd=directory,
        capture_output=True,
        check=False,
        timeout=120,
    )
    text = run.stdout.decode()
    return Answer(run.returncode, json.loads(text) if text.startswith("{") else {}, run.stderr.decode())
