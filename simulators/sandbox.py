"""Deterministic triggers for whoever tries the system: an account or an amount with a special ending plays a fault.

Off unless ``{"sandbox": true}`` is set at the desk, for ordinary accounts may end in 0001 as well.
"""

from collections.abc import Mapping

from simulators.money import fen

DELAYED, UNKNOWN_ACCOUNT, TWICE, WRONG_AMOUNT, LOST, FORGED, EVERY_TENTH = 1, 2, 3, 4, 6, 7, 8
RECEIPT_DELAY_SECONDS = 30.0


def trigger(detail: Mapping[str, str]) -> int:
    """The number of the fault this payment detail asks for: account ending 0001-0010, else the amount's fen; 0 none."""
    account = detail.get("PayeeAcctNo", "")[-4:]
    if account.isdigit() and 1 <= int(account) <= 10:
        return int(account)
    cents = fen(detail["PayAmt"]) % 100
    return cents if 1 <= cents <= 10 else 0
