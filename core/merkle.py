"""Merkle trees of RFC 6962 §2.1 with SM3: roots, and proofs that a leaf is in a tree or one tree begins another.

Leaves are hashed with a byte 0 before them and nodes with a byte 1, so that neither can be taken for the other. All
functions take *leaf hashes* (`leaf_hash`), 32 bytes each; proofs are lists of hashes, bottom first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.digests import sm3

EMPTY = sm3(b"")


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf's content."""
    return sm3(b"\0" + data)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sm3(b"\1" + left + right)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes; SM3 of nothing if there are none."""
    if not leaves:
        return EMPTY
    level = list(leaves)
    while len(level) > 1:  # an odd one out moves up unchanged, which is the split of RFC 6962 at every level
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The proof that leaf `index` (from 0) is in the tree over `leaves`. Source: RFC 6962 §2.1.1.

    :raises IndexError: if there is no such leaf.
    """
    return inclusion_paths(leaves, [index])[0]


def inclusion_paths(leaves: Sequence[bytes], indexes: Iterable[int] | None = None) -> list[list[bytes]]:
    """The proofs of these leaves, in the order asked for, or of all of them, at the price of one tree.

    :raises IndexError: if there is no such leaf.
    """
    wanted = list(range(len(leaves)) if indexes is None else indexes)
    if any(not 0 <= index < len(leaves) for index in wanted):
        raise IndexError(wanted)
    paths: list[list[bytes]] = [[] for _ in wanted]
    level, height = list(leaves), 0
    while len(level) > 1:
        for index, path in zip(wanted, paths, strict=True):
            sibling = index >> height ^ 1
            if sibling < len(level):
                path.append(level[sibling])
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level, height = paired + level[len(paired) * 2 :], height + 1
    return paths


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the path proves that this leaf hash is number `index` (from 0) of `size` under `root`."""
    if not 0 <= index < size:
        return False
    last, current, rest = size - 1, leaf, list(path)
    while last:
        if index & 1:
            if not rest:
                return False
            current = node_hash(rest.pop(0), current)
        elif index < last:
            if not rest:
                return False
            current = node_hash(current, rest.pop(0))
        index, last = index >> 1, last >> 1
    return not rest and current == root


def consistency_path(leaves: Sequence[bytes], earlier: int) -> list[bytes]:
    """The proof that the tree over `leaves` begins with the tree over the first `earlier`. Source: RFC 6962 §2.1.2.

    :raises IndexError: unless 0 < earlier <= len(leaves).
    """
    if not 0 < earlier <= len(leaves):
        raise IndexError(earlier)
    return _subproof(leaves, earlier, whole=True)


def _subproof(leaves: Sequence[bytes], earlier: int, *, whole: bool) -> list[bytes]:
    size = len(leaves)
    if earlier == size:
        return [] if whole else [root_of(leaves)]
    split = 1 << (size - 1).bit_length() - 1
    if earlier <= split:
        return [*_subproof(leaves[:split], earlier, whole=whole), root_of(leaves[split:])]
    return [*_subproof(leaves[split:], earlier - split, whole=False), root_of(leaves[:split])]


def verify_consistency(earlier: int, earlier_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the path proves that the tree of `size` under `root` begins with that of `earlier`. RFC 9162 §2.1.4.2."""
    if not 0 < earlier <= size:
        return False
    if earlier == size:
        return not path and earlier_root == root
    rest = list(path)
    if earlier & (earlier - 1) == 0:  # a full tree is its own first node
        rest.insert(0, earlier_root)
    if not rest:
        return False
    first, second = earlier - 1, size - 1
    while first & 1:
        first, second = first >> 1, second >> 1
    old = new = rest.pop(0)
    for node in rest:
        if second == 0:
            return False
        if first & 1 or first == second:
            old, new = node_hash(node, old), node_hash(node, new)
            while first and not first & 1:
                first, second = first >> 1, second >> 1
        else:
            new = node_hash(new, node)
        first, second = first >> 1, second >> 1
    return second == 0 and old == earlier_root and new == root


@dataclass(frozen=True)
class CompactRange:
    """A tree's first `size` leaves, reduced to the roots of its full subtrees, largest first: enough to go on from.

    Holds at most one hash for each bit of `size`, so a log of any length is extended, rooted and proved consistent
    with the new leaves alone.
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def extended(self, leaves: Iterable[bytes]) -> "CompactRange":
        """The range after these further leaf hashes."""
        size, nodes = self.size, list(self.nodes)
        for leaf in leaves:
            rest, node = size, leaf
            while rest & 1:  # two full trees of the same height become one
                node, rest = node_hash(nodes.pop(), node), rest >> 1
            nodes.append(node)
            size += 1
        return CompactRange(size, tuple(nodes))

    def root(self) -> bytes:
        """The root over all leaves so far, the same as `root_of` gives."""
        if not self.nodes:
            return EMPTY
        root = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            root = node_hash(node, root)
        return root

    def consistency_path(self, further: Sequence[bytes]) -> list[bytes]:
        """The proof that the tree with these further leaf hashes begins with this one, as `consistency_path` gives.

        Whatever such a proof takes from the earlier tree is one of the nodes kept here.

        :raises IndexError: for the tree of nothing, which proves nothing.
        """
        if not self.size:
            raise IndexError(0)
        earlier, starts, start = self.size, {}, 0
        for node, bit in zip(self.nodes, _bits(earlier), strict=True):
            starts[start] = node
            start += bit

        def proof(start: int, end: int, *, whole: bool) -> list[bytes]:
            if end == earlier:
                return [] if whole else [starts[start]]
            split = start + (1 << (end - start - 1).bit_length() - 1)
            if earlier <= split:
                return [*proof(start, split, whole=whole), root_of(further[split - earlier : end - earlier])]
            return [*proof(split, end, whole=False), starts[start]]

        return proof(0, earlier + len(further), whole=True)


def _bits(number: int) -> list[int]:
    """The powers of two that add up to `number`, largest first."""
    return [1 << place for place in range(number.bit_length() - 1, -1, -1) if number >> place & 1]
