"""The signer: the only process that is told where the private keys are. It reads the database and never writes it."""

import os
import secrets
from pathlib import Path

from treasury.settings.base import *  # noqa: F403
from treasury.settings.base import env

INSTALLED_APPS = [*INSTALLED_APPS, "signer"]
DEBUG = False
SECRET_KEY = secrets.token_urlsafe()  # signs nothing here: no pages, no sessions
DATABASES["default"]["OPTIONS"]["options"] += " -c default_transaction_read_only=on"

GUOKU_KEY_DIR = Path(env.str("GUOKU_KEY_DIR", str(GUOKU_STATE_DIR / "keys")))
GUOKU_KEY_PASSWORD = env.str("GUOKU_KEY_PASSWORD", "")
GUOKU_SIGNER_STATE = Path(env.str("GUOKU_SIGNER_STATE", str(GUOKU_STATE_DIR / "signer")))  # what it signed of the log
GUOKU_SIGNER_SOCKET_MODE = int(env.str("GUOKU_SIGNER_SOCKET_MODE", "600"), 8)  # 660 where others share its group
GUOKU_SIGNER_ALLOWED_UIDS = [int(uid) for uid in env.list("GUOKU_SIGNER_ALLOWED_UIDS", default=[str(os.getuid())])]
