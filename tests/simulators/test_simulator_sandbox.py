"""The deterministic triggers: special endings of a payee account or an amount play a fault, only when switched on."""

import pytest

from simulators.app import App
from tests.simulators.support import Party, desk, fin_receipts, payment


@pytest.mark.parametrize(
    ("rows", "paid", "copies", "status"),
    [
        ([("62300002", "5.00")], "0.00", 1, "pending"),
        ([("62", "5.02")], "0.00", 1, "pending"),
        ([("62300003", "5.00")], "5.00", 2, "pending"),
        ([("62300004", "5.00")], "5.01", 1, "pending"),
        ([("62300006", "5.00")], "5.00", 1, "lost"),
        ([("62300008", "5.00")] * 10, "45.00", 1, "pending"),
    ],
)
def test_trigger(
    bank_a: App,
    fin: Party,
    parties: dict[str, Party],
    rows: list[tuple[str, str]],
    paid: str,
    copies: int,
    status: str,
) -> None:
    desk(bank_a, "behaviour", sandbox=True)
    fin.push(bank_a, parties["UNIT-101001"].body(payment("8202", "SZ1", "101001", rows)))
    desk(bank_a, "pay")

    assert fin_receipts(bank_a) == [(paid, status)] * copies


def test_without_the_switch_an_ending_means_nothing(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    fin.push(bank_a, parties["UNIT-101001"].body(payment("8202", "SZ1", "101001", [("62300002", "5.04")])))
    desk(bank_a, "pay")

    assert fin_receipts(bank_a) == [("5.04", "pending")]
