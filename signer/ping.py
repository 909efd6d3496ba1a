"""`python -m signer.ping`: whether the signer answers, for process managers. Exit code 0 if it does."""

import os
import sys


def main() -> int:
    """Ask once."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "treasury.settings.signer")
    import django

    django.setup()
    from core.errors import TreasuryError
    from seals.signer_client import ask

    try:
        return 0 if ask("ping")["ok"] else 1
    except TreasuryError as refusal:
        print(refusal.message, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
