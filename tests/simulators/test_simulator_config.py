"""Where a partner finds itself: environment, and a key folder of its own beside the certificates it trusts."""

import shutil
from pathlib import Path

import pytest

from simulators.config import parse
from simulators.keys import Keyring
from simulators.storage import Storage
from tests.simulators.support import Party, payment


def test_everything_can_come_from_the_environment(tmp_path: Path) -> None:
    settings = parse(
        ["bank", "--code", "B"],
        {
            "GUOKU_SIM_PORT": "8102",
            "GUOKU_SIM_STORAGE": str(tmp_path),
            "GUOKU_SIM_PKI": str(tmp_path),
            "GUOKU_API_URL": "http://127.0.0.1:8000/",
            "GUOKU_SIM_PBOC_URL": "http://127.0.0.1:8103",
            "GUOKU_DESK_TOKEN": "token",
            "GUOKU_SIM_EXCHANGE": "pull",
        },
    )

    assert (settings.organisation, settings.port, settings.pull, settings.desk_token) == ("BANK-B", 8102, True, "token")
    assert settings.peers == {"FIN-990100000": "http://127.0.0.1:8000", "PBOC-990100": "http://127.0.0.1:8103"}
    with pytest.raises(SystemExit):
        parse(["pboc"], {})


def test_partner_reads_its_own_folder_and_trusts_only_what_lies_there(
    pki: Path, tmp_path: Path, parties: dict[str, Party]
) -> None:
    own = tmp_path / "own"
    (own / "trusted").mkdir(parents=True)
    for name in ("key.pem", "cert.pem"):
        shutil.copy(pki / "BANK-A" / name, own / name)
    shutil.copy(pki / "UNIT-101001" / "cert.pem", own / "trusted" / "UNIT-101001.pem")
    keys = Keyring(own, "BANK-A", Storage(tmp_path / "storage"))
    body = parties["UNIT-101001"].body(payment("8202", "SZ1", "101001", [("62", "1.00")]))

    keys.verify_text("UNIT-101001", body)
    with pytest.raises(Exception, match="unknown_signer"):
        keys.verify_text("UNIT-101002", body)
