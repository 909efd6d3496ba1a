"""The code printed on paper: with the bureau's key over what the paper says, so that no paper can be made up.

Whoever holds a paper may ask with number and code; a bank asks before it pays.
"""

import base64
import hmac

from django.conf import settings

from core.money import wire_yuan
from vouchers.models import Voucher

LENGTH = 16  # characters of base32: 80 bits


def verification_code(voucher: Voucher) -> str:
    """Return the code of a voucher in groups of four, e.g. `K7QM-3FZA-PW2D-XN5T`."""
    key = (getattr(settings, "GUOKU_PAPER_KEY", "") or settings.SECRET_KEY).encode()
    said = "\n".join(
        [
            "guoku-paper-voucher-1",
            voucher.adm_div_code,
            str(voucher.fiscal_year),
            voucher.voucher_type,
            voucher.voucher_no,
            wire_yuan(voucher.amount),
            voucher.digest,
        ]
    )
    text = base64.b32encode(hmac.new(key, said.encode(), "sha256").digest()).decode()[:LENGTH]
    return "-".join(text[start : start + 4] for start in range(0, LENGTH, 4))


def is_its_code(voucher: Voucher, given: str) -> bool:
    """Whether somebody typed the code of this voucher; spaces, dashes and small letters do not matter."""
    typed = "".join(c for c in given.upper() if c.isalnum())
    return hmac.compare_digest(typed.encode(), verification_code(voucher).replace("-", "").encode())
