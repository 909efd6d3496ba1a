"""At a bureau: TLS ends at nginx on the same host or network, everything secret comes from the environment."""

from treasury.settings.base import *  # noqa: F403
from treasury.settings.base import env

DEBUG = False
GUOKU_ENVIRONMENT = env.str("GUOKU_ENVIRONMENT", "prod")  # "test" for joint tests with the banks
SECRET_KEY = env.str("GUOKU_SECRET_KEY")
GUOKU_CUT_OFF = env.bool("GUOKU_CUT_OFF", True)
_public_hosts = env.list("GUOKU_ALLOWED_HOSTS")
ALLOWED_HOSTS = [*_public_hosts, "127.0.0.1"]  # the process manager asks for /healthz on the spot
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in _public_hosts]

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^healthz(/evidence)?$"]  # asked over plain HTTP by the process manager
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
