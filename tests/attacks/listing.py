"""The page docs/attacks.md, made from the attacks themselves: `python -m tests.attacks.listing` writes it again."""

import importlib
import inspect
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Protocol

PAGE = Path(__file__).parents[2] / "docs" / "attacks.md"
FAMILIES = {
    "A": "Parser: bytes that read two ways, reach out, or cost more than they weigh",
    "B": "Wrapping: one thing is signed, another is read",
    "C": "Algorithms",
    "D": "Certificates",
    "E": "Seals",
    "F": "Containers",
    "G": "Protocol: well formed, truly signed, and wrong by moment, number, party or repetition",
}
HEAD = """\
# Attacks

What the library of vouchers has been attacked with, and what it answers. Each case of families A, B and G below is a
forgery with its own refusal code that starts from bytes which would be accepted, changes one thing, and signs again
with the partner's true key where the change lies under the signature. For each, in `tests/attacks/`:

- the pure reading of the bytes refuses with this code (families A and B; B as far as bytes alone can tell);
- the inbox refuses with this code before anything acts on it, keeps the very bytes with sender and reason
  (`InboxMessage` refused, or `InboxRejection` where they cannot be read; of more than 1 MiB the first, with the size),
  and **every other table of the database is the same as before**;
- some go through the HTTP door as well, with a signed request: same code, signed answer, same nothing.

`duplicate` is no refusal but the answer to an honest repetition: acknowledged, and nothing happens. **Accepted: none.**
The page is made from the tests (`python -m tests.attacks.listing`); a test compares the two.
"""


class Case(Protocol):
    """What a forgery says of itself, whatever it is made of."""

    @property
    def family(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def why(self) -> str: ...


def modules() -> list[ModuleType]:
    """Return the test modules of this folder whose name begins with the letter of a family, in order."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("test_[a-z]_*.py"))
    return [importlib.import_module(f"tests.attacks.{name}") for name in names]


def attacks() -> list[Case]:
    """Return every forgery that is listed with code and reason."""
    return [case for module in modules() for case in getattr(module, "ATTACKS", ())]


def tests_of(module: ModuleType) -> Mapping[str, int]:
    """Return how many cases each test function of a module has, by what it says."""
    found = {}
    for name, test in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("test_") and test.__module__ == module.__name__:
            marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
            found[name, test.__code__.co_firstlineno] = math.prod(len(list(mark.args[1])) for mark in marks)
    ordered = sorted(found.items(), key=lambda item: item[0][1])
    return {name.removeprefix("test_").replace("_", " "): count for (name, _line), count in ordered}


def counted() -> dict[str, int]:
    """Return how many cases each family has: forgeries that are listed, and elsewhere tests with their parameters."""
    count: dict[str, int] = {}
    for module in modules():
        family, listed = family_of(module), getattr(module, "ATTACKS", None)
        count[family] = count.get(family, 0) + (sum(tests_of(module).values()) if listed is None else len(listed))
    return count


def family_of(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2].split("_")[1].upper()


def page() -> str:
    """Return the text of docs/attacks.md."""
    count = counted()
    families = ", ".join(f"{family} {cases}" for family, cases in count.items())
    every, forgeries = sum(count.values()), len(attacks())
    counting = f"{forgeries} forgeries listed with their answer, and {every - forgeries} tests by what they say."
    parts = [HEAD, f"\n**{every} cases** ({families}): {counting}\n"]
    for module in modules():
        name, family = module.__name__.rpartition(".")[2], family_of(module)
        parts.append(f"\n## {family}. {FAMILIES[family]}\n\n`tests/attacks/{name}.py`\n\n")
        parts += _forgeries(module.ATTACKS) if hasattr(module, "ATTACKS") else _sentences(module)
    return "".join(parts)


def _forgeries(cases: Sequence[Case]) -> list[str]:
    rows = [f"| {case.name} | `{case.code}` | {case.why} |\n" for case in cases]
    return ["| case | answer | why |\n|---|---|---|\n", *rows]


def _sentences(module: ModuleType) -> list[str]:
    rows = [f"| {sentence} | {count} |\n" for sentence, count in tests_of(module).items()]
    return ["| what is tested | cases |\n|---|---|\n", *rows]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "treasury.settings.test")
    import django

    django.setup()
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
