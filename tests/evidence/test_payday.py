"""A payday's facts: noted, placed, rooted and walked within what one minute leaves room for."""

import time
from datetime import timedelta

from core import merkle
from evidence import chain, rooting, selectors, streams, verifying
from tests.evidence.conftest import NOW, write_facts

STREAM = "990100000/2026"
FACTS = 10_000


def test_ten_thousand_facts_are_noted_placed_rooted_and_walked(real_facts, signer, record_property):
    spent = {}

    def timed(name, work):
        start = time.perf_counter()
        result = work()
        spent[name] = time.perf_counter() - start
        return result

    timed("insert", lambda: write_facts(FACTS))
    assert timed("place", chain.sequence) == FACTS
    (root,) = timed("root", lambda: rooting.make_roots(now=NOW))
    write_facts(1000)
    chain.sequence()
    (later,) = timed("next root", lambda: rooting.make_roots(now=NOW + timedelta(seconds=1)))
    proof = timed("inclusion", lambda: selectors.inclusion(STREAM, [1, 5000, FACTS]))[1]
    assert timed("walk", lambda: list(verifying.check_log())) == []

    leaves = streams.leaves(STREAM, 0, later.size)
    assert root.root == merkle.root_of(leaves[:FACTS]).hex() and later.root == merkle.root_of(leaves).hex()
    assert merkle.verify_inclusion(leaves[4999], 4999, later.size, proof.path, bytes.fromhex(later.root))
    for name, seconds in spent.items():
        record_property(name, f"{seconds:.3f} s")
    assert sum(spent.values()) < 60, spent
