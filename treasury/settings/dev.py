"""One machine: `run.py demo` and `run.py up`."""

from treasury.settings.base import *  # noqa: F403
from treasury.settings.base import env

INSTALLED_APPS = [*INSTALLED_APPS, "demo"]
DEBUG = env.bool("GUOKU_DEBUG", False)
SECRET_KEY = env.str("GUOKU_SECRET_KEY", "only-for-commands-that-serve-nobody")
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", "testserver"]
WHITENOISE_USE_FINDERS = True  # serve static files from where they lie, without collectstatic
