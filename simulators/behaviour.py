"""How the partner behaves today: what it does by itself, and which faults it plays. Stored, so a restart keeps it."""

import copy
import itertools
from typing import Any

from simulators.errors import Refusal
from simulators.storage import Storage, set_setting, setting

DEFAULTS: dict[str, Any] = {
    "auto_pay": False,  # pay when a payment voucher arrives, not when the desk says so
    "auto_receipt": False,  # send the receipts of such payments at once
    "auto_arrival": False,  # answer a 5105 with its 2104 at once
    "answer_recalls": True,  # False: a recall is answered like a question, nothing is stopped
    "execute_corrections": True,  # False: PBoC answers a 5253 or 5351 that it could not be done
    "deduplicate": True,  # False: every arriving copy is executed again
    "sandbox": False,  # payee account or amount endings trigger faults, see simulators.sandbox
    "faults": {
        "lose_answer_every": 0,  # every n-th POST is done in full, then the connection is dropped
        "lose_next_answers": 0,
        "answer_500_next": 0,  # nothing is done
        "answer_garbage_next": 0,  # done in full, answered with unsigned HTML
        "delay_ms": 0,
        "lose_receipt_for": [],  # voucher numbers, or "*"
        "duplicate_receipts": False,
        "wrong_amount_for": [],  # receipts that claim one fen more than was paid
        "forged_signature_next": 0,  # receipts whose signature does not fit their text
    },
}


class Behaviour:
    """The stored switches; ``take`` uses up one of a "next k" fault."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._posts = itertools.count(1)
        self._values = _merged(DEFAULTS, setting(storage.read(), "behaviour", {}))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def fault(self, name: str) -> Any:
        """The value of one fault switch."""
        return self._values["faults"][name]

    def hits(self, name: str, voucher_no: str) -> bool:
        """True if a fault listed by voucher number concerns this voucher."""
        return voucher_no in self.fault(name) or "*" in self.fault(name)

    def take(self, name: str) -> bool:
        """True if one more of a counted fault is due now; it is then used up."""
        if self._values["faults"][name] <= 0:
            return False
        with self._storage.write() as db:  # its lock is the only one taken, so there is no order to get wrong
            if self._values["faults"][name] <= 0:
                return False
            self._values["faults"][name] -= 1
            set_setting(db, "behaviour", self._values)
        return True

    def loses_this_answer(self) -> bool:
        """Whether the answer of the POST just done must get lost."""
        every = self._values["faults"]["lose_answer_every"]
        return self.take("lose_next_answers") or (bool(every) and next(self._posts) % every == 0)

    def change(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Merge the asked switches in (``{"reset": true}`` first goes back to the defaults).

        :raises Refusal: ``unknown_switch`` or ``bad_switch``; nothing is changed then.
        """
        asked = dict(asked)
        with self._storage.write() as db:
            base = DEFAULTS if asked.pop("reset", False) else self._values
            self._values = _merged(base, asked)
            set_setting(db, "behaviour", self._values)
        return self.as_dict()

    def as_dict(self) -> dict[str, Any]:
        """A copy of all switches."""
        return copy.deepcopy(self._values)


def _merged(base: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(base)
    for name, value in asked.items():
        if name not in merged:
            raise Refusal("unknown_switch", f"没有开关 {name}")
        if type(value) is not type(merged[name]):
            raise Refusal("bad_switch", f"开关 {name} 的取值类型应为 {type(merged[name]).__name__}")
        merged[name] = _merged(merged[name], value) if isinstance(value, dict) else value
    return merged
