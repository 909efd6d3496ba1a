"""The deployment files give the keys to the signer alone."""

import re

from tests.signer.process import ROOT

SYSTEMD = ROOT / "deploy" / "systemd"


def service(name):
    """The lines of one service of docker-compose.yml."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    match = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert match is not None, name
    return match[1]


def test_only_the_signers_container_and_the_seeding_see_the_key_volume():
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    shared = text[text.index("x-guoku:") : text.index("x-simulator:")]
    assert "keys:/" not in shared and "GUOKU_KEY" not in shared
    holders = {
        name for name in re.findall(r"^  ([a-z-]+):$", text, re.MULTILINE) if "keys:/run/guoku/keys" in service(name)
    }
    assert holders == {"signer", "seed"}
    assert '"keys:/run/guoku/keys:ro"' in service("signer") and "outside" not in service("signer")


def test_only_the_signers_unit_is_told_of_the_keys():
    told = {path.name for path in SYSTEMD.iterdir() if "GUOKU_KEY" in path.read_text(encoding="utf-8")}
    assert told == {"guoku-signer.service", "signer.env.example"}
    users = {path.name: re.search(r"^User=(.+)$", path.read_text(), re.MULTILINE) for path in SYSTEMD.glob("*.service")}
    assert {name for name, user in users.items() if user is not None and user[1] == "guoku-signer"} == {
        "guoku-signer.service"
    }


def test_the_signers_unit_is_hardened_like_the_others_and_more():
    web, signer = (set((SYSTEMD / f"guoku-{name}.service").read_text().splitlines()) for name in ("web", "signer"))
    hardening = {line for line in web if re.match(r"(No|Protect|Private|Restrict|Lock|Capability|UMask)", line)}
    assert len(hardening) >= 10
    assert hardening <= signer
    assert {"LimitCORE=0", "ProtectProc=invisible", "StateDirectoryMode=0700", "RuntimeDirectoryMode=0750"} <= signer
