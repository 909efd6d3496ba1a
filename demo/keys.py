"""Keys, seals and UKeys of the demonstration: made once at first start, every party given its own and nothing else.

Nothing here is for production, where certificates come from a licensed authority and seals from a licensed maker. The
authorities' keys and those of our organisations are encrypted under a password that only the signer is told.
"""

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from demo.cast import BANK_A, BANK_B, FINANCE, ORGANISATIONS, PBOC, UNITS, Officer, officers
from seals.certificates import parse_certificate
from seals.eseal.picture import seal_png, seal_size, seal_svg
from seals.eseal.render import typst_renderer
from seals.eseal.structures import Picture, SealDraft, build_seal
from seals.pki import (
    AUTHORITIES,
    BAD,
    CERTIFICATE_FILE,
    KEY_FILE,
    LIST_FILE,
    SEAL_MAKER,
    SUB_AUTHORITY,
    TIMESTAMP_SERVICE,
    OrganisationSpec,
    issue_certificate,
    load_issuer,
    make_bad_certificates,
    make_demo_pki,
    parse_csr,
)
from seals.revocation import parse_crl
from seals.suites import get_suite
from ukey_agent.software import SoftwareToken

START, END = datetime(2025, 12, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
PIN = "123456"
NAME_SEAL = "MZ-"  # before an organisation's code: the folder of the key behind its personal seal
SEAL_FILE, PICTURE_FILE = "seal.esl", "seal.svg"
FONTS = Path(__file__).resolve().parents[1] / "vouchers" / "paper" / "fonts"


@dataclass(frozen=True)
class SealSpec:
    """One seal of the demonstration: whose key uses it (`folder`), whose it is, and what stands on it."""

    folder: str
    organisation: str
    es_id: str
    kind: str
    name: str
    person: str = ""  # log-in of the person a personal seal is of


SEALS = [
    SealSpec(FINANCE, FINANCE, "ES990100000001", "finance", "临江市财政局国库业务专用章"),
    SealSpec(f"{NAME_SEAL}{FINANCE}", FINANCE, "ES990100000002", "personal", "许国华", "gk-kz"),
    SealSpec(PBOC, PBOC, "ES990100000101", "transfer", "国家金库临江市支库"),
    SealSpec(BANK_A, BANK_A, "ES990100000201", "transfer", "甲银行临江分行"),
    SealSpec(BANK_B, BANK_B, "ES990100000202", "transfer", "乙银行临江分行"),
]
for _number, (_unit, _leader) in enumerate((("101001", "孙立新"), ("101002", "郑海涛"), ("205001", "卫红英"))):
    _code = UNITS[_unit]
    SEALS += [
        SealSpec(_code, _code, f"ES99010003{_number}001", "official", ORGANISATIONS[_code]),
        SealSpec(f"{NAME_SEAL}{_code}", _code, f"ES99010003{_number}002", "personal", _leader, f"u{_unit}-fz"),
    ]


def make_keys(
    directory: Path, *, suites: Mapping[str, str] | None = None, password: bytes | None = None, services: bool = False
) -> None:
    """Make the demo PKI below `directory`, if it is not there. Default suite sm2-sm3; `suites` names exceptions.

    With `services` also the keys behind personal seals, the seal makers, the time-stamp service and the seals.
    """
    chosen = suites or {}
    specs = [OrganisationSpec(code, name, chosen.get(code, "sm2-sm3")) for code, name in ORGANISATIONS.items()]
    if services:
        specs += [
            OrganisationSpec(seal.folder, seal.name, chosen.get(seal.organisation, "sm2-sm3"))
            for seal in SEALS
            if seal.folder != seal.organisation
        ]
    make_demo_pki(directory, specs, START, END, password=password, services=services)
    if services:
        _make_seals(directory, password)


def make_certificates_to_refuse(directory: Path, password: bytes | None) -> None:
    """For each suite, certificates that must be refused (expired, revoked, wrong usage …), if they are not all there.

    With them a bank can try beforehand what we refuse. The list that names the revoked one is made last.
    """
    for folder in sorted((directory / AUTHORITIES).iterdir()):
        revoked = directory / BAD / folder.name / "revoked" / CERTIFICATE_FILE
        listed = parse_crl((folder / SUB_AUTHORITY / LIST_FILE).read_bytes()).entries
        if not revoked.exists() or parse_certificate(revoked.read_bytes()).serial_hex not in listed:
            make_bad_certificates(directory, folder.name, password)


def _make_seals(directory: Path, password: bytes | None) -> None:
    render = typst_renderer([FONTS], ppi=110)  # every stamp carries the picture: small, and still clear at 42 mm
    for spec in SEALS:
        folder = directory / spec.folder
        if (folder / SEAL_FILE).exists():
            continue
        holder = parse_certificate((folder / CERTIFICATE_FILE).read_bytes())
        making = directory / f"{SEAL_MAKER}{holder.suite_id}"
        maker = parse_certificate((making / CERTIFICATE_FILE).read_bytes())
        suite = get_suite(maker.suite_id)
        key = suite.load_private_key((making / KEY_FILE).read_bytes(), password)
        svg = seal_svg(spec.kind, spec.name, spec.es_id)
        width, height = seal_size(spec.kind)
        draft = SealDraft(
            es_id=spec.es_id,
            name=spec.name,
            kind=1,
            holders=[holder.der],
            created_at=START,
            valid_from=START,
            valid_to=END,
            picture=Picture("PNG", seal_png(svg, render), width, height),
        )
        made = build_seal(
            draft,
            maker_certificate=maker.der,
            signature_oid=suite.signature_oid,
            sign=lambda data, suite=suite, key=key: suite.sign(key, data),
        )
        (folder / PICTURE_FILE).write_text(svg, encoding="utf-8")
        (folder / SEAL_FILE).write_bytes(made)


def hand_out_to_signer(issuing: Path, place: Path) -> None:
    """Give the signer the keys of our organisations, of personal seals, and of who issues certificates to officers."""
    ours = [code for code in ORGANISATIONS if code not in (PBOC, BANK_A, BANK_B)]
    ours += [seal.folder for seal in SEALS if seal.folder != seal.organisation]
    for code in ours:
        _copy(issuing / code, place / code, (KEY_FILE, CERTIFICATE_FILE))
    for suite_folder in (issuing / AUTHORITIES).iterdir():
        target = place / AUTHORITIES / suite_folder.name / SUB_AUTHORITY
        _copy(suite_folder / SUB_AUTHORITY, target, (KEY_FILE, CERTIFICATE_FILE))


def hand_out_to_partner(issuing: Path, place: Path, organisation: str, password: bytes | None) -> None:
    """Give a partner its own key (plain, for it has no signer) and seal, everybody's certificates, and the roots."""
    _copy(issuing / organisation, place / organisation, (CERTIFICATE_FILE, SEAL_FILE))
    _plain_key(issuing / organisation, place / organisation, password)
    for code in ORGANISATIONS:
        _copy(issuing / code, place / "trusted" / code, (CERTIFICATE_FILE,))
    for path in sorted((issuing / AUTHORITIES).glob(f"**/{CERTIFICATE_FILE}")):
        name = "-".join(path.parent.relative_to(issuing / AUTHORITIES).parts)
        _copy(path.parent, place / "authorities" / name, (CERTIFICATE_FILE,))
    for path in sorted(issuing.glob(f"{SEAL_MAKER}*")):
        _copy(path, place / "makers" / path.name, (CERTIFICATE_FILE,))
    for seal in SEALS:
        if (issuing / seal.folder / SEAL_FILE).exists():
            _copy(issuing / seal.folder, place / "seals" / seal.organisation / seal.es_id, (SEAL_FILE,))


def hand_out_to_timestamp_service(issuing: Path, place: Path, password: bytes | None) -> None:
    """Give the time-stamp service its key."""
    _copy(issuing / TIMESTAMP_SERVICE, place, (CERTIFICATE_FILE,))
    _plain_key(issuing / TIMESTAMP_SERVICE, place, password)


def make_tokens(
    issuing: Path, place: Path, password: bytes | None, *, suites: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Make a UKey (software token, PIN 123456) with a certificate for each officer; returns log-in → certificate.

    What exists is kept. Two tries of scrypt for each, so on several threads.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    issuers = {suite_id: load_issuer(issuing, suite_id, password) for suite_id in ("sm2-sm3", "ecdsa-p256-sha256")}

    def make(someone: Officer) -> tuple[str, str]:
        path = place / f"{someone.username}.pem"
        if not path.exists():
            suite_id = (suites or {}).get(someone.username, "sm2-sm3")
            token, request = SoftwareToken.create(place, someone.username, someone.name, PIN, suite_id)
            made = issue_certificate(
                issuers[suite_id],
                subject_common_name=someone.name,
                unit=someone.staff_no,
                spki=parse_csr(request.encode()).spki,
                not_before=START,
                not_after=END,
            )
            pem = parse_certificate(made).pem
            token.install_certificate(pem)
            path.write_text(pem)
        return someone.username, path.read_text()

    with ThreadPoolExecutor() as pool:
        return dict(pool.map(make, officers()))


def seals_in(directory: Path) -> Iterator[tuple[SealSpec, bytes, str]]:
    """Every seal with its data and its picture as SVG."""
    for spec in SEALS:
        folder = directory / spec.folder
        yield spec, (folder / SEAL_FILE).read_bytes(), (folder / PICTURE_FILE).read_text(encoding="utf-8")


def _plain_key(source: Path, target: Path, password: bytes | None) -> None:
    path = target / KEY_FILE
    if not path.exists():
        suite = get_suite(parse_certificate((source / CERTIFICATE_FILE).read_bytes()).suite_id)
        key = suite.load_private_key((source / KEY_FILE).read_bytes(), password)
        path.touch(mode=0o600)
        path.write_bytes(suite.private_key_pem(key))


def _copy(source: Path, target: Path, names: tuple[str, ...]) -> None:
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in names:
        if (source / name).exists() and not (target / name).exists():
            shutil.copy2(source / name, target / name)
