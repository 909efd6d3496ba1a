"""``python -m simulators bank --code A …`` or ``python -m simulators pboc …``."""

import logging
import sys

from simulators.config import parse
from simulators.server import serve

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    serve(parse(sys.argv[1:]))
