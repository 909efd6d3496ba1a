"""`python -m ukey_agent --tokens DIR --port N --origin URL …`; with `--pkcs11 …` it files a device and ends.

Defaults come from GUOKU_UKEY_TOKENS, GUOKU_UKEY_PORT and GUOKU_UKEY_ORIGINS (separated by blanks or commas).
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ukey_agent.errors import AgentError
from ukey_agent.pkcs11 import Pkcs11Token
from ukey_agent.server import serve

DEFAULT_PORT = 13618
_ORIGIN = re.compile(r"https?://[a-z0-9.\-\[\]:]+")


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    try:
        if options.pkcs11:
            module, device, label, holder = options.pkcs11
            Pkcs11Token.create(options.tokens, label, holder, Path(module), device)
        else:
            serve(options.tokens, options.port, options.origin)
    except AgentError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    environment = os.environ
    parser = argparse.ArgumentParser(prog="ukey_agent", description="UKey 签名程序")
    parser.add_argument("--tokens", type=Path, default=environment.get("GUOKU_UKEY_TOKENS"), help="UKey 文件夹")
    parser.add_argument("--port", type=int, default=environment.get("GUOKU_UKEY_PORT", DEFAULT_PORT))
    parser.add_argument("--origin", type=_origin, action="append", help="允许的网站，可重复")
    parser.add_argument(
        "--pkcs11", nargs=4, metavar=("MODULE", "DEVICE", "LABEL", "HOLDER"), help="登记一个 PKCS#11 设备"
    )
    options = parser.parse_args(arguments)
    if options.tokens is None:
        parser.error("--tokens 或 GUOKU_UKEY_TOKENS 须给出 UKey 文件夹")
    options.tokens = Path(options.tokens)
    try:
        options.origin = options.origin or [
            _origin(text) for text in re.split(r"[\s,]+", environment.get("GUOKU_UKEY_ORIGINS", "")) if text
        ]
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    if not options.origin and not options.pkcs11:
        parser.error("--origin 或 GUOKU_UKEY_ORIGINS 须给出至少一个网站")
    return options


def _origin(text: str) -> str:
    """A wildcard, "null" or an address with a path would let in whom nobody named."""
    if not _ORIGIN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} 不是网站的来源，应如 https://guoku.example")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
