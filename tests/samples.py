"""Seals and stamps made by others: three files of the project ofdrw (Apache-2.0) and an invented envelope.

Not ours to ship. Tests read them from the folder named by ``GUOKU_SAMPLES``, else from ``shared/samples`` beside
the checkout, and are left out where they are not there.
"""

import os
from pathlib import Path

import pytest

SAMPLES = Path(os.environ.get("GUOKU_SAMPLES") or Path(__file__).parents[2] / "shared" / "samples")


def sample(name: str) -> bytes:
    """Return the bytes of a file made by others; skip the test where it is not there."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"{name}, made by others, is not in {SAMPLES}; GUOKU_SAMPLES names the folder")
    return path.read_bytes()
