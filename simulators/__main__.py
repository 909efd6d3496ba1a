"""``python -m simulators bank --code A …``, ``python -m simulators pboc …`` or ``python -m simulators tsa …``."""

import logging
import sys

from simulators import server, tsa
from simulators.config import parse

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    settings = parse(sys.argv[1:])
    (tsa if settings.role == "tsa" else server).serve(settings)
