import os
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from demo import world

FOLDER_OF = {
    world.BANK_A: "GUOKU_SIM_BANK_A_PKI",
    world.BANK_B: "GUOKU_SIM_BANK_B_PKI",
    world.PBOC: "GUOKU_SIM_PBOC_PKI",
}
URL_OF = {world.BANK_A: "GUOKU_SIM_BANK_A_URL", world.BANK_B: "GUOKU_SIM_BANK_B_URL", world.PBOC: "GUOKU_SIM_PBOC_URL"}


class Command(BaseCommand):
    """Build 临江市 as on the morning of the worked day, with a demo PKI: every party gets its own private key only.

    Safe to run at every start. Example: manage.py seed_demo
    """

    help = "Create the demo region, its people, books and keys; nothing if they are there."

    def handle(self, *args: Any, **options: Any) -> None:
        issuing = Path(settings.GUOKU_STATE_DIR) / "demo-ca"
        world.make_keys(
            issuing,
            suites={} if os.environ.get("GUOKU_DEMO_SUITES") != "mixed" else {world.BANK_B: "ecdsa-p256-sha256"},
        )
        world.register_keys(issuing)
        self._hand_out(issuing)
        endpoints = {organisation: os.environ.get(name, "") for organisation, name in URL_OF.items()}
        world.build_world(endpoints=endpoints, now=timezone.now())
        self.stdout.write("demo region is there")

    def _hand_out(self, issuing: Path) -> None:
        """Give the finance side and each partner its own keys, and everybody all certificates."""
        ours = {code for code in world.ORGANISATIONS if code not in FOLDER_OF}
        places = {Path(settings.GUOKU_KEY_DIR): ours}
        for organisation, name in FOLDER_OF.items():
            if os.environ.get(name):
                places[Path(os.environ[name])] = {organisation}
        for place, organisations in places.items():
            for organisation in organisations:
                _copy(issuing / organisation, place / organisation, ("key.pem", "cert.pem"))
            for organisation in world.ORGANISATIONS:
                _copy(issuing / organisation, place / "trusted" / organisation, ("cert.pem",))


def _copy(source: Path, target: Path, names: tuple[str, ...]) -> None:
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in names:
        if not (target / name).exists():
            shutil.copy2(source / name, target / name)
