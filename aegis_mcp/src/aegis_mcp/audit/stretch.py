"""Entries that stand together behind a mark: whoever appends one after the other needs no mark for each."""

from __future__ import annotations

from aegis_audit.chain import Head
from aegis_audit.mark import Mark


class Stretch:
    """So many entries behind `since`: `head`, `offset` and `ring` are those of the mark behind them."""

    __slots__ = ("_hashes", "count", "head", "offset", "ring", "since")

    def __init__(self, since: Mark) -> None:
        self.since = since
        self.head = since.head
        self.offset = since.offset
        self.ring = since.ring
        self.count = 0
        self._hashes: list[str] = []

    def add(self, head: Head, hashes: list[str], size: int) -> None:
        """Take in entries with these hashes, of so many bytes with what stands around them; `head` is the last."""
        self.head = head
        self.offset += size
        self.ring += size
        self.count += len(hashes)
        self._hashes += hashes

    def mark(self) -> Mark:
        """Return the mark behind it."""
        since = self.since
        tree = since.tree and since.tree.extend(map(bytes.fromhex, self._hashes))
        return since.succeed(self.head, tree, self.offset - since.offset)
