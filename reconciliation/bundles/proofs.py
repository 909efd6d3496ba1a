"""Inclusion proofs of one log under any of its roots, at the price of hashing the log once (RFC 6962 §2.1.1)."""

from collections.abc import Sequence

from core.merkle import node_hash


class Forest:
    """All full subtrees over these leaf hashes. A tree of any size up to theirs is made of them."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels: list[Sequence[bytes]] = [leaves]
        while len(level := self._levels[-1]) > 1:
            self._levels.append([node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)])

    def path(self, index: int, size: int) -> list[bytes]:
        """The proof that leaf `index` (from 0) is in the tree over the first `size`, bottom first.

        :raises IndexError: if there is no such leaf, or no such tree.
        """
        if not 0 <= index < size <= len(self._levels[0]):
            raise IndexError(index)
        path, start, end = [], 0, size
        while end - start > 1:
            split = _split(start, end)
            if index < split:
                path.append(self._root(split, end))
                end = split
            else:
                path.append(self._root(start, split))
                start = split
        return path[::-1]

    def _root(self, start: int, end: int) -> bytes:
        """`start` is a multiple of a power of two that is not less than the number of leaves."""
        height = (end - start).bit_length() - 1
        if end - start == 1 << height:
            return self._levels[height][start >> height]
        split = _split(start, end)
        return node_hash(self._root(start, split), self._root(split, end))


def _split(start: int, end: int) -> int:
    return start + (1 << (end - start - 1).bit_length() - 1)
