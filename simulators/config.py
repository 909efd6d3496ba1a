"""Where a partner lives: from the command line, else from the environment."""

import argparse
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent / "fixtures"
FINANCE = "FIN-990100000"


@dataclass(frozen=True)
class Settings:
    """One partner's address, folders, keys and neighbours. ``peers`` maps an organisation to its base URL."""

    role: str
    organisation: str
    fixture: dict[str, Any]
    port: int
    storage: Path
    pki: Path
    peers: dict[str, str] = field(default_factory=dict)
    desk_token: str = ""
    host: str = "127.0.0.1"
    pull: bool = False


def read_fixture(name: str) -> dict[str, Any]:
    """Opening data of one partner: ``bank_a``, ``bank_b`` or ``pboc``."""
    data: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
    return data


def parse(arguments: list[str], environ: dict[str, str] | None = None) -> Settings:
    """Settings of ``bank --code A …``, ``pboc …`` or ``tsa …``; what is not given comes from ``GUOKU_*`` variables."""
    env = os.environ if environ is None else environ
    parser = argparse.ArgumentParser(prog="simulators", description=__doc__)
    roles = parser.add_subparsers(dest="role", required=True)
    bank, pboc, tsa = roles.add_parser("bank"), roles.add_parser("pboc"), roles.add_parser("tsa")
    bank.add_argument("--code", choices=("A", "B"), default=env.get("GUOKU_SIM_CODE", "A"))
    bank.add_argument("--exchange", choices=("push", "pull"), default=env.get("GUOKU_SIM_EXCHANGE", "push"))
    for role in (bank, pboc, tsa):
        role.add_argument("--host", default=env.get("GUOKU_SIM_HOST", "127.0.0.1"))
        role.add_argument("--port", type=int, default=int(env.get("GUOKU_SIM_PORT", "0")))
        role.add_argument("--storage", type=Path, default=env.get("GUOKU_SIM_STORAGE"))
        role.add_argument("--pki", type=Path, default=env.get("GUOKU_SIM_PKI"))
        role.add_argument("--desk-token", default=env.get("GUOKU_DESK_TOKEN", ""))
    pboc.add_argument("--mode", choices=("classic", "integrated"), default=env.get("GUOKU_DEMO_MODE") or "classic")
    for role in (bank, pboc):
        role.add_argument("--api-url", default=env.get("GUOKU_API_URL", ""))
        role.add_argument("--pboc-url", default=env.get("GUOKU_SIM_PBOC_URL", ""))
        role.add_argument("--bank-url", action="append", default=[], metavar="BANK-A=URL")
    given = parser.parse_args(arguments)
    if given.storage is None or given.pki is None:
        parser.error("--storage and --pki are needed (or GUOKU_SIM_STORAGE and GUOKU_SIM_PKI)")
    if given.role == "tsa":  # it has no books and knows nobody
        known = {name: getattr(given, name) for name in ("role", "host", "port", "storage", "pki", "desk_token")}
        return Settings(organisation="TSA", fixture={}, **known)
    fixture = read_fixture("pboc" if given.role == "pboc" else f"bank_{given.code.lower()}")
    if given.role == "pboc":
        fixture["limits_clearing"] = given.mode == "classic"
    peers = {FINANCE: given.api_url, "PBOC-990100": given.pboc_url}
    peers |= {"BANK-A": env.get("GUOKU_SIM_BANK_A_URL", ""), "BANK-B": env.get("GUOKU_SIM_BANK_B_URL", "")}
    peers |= dict(pair.split("=", 1) for pair in given.bank_url)
    return Settings(
        role=given.role,
        organisation=fixture["organisation"],
        fixture=fixture,
        port=given.port,
        storage=given.storage,
        pki=given.pki,
        peers={name: url.rstrip("/") for name, url in peers.items() if url},
        desk_token=given.desk_token,
        host=given.host,
        pull=getattr(given, "exchange", "push") == "pull",
    )
