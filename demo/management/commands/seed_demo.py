import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from demo import keys, world

FOLDER_OF = {
    world.BANK_A: "GUOKU_SIM_BANK_A_PKI",
    world.BANK_B: "GUOKU_SIM_BANK_B_PKI",
    world.PBOC: "GUOKU_SIM_PBOC_PKI",
}
URL_OF = {world.BANK_A: "GUOKU_SIM_BANK_A_URL", world.BANK_B: "GUOKU_SIM_BANK_B_URL", world.PBOC: "GUOKU_SIM_PBOC_URL"}
SUITES = {world.BANK_B: "ecdsa-p256-sha256"}  # the two suites side by side: bank A with SM2, bank B with P-256


class Command(BaseCommand):
    """Build 临江市 as on the morning of the worked day, with a demo PKI: every party gets its own private key only.

    Safe to run at every start. Example: manage.py seed_demo
    """

    help = "Create the demo region, its people, books, keys, seals and UKeys; nothing if they are there."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        issuing = Path(settings.GUOKU_STATE_DIR) / "demo-ca"
        password = os.environ["GUOKU_KEY_PASSWORD"].encode()
        keys.make_keys(issuing, suites=SUITES, password=password, services=True)
        keys.make_certificates_to_refuse(issuing, password)
        keys.hand_out_to_signer(issuing, Path(os.environ["GUOKU_KEY_DIR"]))
        for organisation, name in FOLDER_OF.items():
            if os.environ.get(name):
                keys.hand_out_to_partner(issuing, Path(os.environ[name]), organisation, password)
        if os.environ.get("GUOKU_SIM_TSA_PKI"):
            keys.hand_out_to_timestamp_service(issuing, Path(os.environ["GUOKU_SIM_TSA_PKI"]), password)
        certificates = keys.make_tokens(issuing, Path(os.environ["GUOKU_UKEY_TOKENS"]), password)
        world.register_keys(issuing)
        world.import_lists(issuing, now)
        endpoints = {organisation: os.environ.get(name, "") for organisation, name in URL_OF.items()}
        world.build_world(
            endpoints=endpoints, sealed=True, mode=os.environ.get("GUOKU_DEMO_MODE") or "classic", now=now
        )
        world.register_seals(issuing, now)
        world.enrol_officers(certificates, now)
        self.stdout.write("demo region is there")
