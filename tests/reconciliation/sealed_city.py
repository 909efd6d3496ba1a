"""临江市 with seals on every voucher and a UKey for everybody: payments that really went the whole way, and the log.

The signer is in the process, the time-stamp authority a function; signatures, seals, tokens and the log are real.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from demo import world
from demo.keys import SEAL_FILE
from evidence import chain, rooting
from payments.models import PaymentRequest
from reconciliation.bundles.exporting import VERIFIER, Exported, export_bundle
from seals.certificates import parse_certificate
from seals.eseal.structures import assemble_signature, build_signature_tbs, parse_seal
from seals.pki import revocation_lists
from seals.services import import_revocation_list
from seals.suites import get_suite
from seals.timestamps import build_token, make_request
from tests import acts
from tests.bank import Partner
from tests.conftest import NOW
from tests.signer.officers import Desk, enrol_everybody
from vouchers.messages import EnvelopeBody, SignatureMark
from vouchers.models import Voucher

ROOTS = ("sm2-sm3", "ecdsa-p256-sha256")


@dataclass
class SealedCity:
    """The city, its officers at their desks, and the folder of roots that an auditor trusts."""

    pki: Path
    desk: Desk
    trust: Path
    made: int = field(default=0)

    def sealed(self, no: str = "I4", *amounts: str) -> Voucher:
        """A payment's voucher, sealed in two steps and on its way."""
        return self.all_sealed(no, [amounts or ("1234.50",)])[0]

    def all_sealed(self, no: str, each: Sequence[tuple[str, ...]]) -> list[Voucher]:
        requests = self.desk.all_vouchered(no, each)
        unit = acts.CLERK_OF[no]
        keepers = ("gk-mz", "gk-yz") if requests[0].payment_mode == "11" else (f"{unit}-mz", f"{unit}-yz")
        for keeper in keepers:
            self.desk.seal(keeper, *requests)
        return [Voucher.objects.get(pk=request.voucher_id) for request in requests]

    def receipted(self, voucher: Voucher) -> EnvelopeBody:
        """The bank pays: its receipt, signed and stamped, has come in through the inbox."""
        bank = Partner(self.pki, voucher.receiver)
        body = bank.receipt(voucher)
        body = replace(body, stamps=(self._stamp(bank, body),))
        [answer] = bank.send(body, now=timezone.now())
        assert answer.outcome in ("stored", "applied"), answer
        return body

    def _stamp(self, bank: Partner, body: EnvelopeBody) -> SignatureMark:
        seal = (self.pki / bank.organisation / SEAL_FILE).read_bytes()
        place = f"{body.adm_div_code}/{body.fiscal_year}/{body.voucher_type}/{body.voucher_no}/yh_ywzqz"
        digest = bank.suite.digest(body.text)
        tbs = build_signature_tbs(seal=seal, signed_at=_whole_now(), data_hash=digest, property_info=place)
        made = assemble_signature(
            tbs,
            certificate=bank.certificate.der,
            signature_oid=bank.suite.signature_oid,
            signature=bank.suite.sign(bank.key, tbs),
        )
        return SignatureMark("yh_ywzqz", parse_seal(seal).es_id, base64.b64encode(made).decode())

    def anchored(self) -> None:
        """Every fact has its place in the log, under a signed root with a time stamp."""
        self.made += 1
        now = timezone.now() + timedelta(minutes=self.made) - timedelta(minutes=30)  # a root a minute
        chain.sequence()
        rooting.make_roots(now=now)
        rooting.stamp_roots(now=now)


def _whole_now() -> datetime:
    return timezone.now().replace(microsecond=0)


@pytest.fixture(scope="session")
def sealing_pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo PKI with seal makers, seals and the time-stamp service, made once for the whole run."""
    directory = tmp_path_factory.mktemp("sealing")
    world.make_keys(directory, services=True)
    return directory


def build(pki: Path, settings: Any, trust: Path) -> SealedCity:
    settings.GUOKU_KEY_DIR = pki
    world.register_keys(pki)
    world.build_world(endpoints={}, sealed=True, now=NOW)
    world.register_seals(pki, timezone.now())
    keys = enrol_everybody(pki, None)  # type: ignore[arg-type]
    for crl in revocation_lists(pki):
        import_revocation_list(data=crl.der, now=NOW)
    for suite in ROOTS:
        (trust / f"{suite}.pem").write_bytes((pki / "ca" / suite / "cert.pem").read_bytes())
    rooting.set_timestamper(_authority(pki))
    return SealedCity(pki, Desk(keys), trust)


def _authority(pki: Path) -> Any:
    certificate = parse_certificate((pki / "tsa" / "cert.pem").read_bytes())
    key = get_suite(certificate.suite_id).load_private_key((pki / "tsa" / "key.pem").read_bytes())

    def stamp(text: bytes) -> bytes:
        return build_token(make_request(text), serial=1, at=timezone.now(), certificate=certificate, key=key)

    return stamp


@pytest.fixture
def sealed_city(db: None, sealing_pki: Path, settings: Any, tmp_path: Path) -> Iterator[SealedCity]:
    """Inside the test's transaction."""
    trust = tmp_path / "trust"
    trust.mkdir()
    yield build(sealing_pki, settings, trust)
    rooting.set_timestamper(None)


@pytest.fixture
def real_sealed_city(transactional_db: None, sealing_pki: Path, settings: Any, tmp_path: Path) -> Iterator[SealedCity]:
    """Committed, for a live server and for other processes."""
    trust = tmp_path / "trust"
    trust.mkdir()
    yield build(sealing_pki, settings, trust)
    rooting.set_timestamper(None)


@dataclass(frozen=True)
class Answer:
    """What the verifier program said."""

    code: int
    report: dict[str, Any]
    error: str

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [finding for finding in self.report["findings"] if finding["indication"].endswith("FAILED")]

    @property
    def grave(self) -> list[dict[str, Any]]:
        return [finding for finding in self.report["findings"] if not finding["indication"].endswith("PASSED")]

    @property
    def failed_files(self) -> set[str]:
        return {finding["file"] for finding in self.failed}


def ask(file: Path, trust: Path | None, *more: str) -> Answer:
    """Run the program alone and isolated, as an auditor would."""
    given = [str(file), "--json", *(["--trust", str(trust)] if trust else []), *more]
    run = subprocess.run(
        [sys.executable, "-I", "-S", str(VERIFIER), *given], capture_output=True, check=False, timeout=120
    )
    text = run.stdout.decode()
    return Answer(run.returncode, json.loads(text) if text.startswith("{") else {}, run.stderr.decode())


def exported(vouchers: Sequence[Voucher], out: Path, *, whole_log: bool = False) -> Exported:
    return export_bundle([voucher.pk for voucher in vouchers], out, now=timezone.now(), whole_log=whole_log)


@contextmanager
def as_owner() -> Iterator[Any]:
    """Change rows as only the owner of the database could: with the triggers out of the way."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")


def request_of(voucher: Voucher) -> PaymentRequest:
    return PaymentRequest.objects.get(voucher_id=voucher.pk)
