"""Expected against actual, figure by figure, for people to read and for `--check` to decide on."""

import sys
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TextIO

from core.money import format_yuan


@dataclass(frozen=True)
class Figure:
    """One compared figure: its place in the day, what it should be and what it is."""

    topic: str
    name: str
    expected: str
    actual: str

    @property
    def equal(self) -> bool:
        return self.expected == self.actual


@dataclass
class Comparison:
    """All figures of the day, in order; intermediate states are added as they happen."""

    figures: list[Figure] = field(default_factory=list)

    def money(self, topic: str, name: str, expected: str | Decimal, actual: Decimal | str) -> None:
        self.text(topic, name, format_yuan(Decimal(expected)), format_yuan(Decimal(actual)))

    def text(self, topic: str, name: str, expected: str, actual: str) -> None:
        self.figures.append(Figure(topic, name, str(expected), str(actual)))

    @property
    def different(self) -> list[Figure]:
        return [figure for figure in self.figures if not figure.equal]

    def write(self, not_yet_covered: list[str], out: TextIO = sys.stdout) -> None:
        """Print every figure as expected = actual, then what a later version will cover."""
        for topic in dict.fromkeys(figure.topic for figure in self.figures):
            print(f"\n{topic}", file=out)
            for figure in self.figures:
                if figure.topic == topic:
                    sign, mark = ("=", "  ") if figure.equal else ("≠", "✗ ")
                    print(f"  {mark}{figure.name}: {figure.expected} {sign} {figure.actual}", file=out)
        print("\n尚未覆盖 (not yet covered)", file=out)
        for item in not_yet_covered:
            print(f"  · {item}", file=out)
        equal = len(self.figures) - len(self.different)
        verdict = "全部相等" if not self.different else f"{len(self.different)} 项不等"
        print(f"\n{equal}/{len(self.figures)} 项相等：{verdict}", file=out)
