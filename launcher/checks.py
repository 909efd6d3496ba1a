"""What must be clean before a change is taken: style, types, import order, migrations, deployment."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from launcher.environment import ROOT, Run

TYPED = (
    *(
        "core",
        "evidence",
        "attachments",
        "budget",
        "cards",
        "contracts",
        "payments",
        "payroll",
        "emergency",
        "vouchers",
    ),
    *("seals", "signer", "ukey_agent", "verifier"),
)


def run_all() -> int:
    """Run every check, also after one has failed; 0 if all are clean."""
    ruff, mypy, lint_imports = (str(ROOT / ".venv" / "bin" / name) for name in ("ruff", "mypy", "lint-imports"))
    django = os.environ | {"DJANGO_SETTINGS_MODULE": "treasury.settings.test"}
    # A production-like environment: nothing here is a real host or secret.
    production = os.environ | {
        "DJANGO_SETTINGS_MODULE": "treasury.settings.prod",
        "GUOKU_SECRET_KEY": Run("test").secret("secret_key"),
        "GUOKU_ALLOWED_HOSTS": "guoku.example",
        "DATABASE_URL": "postgresql:///guoku",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
    }
    manage = [sys.executable, str(ROOT / "manage.py")]
    checks = [
        ("ruff check", [ruff, "check", "."], django),
        ("ruff format", [ruff, "format", "--check", "."], django),
        ("mypy", [mypy, *TYPED], django),
        ("lint-imports", [lint_imports, "--no-cache"], django),
        ("makemigrations", [*manage, "makemigrations", "--check", "--dry-run"], django),
        ("check --deploy", [*manage, "check", "--deploy", "--fail-level", "WARNING"], production),
    ]
    failed = []
    for name, argv, environment in checks:
        started = time.monotonic()
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True)
        print(f"  {name}: {'FAILED' if done.returncode else 'ok'} ({time.monotonic() - started:.1f} s)", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout + done.stderr, flush=True)
    print(f"Not clean: {', '.join(failed)}" if failed else "All checks are clean.", flush=True)
    return int(bool(failed))
