"""The code on the paper: where to ask whether this voucher is ours. It carries no fact the paper does not show."""

import io
from functools import lru_cache
from urllib.parse import quote

import segno

from vouchers.messages import VoucherContent

DIGEST_PREFIX = 16  # hexadecimal digits of the SM3 of the signed text


def verify_url(base: str, content: VoucherContent, digest: str) -> str:
    """Return `<base>/verify/?v=<AdmDivCode>.<StYear>.<VtCode>.<VoucherNo>.<first 16 digits of the digest>`."""
    identity = content.identity
    parts = [identity[tag] for tag in ("AdmDivCode", "StYear", "VtCode", "VoucherNo")]
    return f"{base.rstrip('/')}/verify/?v={quote('.'.join([*parts, digest[:DIGEST_PREFIX]]), safe='.-_')}"


@lru_cache(maxsize=64)
def qr_path(text: str) -> tuple[str, int]:
    """Return the dark modules as one SVG path of unit squares, and the number of modules a side without a margin."""
    rows = segno.make(text, error="m", micro=False).matrix
    runs = io.StringIO()
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            length = 0
            while x + length < len(row) and row[x + length]:
                length += 1
            if length:
                runs.write(f"M{x} {y}h{length}v1h-{length}z")
            x += max(length, 1)
    return runs.getvalue(), len(rows)
