"""SoftHSM2 for tests: one configuration for the whole process, because the library reads it once."""

import os
import subprocess
import tempfile
from pathlib import Path


def new_token(module: str | Path, label: str, pin: str, so_pin: str) -> None:
    """Initialise a token with this label beside those of other tests, and have the loaded library see it."""
    import pkcs11

    if "SOFTHSM2_CONF" not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="guoku-softhsm-"))
        (folder / "tokens").mkdir()
        text = f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n"
        (folder / "softhsm2.conf").write_text(text)
        os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    arguments = ["--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", so_pin]
    subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)
    pkcs11.lib(str(module)).reinitialize()
