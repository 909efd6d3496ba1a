#!/usr/bin/env python3
"""The two commands, and a few more: `python3 run.py demo`, `python3 run.py test`. Needs only Python 3.11+ with venv.

This file and `launcher/installation.py` use the standard library only. They make `.venv`, install the hash-pinned
locks into it, start again inside it, and hand over to `launcher/commands.py`. See `python3 run.py --help`.
"""

import os
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))

if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or later is needed; this is {}.{}.".format(*sys.version_info[:2]))

sys.path.insert(0, ROOT)

from launcher import installation  # noqa: E402


def main() -> int:
    """Install what the command needs, then run it with the environment's own Python."""
    needs_tests = sys.argv[1:2] in (["test"], ["lint"])
    try:
        python = installation.ensure(tests=needs_tests)
    except installation.InstallationFailed as problem:
        print(f"run.py: {problem}", file=sys.stderr)
        return 2
    if not installation.inside():
        os.execv(python, [str(python), os.path.join(ROOT, "run.py"), *sys.argv[1:]])
    from launcher.commands import main as command

    return command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
