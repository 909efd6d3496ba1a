"""The partners' own field lists against the published ones: no tag of theirs is unknown, none of those is missing."""

import json
from pathlib import Path

import pytest

from simulators.participant import LAYOUTS

SCHEMA = Path(__file__).resolve().parents[2] / "vouchers" / "schema"


@pytest.mark.parametrize("kind", sorted(LAYOUTS))
def test_layout_is_the_published_field_list(kind: str) -> None:
    published = json.loads((SCHEMA / f"{kind}.json").read_text("utf-8"))

    for part in ("main", "detail"):
        assert set(LAYOUTS[kind][part]) == {field["tag"] for field in published[part]}
