"""The Merkle tree over all entries of a log (RFC 6962 §2.1, RFC 9162 §2.1).

A leaf is an `entry_hash` in 32 bytes: that is the RFC 6962 leaf hash of its entry already, so nothing is hashed twice.
A tree of any size is held as its compact range, and every proof is made in one pass over the leaves: memory grows with
the number of their binary digits.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import Final, NamedTuple

from aegis_audit.errors import Unprovable

HASH_SIZE: Final = 32
MAX_PROOF: Final = 64
"""The longest proof that is looked at: a tree of 2^64 leaves has none longer."""

_NODE: Final = b"\x01"
_BEGUN: Final = sha256(_NODE)
_ROW: Final = 1024
"""Leaves of a long run that are taken in at once."""


class CompactRange(NamedTuple):
    """The perfect subtrees, left to right, that the leaves `start` to `size` - 1 of a log make up.

    `hashes` has at most 64 of them where `start` is 0, which is what a whole tree has, and twice as many elsewhere.
    """

    size: int
    hashes: tuple[bytes, ...]
    start: int = 0

    def append(self, leaf: bytes) -> CompactRange:
        """Return the range with one leaf more, in 32 bytes."""
        return CompactRange(self.size + 1, _push(self.hashes, leaf, self.size, 0, self.start), self.start)

    def extend(self, leaves: Iterable[bytes]) -> CompactRange:
        """Return the range with all these leaves more: row by row, which is much quicker than one by one."""
        grown, rest = self, iter(leaves)
        while row := list(islice(rest, _ROW)):
            grown = _extended(grown, row)
        return grown

    def join(self, right: CompactRange) -> CompactRange:
        """Return both ranges as one.

        Raises:
            ValueError: `right` does not begin where this one ends.
        """
        if right.start != self.size:
            raise ValueError(f"a range from {self.size}, not from {right.start}")
        hashes, at = self.hashes, right.start
        for level, node in zip(_levels(right.start, right.size), right.hashes, strict=True):
            hashes = _push(hashes, node, at >> level, level, self.start)
            at += 1 << level
        return CompactRange(right.size, hashes, self.start)

    def root(self) -> bytes:
        """Return the root of the tree that these leaves make up: that of the log if `start` is 0."""
        if not self.hashes:
            return sha256().digest()
        *lefts, root = self.hashes
        for left in reversed(lefts):
            root = _parent(left, root)
        return root

    def encode(self) -> bytes:
        """Return the hashes in a row: with the size, all that is needed to go on."""
        return b"".join(self.hashes)

    @classmethod
    def decode(cls, size: int, data: bytes) -> CompactRange:
        """Read what `encode` returned for a range that starts at 0.

        Raises:
            ValueError: a tree of this size has not so many hashes.
        """
        if size < 0 or len(data) != HASH_SIZE * size.bit_count():
            raise ValueError(f"{len(data)} bytes for a tree of {size} leaves")
        return cls(size, tuple(data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)))


EMPTY: Final = CompactRange(0, ())
"""The tree without leaves."""


class GrowingRange:
    """A range that is given a few leaves at a time, and takes them in when there are many or when it is asked for."""

    __slots__ = ("_taken", "_waiting")

    def __init__(self, taken: CompactRange) -> None:
        self._taken = taken
        self._waiting: list[bytes] = []

    def __eq__(self, other: object) -> bool:
        """Tell whether both are the same range."""
        return isinstance(other, GrowingRange) and self.compact() == other.compact()

    def __hash__(self) -> int:
        raise TypeError("a range that grows has no hash")

    @property
    def size(self) -> int:
        """Return how many leaves there are, those before the start included."""
        return self._taken.size + len(self._waiting)

    @property
    def start(self) -> int:
        """Return the number of the first leaf."""
        return self._taken.start

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaves."""
        self._waiting += leaves
        if len(self._waiting) >= _ROW:
            self.compact()

    def compact(self) -> CompactRange:
        """Return the range with all leaves."""
        if self._waiting:
            self._taken = self._taken.extend(self._waiting)
            self._waiting.clear()
        return self._taken


def inclusion_proof(leaves: Iterable[bytes], index: int, size: int) -> tuple[bytes, ...]:
    """Return the proof that the leaf `index` is in the tree of the first `size` leaves (RFC 9162 §2.1.3.1).

    Raises:
        Unprovable: there is no such leaf, or there are not so many.
    """
    if not 0 <= index < size:
        raise Unprovable(f"a tree of {size} entries has no entry {index}")
    spans: list[tuple[int, int]] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        is_left = index < middle
        spans.append((middle, high) if is_left else (low, middle))
        low, high = (low, middle) if is_left else (middle, high)
    return _proof(leaves, spans[::-1], size)


def consistency_proof(leaves: Iterable[bytes], old_size: int, new_size: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of `new_size` leaves extends that of `old_size` (RFC 9162 §2.1.4.1).

    Raises:
        Unprovable: the old tree is empty or larger than the new one, or there are not so many leaves.
    """
    return _proof(leaves, _growth(old_size, new_size), new_size)


def extension_proof(
    old: CompactRange, leaves: Iterable[bytes], new_size: int
) -> tuple[tuple[bytes, ...], CompactRange]:
    """Return the same proof from the old tree and the leaves behind it alone, and the new tree.

    Raises:
        Unprovable: as `consistency_proof` does.
    """
    spans = _growth(old.size, new_size)
    # What the proof has of the old tree is all of its perfect subtrees, or nothing if it is one itself.
    roots = dict(zip(sorted(span for span in spans if span[1] <= old.size), old.hashes, strict=False))
    grown, rest = old, iter(leaves)
    for low, high in sorted(span for span in spans if span[1] > old.size):
        part = CompactRange(low, (), low).extend(islice(rest, high - low))
        if part.size != high:
            raise Unprovable(f"a proof in a tree of {new_size} entries needs them all, and there are {part.size}")
        roots[low, high], grown = part.root(), grown.join(part)
    return tuple(roots[span] for span in spans), grown


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether the proof shows that `leaf` is number `index` of the tree (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size or not _is_proof(proof):
        return False
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if not last:
            return False
        if node & 1 or node == last:
            found = _parent(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = _parent(found, sibling)
        node, last = node >> 1, last >> 1
    return not last and hmac.compare_digest(found, root)


def is_consistent(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether the proof shows that the new tree extends the old one (RFC 9162 §2.1.4.2).

    Every tree extends the empty one; a tree extends itself without a proof.
    """
    if not 0 <= old_size <= new_size or not _is_proof(proof):
        return False
    if old_size == new_size:
        return not proof and hmac.compare_digest(old_root, new_root)
    if not old_size:
        return not proof and hmac.compare_digest(old_root, EMPTY.root())
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path:
        return False
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if not last:
            return False
        if node & 1 or node == last:
            old, new = _parent(sibling, old), _parent(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = _parent(new, sibling)
        node, last = node >> 1, last >> 1
    return not last and hmac.compare_digest(old, old_root) and hmac.compare_digest(new, new_root)


def _parent(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


def _split(size: int) -> int:
    """Return the largest power of two below `size`, which is 2 or more: where a tree of that size divides."""
    return 1 << ((size - 1).bit_length() - 1)


def _push(hashes: tuple[bytes, ...], node: bytes, index: int, level: int, start: int) -> tuple[bytes, ...]:
    """Return the hashes with `node` more, number `index` of its level, joined with all that it completes."""
    count = len(hashes)
    while index & 1 and (index - 1) << level >= start:
        count -= 1
        node = sha256(_NODE + hashes[count] + node).digest()
        index, level = index >> 1, level + 1
    return (*hashes[:count], node)


def _extended(grown: CompactRange, row: list[bytes]) -> CompactRange:
    size, index, level = grown.size + len(row), grown.size, 0
    old, edge, kept = list(grown.hashes), list[bytes](), list[bytes]()
    while row:
        if index & 1 and (index - 1) << level >= grown.start:
            row.insert(0, old.pop())
        elif index & 1:  # its sibling is before the start
            edge.append(row.pop(0))
            index += 1
        if len(row) & 1:
            kept.append(row.pop())
        row = _parents(row)
        index, level = index >> 1, level + 1
    return CompactRange(size, (*old, *edge, *reversed(kept)), grown.start)


def _parents(row: list[bytes]) -> list[bytes]:
    """Return the parents of an even number of nodes."""
    begin, parents = _BEGUN.copy, list[bytes]()
    for left, right in zip(row[::2], row[1::2], strict=True):
        node = begin()  # in less time than a new hash, and both need not be put together first
        node.update(left)
        node.update(right)
        parents.append(node.digest())
    return parents


def _growth(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """Return the spans of leaves whose roots show that a tree extends another, in the order of the proof."""
    if not 0 < old_size <= new_size:
        raise Unprovable(f"no tree of {new_size} entries extends one of {old_size} by a proof")
    spans: list[tuple[int, int]] = []
    low, high = 0, new_size
    while high != old_size:
        middle = low + _split(high - low)
        is_left = old_size <= middle
        spans.append((middle, high) if is_left else (low, middle))
        low, high = (low, middle) if is_left else (middle, high)
    if low:  # else the old tree is a subtree of the new one, and its root is known
        spans.append((low, high))
    return spans[::-1]


def _levels(start: int, size: int) -> Iterator[int]:
    """Yield the heights of the perfect subtrees, left to right, that these leaves make up."""
    while start < size:
        widest = (size - start).bit_length() - 1
        level = min(widest, (start & -start).bit_length() - 1) if start else widest
        yield level
        start += 1 << level


def _proof(leaves: Iterable[bytes], spans: list[tuple[int, int]], size: int) -> tuple[bytes, ...]:
    """Return the roots of these spans, which do not touch each other, in the order in which they are given."""
    rest, at = iter(leaves), 0
    roots: dict[tuple[int, int], bytes] = {}
    for low, high in sorted(spans):
        at += sum(1 for _ in islice(rest, low - at))
        tree = EMPTY.extend(islice(rest, high - low))
        roots[low, high], at = tree.root(), at + tree.size
    at += sum(1 for _ in islice(rest, size - at))
    if at != size:
        raise Unprovable(f"a proof in a tree of {size} entries needs them all, and there are {at}")
    return tuple(roots[span] for span in spans)


def _is_proof(proof: Sequence[bytes]) -> bool:
    return len(proof) <= MAX_PROOF and all(len(node) == HASH_SIZE for node in proof)
