"""Merkle proofs: every index and every pair of sizes up to 33, and what must not pass."""

import pytest

from core import merkle
from core.digests import sm3

LEAVES = [merkle.leaf_hash(bytes([n])) for n in range(33)]


def by_definition(leaves):
    """The recursion of RFC 6962 §2.1, word for word."""
    if not leaves:
        return sm3(b"")
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sm3(b"\1" + by_definition(leaves[:split]) + by_definition(leaves[split:]))


@pytest.mark.parametrize("size", range(34))
def test_roots_are_those_of_the_definition(size):
    assert merkle.root_of(LEAVES[:size]) == by_definition(LEAVES[:size])


@pytest.mark.parametrize("size", range(1, 34))
def test_every_leaf_is_proved_and_no_other_passes(size):
    root = merkle.root_of(LEAVES[:size])
    for index in range(size):
        path = merkle.inclusion_path(LEAVES[:size], index)
        assert merkle.verify_inclusion(LEAVES[index], index, size, path, root)
        assert not merkle.verify_inclusion(sm3(b"other"), index, size, path, root)
        assert not merkle.verify_inclusion(LEAVES[index], index, size, [*path, root], root)
        if path:
            assert not merkle.verify_inclusion(LEAVES[index], index, size, path[:-1], root)
        if size > 1:
            assert not merkle.verify_inclusion(LEAVES[index], (index + 1) % size, size, path, root)


@pytest.mark.parametrize("size", range(34))
def test_all_proofs_at_once_are_the_proofs_one_by_one(size):
    leaves = LEAVES[:size]
    assert merkle.inclusion_paths(leaves) == [merkle.inclusion_path(leaves, index) for index in range(size)]


@pytest.mark.parametrize("size", range(1, 34))
def test_every_beginning_is_proved_and_a_fork_is_not(size):
    root = merkle.root_of(LEAVES[:size])
    for earlier in range(1, size + 1):
        path = merkle.consistency_path(LEAVES[:size], earlier)
        earlier_root = merkle.root_of(LEAVES[:earlier])
        assert merkle.verify_consistency(earlier, earlier_root, size, root, path)
        assert not merkle.verify_consistency(earlier, sm3(b"fork"), size, root, path)
        assert not merkle.verify_consistency(earlier, earlier_root, size, sm3(b"fork"), path)
        if path:
            assert not merkle.verify_consistency(earlier, earlier_root, size, root, path[:-1])


def test_a_leaf_cannot_pass_for_a_node():
    pair = merkle.root_of(LEAVES[:2])
    assert merkle.leaf_hash(LEAVES[0] + LEAVES[1]) != pair


@pytest.mark.parametrize(("size", "index"), [(0, 0), (3, 3), (3, -1)])
def test_an_index_outside_is_refused(size, index):
    assert not merkle.verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])
    with pytest.raises(IndexError):
        merkle.inclusion_path(LEAVES[:size], index)
