"""The locks, and how pip's configuration reaches uv."""

import os
import re
from importlib import metadata
from pathlib import Path

import pytest

from launcher import installation

LOCKS = sorted(installation.LOCKS.glob("*.lock"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_package_has_a_hash_and_no_address(lock: Path) -> None:
    text = lock.read_text()

    pinned = re.findall(r"^[a-z0-9][\w.-]*==\S+[^\n]*\\\n {4}--hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert pinned
    assert len(pinned) == len(re.findall(r"^\S", text, re.MULTILINE))
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links", text)


def test_psycopg_3_is_not_installed() -> None:
    # It would silently become Django's driver, with other semantics.
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("psycopg")


def test_pip_configuration_is_passed_on_to_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith(("UV_", "PIP_", "SSL_")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example/simple https://b.example/simple")
    monkeypatch.setenv("PIP_CERT", "/etc/gateway.pem")

    told = installation._uv_environment()

    assert told["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert told["UV_INDEX"] == "https://a.example/simple https://b.example/simple"
    assert told["SSL_CERT_FILE"] == "/etc/gateway.pem"


def test_what_the_user_tells_uv_goes_before_pips_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://chosen.example/simple")

    assert installation._uv_environment()["UV_DEFAULT_INDEX"] == "https://chosen.example/simple"
