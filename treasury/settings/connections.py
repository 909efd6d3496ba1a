"""DATABASE_URL and REDIS_URL in the shapes that Django and Celery want."""

from typing import Any

from psycopg2.extensions import parse_dsn

# Milliseconds. A statement that waits longer for a lock than a person would is refused, and may be tried again.
# Compiling (JIT) costs more than any of our statements runs: a trigger took 0.4 s where it takes 1 ms without.
SESSION = "-c statement_timeout=60000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=60000 -c jit=off"


def database(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for a libpq URL, which may name a Unix socket as `?host=/folder`.

    libpq itself takes the URL apart, so whatever psql accepts is accepted here (sslmode, several hosts, …).
    """
    parts = parse_dsn(url)
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    entry: dict[str, Any] = {setting: parts.pop(part, "") for part, setting in names.items()}
    parts["options"] = f"{SESSION} {parts.get('options', '')}".strip()
    return entry | {
        "ENGINE": "django.db.backends.postgresql",
        "OPTIONS": parts,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
    }


def broker(redis_url: str) -> str:
    """Celery's name for the same server: kombu spells a Unix socket in its own way."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    return f"redis+socket://{path}?{query.replace('db=', 'virtual_host=')}"
