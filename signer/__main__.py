"""`python -m signer`: hold the organisations' keys and answer on the socket until SIGTERM."""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    """Returns the exit code; 0 after SIGTERM or SIGINT."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "treasury.settings.signer")
    from signer.hardening import protect_memory

    protected = protect_memory()  # before any key is read
    import django

    django.setup()
    from django.conf import settings as configured

    from seals.signer_client import LONGEST_FRAME
    from seals.suites import SIGNING_SUITE_IDS, get_suite
    from signer.server import Server
    from signer.verbs import answer

    settings: Any = configured
    log = logging.getLogger("signer")
    for suite_id in SIGNING_SUITE_IDS:
        get_suite(suite_id)  # tests itself: better to fail at the start than at the first voucher
    path = Path(settings.GUOKU_SIGNER_SOCKET)
    try:
        server = Server(
            path,
            allowed_uids=settings.GUOKU_SIGNER_ALLOWED_UIDS,
            mode=settings.GUOKU_SIGNER_SOCKET_MODE,
            longest_frame=LONGEST_FRAME,
            answer=answer,
        )
    except OSError as error:
        log.error("cannot listen", extra={"socket": str(path), "reason": str(error)})
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.stop)
    log.info("listening", extra={"socket": str(path), "pid": os.getpid(), "protected": protected})
    server.serve()
    log.info("stopped", extra={"pid": os.getpid()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
