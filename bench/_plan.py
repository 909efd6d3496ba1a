"""Which payments a payday consists of: pure arithmetic, the same for the same N, so every figure can be foretold."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

INDICATORS_PER_UNIT = 4  # so that no balance row is the one hot row of the day


@dataclass(frozen=True)
class UnitOfBench:
    """A budget unit that pays: its account, and codes that belong together for it."""

    code: str
    function_code: str
    gov_economic_code: str
    dept_economic_code: str
    section_reviewer: str


UNITS = (
    UnitOfBench("101001", "2050101", "50201", "30201", "jkw-sh"),
    UnitOfBench("101002", "2050204", "50502", "30201", "jkw-sh"),
    UnitOfBench("205001", "2040220", "50299", "30299", "xzzf-sh"),
)


@dataclass(frozen=True)
class Payment:
    """One request with one payee; the amount in yuan."""

    number: int
    unit: UnitOfBench
    indicator: str
    amount: Decimal

    @property
    def payee_account_no(self) -> str:
        return f"6231{self.number:012d}"


@dataclass(frozen=True)
class Batch:
    """Payments of one unit that go through every step together."""

    unit: UnitOfBench
    payments: tuple[Payment, ...]


def indicator_no(unit: UnitOfBench, position: int) -> str:
    """Number of a unit's n-th indicator of the bench."""
    return f"BENCH-{unit.code}-{position}"


def payments(count: int) -> list[Payment]:
    """`count` payments spread evenly over units and their indicators; amounts from 100.00 to 999.99 yuan."""
    made = []
    for number in range(count):
        unit = UNITS[number % len(UNITS)]
        position = number // len(UNITS) % INDICATORS_PER_UNIT
        fen = 10_000 + number * 7919 % 90_000
        made.append(Payment(number, unit, indicator_no(unit, position), Decimal(fen).scaleb(-2)))
    return made


def batches(planned: list[Payment], size: int) -> list[Batch]:
    """Cut the payments of each unit into batches of at most `size`, the units in turn."""
    queues = [list(_cut(unit, planned, size)) for unit in UNITS]
    longest = max(map(len, queues))
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _cut(unit: UnitOfBench, planned: list[Payment], size: int) -> Iterator[Batch]:
    mine = [payment for payment in planned if payment.unit is unit]
    for start in range(0, len(mine), size):
        yield Batch(unit, tuple(mine[start : start + size]))


def total(planned: list[Payment]) -> Decimal:
    """Sum in yuan, to the fen."""
    return sum((payment.amount for payment in planned), Decimal("0.00"))


def totals_by_indicator(planned: list[Payment]) -> dict[str, Decimal]:
    """Sum of each indicator in yuan."""
    sums: dict[str, Decimal] = {}
    for payment in planned:
        sums[payment.indicator] = sums.get(payment.indicator, Decimal("0.00")) + payment.amount
    return sums
