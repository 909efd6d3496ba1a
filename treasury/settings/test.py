"""Under pytest, on the PostgreSQL and Valkey that `run.py test` starts or the environment names."""

from treasury.settings import connections
from treasury.settings.base import *  # noqa: F403
from treasury.settings.base import env

DEBUG = False
INSTALLED_APPS = [*INSTALLED_APPS, "demo"]
SECRET_KEY = "only-for-tests"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", "testserver"]
GUOKU_ENVIRONMENT = "test"
GUOKU_SIGNER = "tests.in_process_signer.KeysAtHand"
GUOKU_KEY_DIR = GUOKU_STATE_DIR / "keys"

# Tests make and drop a database of their own, so they connect as the owner.
_owner_url = env.str("DATABASE_OWNER_URL", env.str("DATABASE_URL", "postgresql:///guoku"))
DATABASES = {"default": connections.database(_owner_url)}
DATABASES["default"]["TEST"] = {"NAME": env.str("GUOKU_TEST_DATABASE", "test_guoku")}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick, and never outside tests
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True  # no scan of all static files for every test client
