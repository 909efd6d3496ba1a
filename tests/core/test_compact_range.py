"""A tree continued from its compact range gives the roots and proofs of the whole tree, for every pair of sizes."""

import pytest

from core import merkle
from core.merkle import CompactRange

LEAVES = [merkle.leaf_hash(bytes([n])) for n in range(70)]


@pytest.mark.parametrize("size", range(70))
def test_root_is_that_of_the_whole_tree_however_it_grew(size):
    at_once = CompactRange().extended(LEAVES[:size])
    one_by_one = CompactRange()
    for leaf in LEAVES[:size]:
        one_by_one = one_by_one.extended([leaf])
    assert at_once == one_by_one == CompactRange().extended(LEAVES[: size // 3]).extended(LEAVES[size // 3 : size])
    assert at_once.root() == merkle.root_of(LEAVES[:size])
    assert len(at_once.nodes) == size.bit_count()


@pytest.mark.parametrize("size", range(1, 70))
def test_consistency_is_proved_from_the_range_and_the_new_leaves_alone(size):
    for earlier in range(1, size + 1):
        before = CompactRange().extended(LEAVES[:earlier])
        path = before.consistency_path(LEAVES[earlier:size])
        assert path == merkle.consistency_path(LEAVES[:size], earlier)
        assert merkle.verify_consistency(earlier, before.root(), size, merkle.root_of(LEAVES[:size]), path)


def test_the_tree_of_nothing_proves_nothing():
    with pytest.raises(IndexError):
        CompactRange().consistency_path(LEAVES[:3])


def test_several_proofs_come_in_the_order_asked_for():
    paths = merkle.inclusion_paths(LEAVES, [69, 0, 33, 0])
    assert paths == [merkle.inclusion_path(LEAVES, index) for index in (69, 0, 33, 0)]
    for index, path in zip((69, 0, 33, 0), paths, strict=True):
        assert merkle.verify_inclusion(LEAVES[index], index, 70, path, merkle.root_of(LEAVES))
    with pytest.raises(IndexError):
        merkle.inclusion_paths(LEAVES, [3, 70])
