"""Signatures, seals and papers on one core, beside OpenSSL's own `speed` in the same run. See bench/README.md.

    python3 run.py bench seals [--rounds 5] [--seconds 1]

Everything is measured in CPU seconds of this process, pinned to one core; OpenSSL is pinned to the same one and
measures its own. Rounds of ours and of OpenSSL's take turns, so that a machine that drifts drifts for both.
"""

import argparse
import base64
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

from bench._waiting import say
from dashboards.capital import capital_yuan
from seals.certificates import ParsedCertificate, check_validity, parse_certificate
from seals.eseal.picture import seal_png, seal_size, seal_svg
from seals.eseal.render import typst_renderer
from seals.eseal.structures import Picture, SealDraft, assemble_signature, build_seal, build_signature_tbs
from seals.eseal.verify import verify_stamp
from seals.pki import (
    CERTIFICATE_FILE,
    KEY_FILE,
    SEAL_MAKER,
    OrganisationSpec,
    authority_certificates,
    make_demo_pki,
    revocation_lists,
)
from seals.revocation import RevocationLists, RevocationSource
from seals.suites import SIGNING_SUITE_IDS, PrivateKeyHandle, PublicKeyHandle, Suite, get_suite
from seals.verdicts import Indication
from vouchers.checks import check_content, check_envelope_matches
from vouchers.codec import content_text, decode_content, decode_envelope, encode_content, encode_envelope
from vouchers.messages import EnvelopeBody, SignatureMark, VoucherContent
from vouchers.paper import drawing, pdf
from vouchers.paper.glyphs import FONTS
from vouchers.paper.model import Page, SealOnPaper

SUITE = "sm2-sm3"  # of the vouchers measured as a whole
SPEED_NAMES = {"sm2-sm3": "sm2", "ecdsa-p256-sha256": "ecdsap256", "rsa-sha256": "rsa3072"}  # as `openssl speed` says
MESSAGE = b"twenty bytes of text"  # what `openssl speed` signs is as long
VOUCHERS = 40  # different texts and stamps, taken in turn, so that nothing can be remembered from the last
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
SIGNED_AT, NOW, DAY = datetime(2026, 6, 15, 1, tzinfo=UTC), datetime(2026, 6, 15, 2, tzinfo=UTC), date(2026, 6, 15)
UNIT, FINANCE = "UNIT-101001", "FIN-990100000"
STAMPS = {"dw_gz": (UNIT, "official"), "cz_dwgz": (FINANCE, "finance")}
_SPEED_LINE = re.compile(r"^\+F[247]:\d+:\d+:(?:[A-Za-z][^:]*:)?([0-9.]+):([0-9.]+)\s*$", re.MULTILINE)


class WrongVerdict(Exception):
    """Something true was refused or something false was taken: there is nothing to measure."""


# Measuring ----------------------------------------------------------------------------------------------------------


def pin() -> int:
    """Stay on the last core this process may use, and so will what it starts; returns which."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def rate(act: Callable[[], object], seconds: float) -> float:
    """How often a CPU second holds the act, tried for at least so many CPU seconds."""
    act()
    done, batch, started = 0, 1, time.process_time()
    while (spent := time.process_time() - started) < seconds:
        for _ in range(batch):
            act()
        done += batch
        batch = max(1, min(batch * 2, done // 4))  # the clock is read seldom, and the end is not missed by much
    return done / spent


def openssl_speed(suite_id: str, seconds: int) -> tuple[float, float]:
    """Signatures made and verified a CPU second, as OpenSSL measures itself.

    :raises ValueError: if its report has no such line.
    """
    command = ["openssl", "speed", "-mr", "-seconds", str(seconds), SPEED_NAMES[suite_id]]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return speeds_of(report)


def speeds_of(report: str) -> tuple[float, float]:
    """Read signatures and verifications a second from a machine-readable report of `openssl speed`."""
    found = _SPEED_LINE.search(report)
    if found is None:
        raise ValueError(f"no rates in the report of openssl speed: {report[:200]!r}")
    return float(found[1]), float(found[2])


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


# Signatures ---------------------------------------------------------------------------------------------------------


def measure_suite(suite_id: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Rates of one suite and of OpenSSL, and the median of the rounds' ratios.

    :raises WrongVerdict: if a signature of ours does not hold, or holds for another text.
    """
    suite = get_suite(suite_id)
    key = suite.generate_private_key()
    public, signature = suite.public_key_of(key), suite.sign(key, MESSAGE)
    if not suite.verify(public, MESSAGE, signature) or suite.verify(public, MESSAGE[1:], signature):
        raise WrongVerdict(suite_id)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_rates(suite, key, public, signature, seconds))
        theirs.append(openssl_speed(suite_id, max(1, round(seconds))))
    return {"openssl": SPEED_NAMES[suite_id]} | compared(ours, theirs)


def _rates(
    suite: Suite, key: PrivateKeyHandle, public: PublicKeyHandle, signature: bytes, seconds: float
) -> tuple[float, float]:
    made = rate(lambda: suite.sign(key, MESSAGE), seconds)
    return made, rate(lambda: suite.verify(public, MESSAGE, signature), seconds)


def compared(ours: Sequence[tuple[float, float]], theirs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Medians of both, and of their ratio round by round."""
    said = {}
    for place, name in enumerate(("sign", "verify")):
        mine, other = [pair[place] for pair in ours], [pair[place] for pair in theirs]
        said[name] = {
            "per_second": round(median(mine)),
            "openssl_per_second": round(median(other)),
            "ratio": round(median([a / b for a, b in zip(mine, other, strict=True)]), 3),
        }
    return said


# Whole vouchers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Holder:
    """An organisation with its key."""

    certificate: ParsedCertificate
    key: PrivateKeyHandle

    @classmethod
    def read(cls, folder: Path) -> "Holder":
        certificate = parse_certificate((folder / CERTIFICATE_FILE).read_bytes())
        suite = get_suite(certificate.suite_id)
        return cls(certificate, suite.load_private_key((folder / KEY_FILE).read_bytes()))

    @property
    def suite(self) -> Suite:
        return get_suite(self.certificate.suite_id)

    def sign(self, data: bytes) -> bytes:
        return self.suite.sign(self.key, data)


@dataclass(frozen=True)
class Trust:
    """What the receiver has at hand before a voucher comes."""

    authorities: Sequence[ParsedCertificate]
    makers: frozenset[bytes]
    revocation: RevocationSource
    registered: dict[str, ParsedCertificate]  # by serial


class Office:
    """A unit and a finance bureau with keys, seals and pictures, which make signed and stamped vouchers."""

    def __init__(self, directory: Path) -> None:
        names = {UNIT: "临江市教育局", FINANCE: "临江市财政局"}
        specs = [OrganisationSpec(code, name, SUITE) for code, name in names.items()]
        make_demo_pki(directory, specs, START, END, services=True)
        self.holders = {code: Holder.read(directory / code) for code in names}
        self.maker = Holder.read(directory / f"{SEAL_MAKER}{SUITE}")
        self.pictures = {place: seal_svg(kind, names[code], code) for place, (code, kind) in STAMPS.items()}
        self.seals = {place: self._seal(place, names[code]) for place, (code, _) in STAMPS.items()}
        self.trust = Trust(
            authorities=authority_certificates(directory),
            makers=frozenset({self.maker.certificate.der}),
            revocation=RevocationLists(revocation_lists(directory), now=NOW),
            registered={holder.certificate.serial_hex: holder.certificate for holder in self.holders.values()},
        )

    def _seal(self, place: str, name: str) -> bytes:
        code, kind = STAMPS[place]
        png = seal_png(self.pictures[place], typst_renderer([FONTS]))
        draft = SealDraft(
            es_id=f"GK{code}",
            name=name,
            kind=1,
            holders=[self.holders[code].certificate.der],
            created_at=START,
            valid_from=START,
            valid_to=END,
            picture=Picture("PNG", png, *seal_size(kind)),
        )
        maker = self.maker
        return build_seal(
            draft, maker_certificate=maker.certificate.der, signature_oid=maker.suite.signature_oid, sign=maker.sign
        )

    def envelope(self, content: VoucherContent) -> bytes:
        """The voucher signed by the unit and stamped by both."""
        text = content_text(encode_content(content))
        unit = self.holders[UNIT]
        body = EnvelopeBody(
            adm_div_code=content.adm_div_code,
            fiscal_year=content.fiscal_year,
            voucher_type=content.voucher_type,
            voucher_no=content.voucher_no,
            flag=0,
            return_reason="",
            attach="",
            text=text,
            signatures=(SignatureMark("dw_qm", unit.certificate.serial_hex, _base64(unit.sign(text))),),
            stamps=tuple(self._stamp(place, text, content) for place in STAMPS),
        )
        return encode_envelope([body])

    def _stamp(self, place: str, text: bytes, content: VoucherContent) -> SignatureMark:
        holder = self.holders[STAMPS[place][0]]
        tbs = build_signature_tbs(
            seal=self.seals[place],
            signed_at=SIGNED_AT,
            data_hash=holder.suite.digest(text),
            property_info=property_of(content, place),
        )
        certificate, oid = holder.certificate.der, holder.suite.signature_oid
        stamp = assemble_signature(tbs, certificate=certificate, signature_oid=oid, signature=holder.sign(tbs))
        return SignatureMark(place, f"GK{STAMPS[place][0]}", _base64(stamp))


def verified(raw: bytes, trust: Trust) -> bool:
    """Everything a receiver asks of a voucher: layout, identity, field rules, the signature, both stamps."""
    (body,) = decode_envelope(raw)
    content, _inner = decode_content(body.text)
    if check_envelope_matches(body, content) or check_content(content, business_date=DAY):
        return False
    (mark,) = body.signatures
    certificate = trust.registered[mark.serial]
    check_validity(certificate, NOW)
    suite = get_suite(certificate.suite_id)
    if not suite.verify(certificate.public_key, body.text, base64.b64decode(mark.value, validate=True)):
        return False
    return len(body.stamps) == len(STAMPS) and all(stamp_holds(body, stamp, content, trust) for stamp in body.stamps)


def stamp_holds(body: EnvelopeBody, stamp: SignatureMark, content: VoucherContent, trust: Trust) -> bool:
    report = verify_stamp(
        base64.b64decode(stamp.value, validate=True),
        content=body.text,
        expected_property=property_of(content, stamp.position),
        maker_authorities=trust.authorities,
        signer_authorities=trust.authorities,
        at=NOW,
        now=NOW,
        makers=trust.makers,
        revocation=trust.revocation,
    )
    return report.verdict.indication is Indication.TOTAL_PASSED


def property_of(content: VoucherContent, place: str) -> str:
    """What a stamp's propertyInfo must say. Source: docs/signatures.md §5."""
    return "/".join([content.adm_div_code, str(content.fiscal_year), content.voucher_type, content.voucher_no, place])


def measure_vouchers(office: Office, rounds: int, seconds: float) -> dict[str, Any]:
    """Vouchers fully verified a CPU second, and how much of it is the SM2 that no verifier can do without.

    :raises WrongVerdict: if an honest voucher is refused, or one under another's marks is taken.
    """
    envelopes = [office.envelope(content) for content in vouchers(VOUCHERS)]
    if not all(verified(raw, office.trust) for raw in envelopes):
        raise WrongVerdict("an honest voucher was refused")
    if verified(forged(envelopes[0], envelopes[1]), office.trust):
        raise WrongVerdict("a voucher under the marks of another was taken")
    needed = verifications(lambda: verified(envelopes[0], office.trust))
    mine, least = [], []
    for _ in range(rounds):
        turn = cycle(envelopes)
        mine.append(rate(lambda turn=turn: verified(next(turn), office.trust), seconds))  # type: ignore[misc]
        least.append(openssl_speed(SUITE, max(1, round(seconds)))[1] / needed)
    return {
        "per_second": round(median(mine), 1),
        "signatures": 1,
        "stamps": len(STAMPS),
        "sm2_verifications": needed,
        "openssl_alone_per_second": round(median(least), 1),
        "ratio": round(median([a / b for a, b in zip(mine, least, strict=True)]), 3),
        "bytes": len(envelopes[0]),
    }


def forged(raw: bytes, other: bytes) -> bytes:
    """The first voucher under the marks of another: all true, for another text."""
    (body,), (lender,) = decode_envelope(raw), decode_envelope(other)
    return encode_envelope([replace(body, signatures=lender.signatures, stamps=lender.stamps)])


def verifications(act: Callable[[], object]) -> int:
    """How many signatures are verified by one act once everything that can be remembered is."""
    suite = get_suite(SUITE)
    counted, verify = 0, suite.verify

    def counting(public_key: PublicKeyHandle, data: bytes, signature: bytes) -> bool:
        nonlocal counted
        counted += 1
        return verify(public_key, data, signature)

    suite.verify = counting  # type: ignore[method-assign]
    try:
        act()
    finally:
        suite.verify = verify  # type: ignore[method-assign]
    return counted


def vouchers(count: int) -> Iterator[VoucherContent]:
    """Authorised payments (8202) of one payee each, all different."""
    for number in range(count):
        amount = f"{1000 + number}.{number:02d}"
        shared = {
            "BgtTypeCode": "1",
            "ProCatCode": "21",
            "AgencyCode": "101001",
            "AgencyName": "临江市教育局",
            "ExpFuncCode": "2050101",
            "GovExpEcoCode": "50201",
            "PayAmt": amount,
        }
        head = shared | {
            "Id": f"M{number}",
            "PayAcctNo": "6210001010010001",
            "PayAcctName": "临江市教育局",
            "PayAcctBankName": "甲银行临江支行",
            "PaySummaryName": "办公用品",
        }
        line = shared | {
            "Id": "1",
            "VoucherBillId": f"M{number}",
            "VoucherBillNo": f"SZ{number:04d}",
            "PayKindCode": "1",
            "PayeeAcctNo": f"62300001{number:08d}",
            "PayeeAcctName": f"临江市晨光办公用品公司{number}",
            "PayeeAcctBankName": "丙银行临江支行",
        }
        yield VoucherContent("8202", f"SZ{number:04d}", "990100000", 2026, DAY, head, (line,))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


# Paper --------------------------------------------------------------------------------------------------------------


def measure_papers(office: Office, rounds: int, seconds: float) -> dict[str, Any]:
    """PDF/A pages a CPU second, drawn and set anew each time, with both seals and the signed originals inside."""
    made = [(content, originals_of(content, office)) for content in vouchers(VOUCHERS)]
    rates, pages, size = [], len(drawn(made[0][0], office)), len(paper(*made[0], office))
    for _ in range(rounds):
        turn = cycle(made)
        rates.append(pages * rate(lambda turn=turn: paper(*next(turn), office), seconds))  # type: ignore[misc]
    return {
        "pages_per_second": round(median(rates), 1),
        "milliseconds_per_page": round(1000 / median(rates), 2),
        "pages": pages,
        "bytes": size,
    }


def drawn(content: VoucherContent, office: Office) -> list[Page]:
    seals = [SealOnPaper(place, place, svg, "有效", ok=True) for place, svg in office.pictures.items()]
    return drawing.draw(content, capital=capital_yuan, environment="prod", seals=seals)


def originals_of(content: VoucherContent, office: Office) -> list[pdf.Original]:
    (body,) = decode_envelope(office.envelope(content))
    return [
        pdf.Original("voucher.txt", body.text, "text/plain", "凭证原文", "source"),
        *(
            pdf.Original(f"{stamp.position}.der", base64.b64decode(stamp.value), "application/octet-stream", "签章")
            for stamp in body.stamps
        ),
    ]


def paper(content: VoucherContent, originals: Sequence[pdf.Original], office: Office) -> bytes:
    return pdf.paper(drawn(content, office), title=content.voucher_no, made_at=NOW, originals=originals)


# The run ------------------------------------------------------------------------------------------------------------


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench seals", description="Signatures, seals and papers, one core.")
    parser.add_argument("--rounds", type=int, default=5, help="turns of ours and OpenSSL's (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds of one measurement (default 1)")
    chosen = parser.parse_args(given)
    if chosen.rounds < 1 or not chosen.seconds > 0:
        parser.error("rounds from 1, seconds above 0")
    return chosen


def main() -> int:
    """Run and print one line, and say by the exit code whether every verdict was right."""
    chosen = arguments()
    try:
        line = measured(chosen.rounds, chosen.seconds)
    except WrongVerdict as wrong:
        say(f"✗ {wrong}")
        return 1
    print(json.dumps(line, ensure_ascii=False), flush=True)
    return 0


def measured(rounds: int, seconds: float) -> dict[str, Any]:
    """Measure everything and return what the JSON line says.

    :raises WrongVerdict: if something true is refused or something false is taken.
    """
    core = pin()
    suites = {}
    for suite_id in SIGNING_SUITE_IDS:
        say(f"{suite_id}: {rounds} rounds beside openssl speed {SPEED_NAMES[suite_id]}")
        suites[suite_id] = measure_suite(suite_id, rounds, seconds)
    with tempfile.TemporaryDirectory() as directory:
        office = Office(Path(directory))
        say("whole vouchers: envelope, content, rules, one signature, two stamps")
        whole = measure_vouchers(office, rounds, seconds)
        say("papers: drawn, set as PDF/A-3b with originals")
        papers = measure_papers(office, rounds, seconds)
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    return {
        "bench": "seals",
        "ok": True,
        "core": core,
        "rounds": rounds,
        "seconds": seconds,
        "suites": suites,
        "vouchers": whole,
        "papers": papers,
        "openssl": " ".join(version.split()[:2]),
        "python": sys.version.split()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
