"""Waiting for other processes: look, tell how far it is, and give up when nothing moves any more."""

import sys
import time
from collections.abc import Callable

LOOK_EVERY = 0.1  # seconds
TELL_EVERY = 2.0
STUCK_AFTER = 30.0


class Stuck(Exception):
    """Nothing has moved for STUCK_AFTER seconds."""


def wait_for(
    what: str, measure: Callable[[], int], target: int, *, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Look until the measure is at the target.

    :raises Stuck: if it stays at one other value for too long.
    """
    last, moved, told = measure(), time.monotonic(), time.monotonic()
    while last != target:
        time.sleep(LOOK_EVERY)
        current = measure()
        if current != last:
            last, moved = current, time.monotonic()
        if time.monotonic() - moved > STUCK_AFTER:
            raise Stuck(f"waiting for {what}: {last}, wanted {target}")
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            meanwhile()
            say(f"  {what}: {last} of {target}")


def say(text: str) -> None:
    """Progress for the person at the keyboard; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)
