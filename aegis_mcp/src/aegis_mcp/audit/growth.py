"""How a log has grown between two sizes of its tree: proofs from the segments on the disk.

What is read is the part behind the old size, and before it at most one segment, once: the first entry of a segment has
the tree of all before it. Entries are not judged here: what they make up has to be the tree that was signed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from aegis_audit.archive import find_segments
from aegis_audit.checkpoint import Checkpoint
from aegis_audit.entry import Entry
from aegis_audit.errors import AuditError
from aegis_audit.segment import Segment
from aegis_audit.tree import CompactRange, extension_proof
from aegis_audit.value import Value
from aegis_mcp.audit.survey import hash_of, seq_of, tree_before
from aegis_mcp.errors import AnchorUnavailable

MOST_SECONDS: Final = 300.0
"""Seconds that a proof may take; a million entries take about two."""

_STEP: Final = 256
_SPOTS: Final = 4


class _Spot(Value):
    """Where the log, the file with this inode, goes on behind a tree."""

    inode: int
    offset: int
    tree: CompactRange


class Growth:
    """Proofs that a log has only grown; used by one thread."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._spots: dict[int, _Spot] = {}
        self._end = ("", 0)

    def prove(self, old: int, new: Checkpoint) -> tuple[bytes, ...]:
        """Return the consistency proof between the first `old` entries of a log and its checkpoint, the same or larger.

        Raises:
            AnchorUnavailable: the segments on the disk do not have it.
        """
        if old in {0, new.size}:
            return ()
        try:
            tree, segments = self._start(old, new.origin)
            leaves = self._leaves(segments, tree.size)
            tree = tree.extend(islice(leaves, old - tree.size))
            proof, grown = extension_proof(tree, leaves, new.size)
        except (AuditError, OSError) as exc:
            raise AnchorUnavailable(f"the log cannot be read from entry {old} on") from exc
        if grown.root() != new.root:
            self._spots.clear()
            raise AnchorUnavailable("the entries on the disk are not those that were signed")
        self._keep(grown)
        return proof

    def _start(self, old: int, origin: str) -> tuple[CompactRange, list[Segment]]:
        """Return a tree of at most `old` entries, and the segments with those behind it."""
        spot = self._spots.get(old)
        if spot and spot.inode == self._log.stat().st_ino:
            return spot.tree, [Segment(str(self._log), spot.offset)]
        found = sorted(self._openings(origin), key=lambda one: one[0].size)
        before = [at for at, (tree, _) in enumerate(found) if tree.size <= old]
        if not before:
            raise AnchorUnavailable(f"entry {old} is not on the disk any more")
        return found[before[-1]][0], [segment for _, segment in found[before[-1] :]]

    def _openings(self, origin: str) -> Iterator[tuple[CompactRange, Segment]]:
        """Yield the segments of the log that say which tree they go on from."""
        for segment in find_segments([str(self._log.parent)]):
            first = _first_entry(segment)
            if first and first.event.get("origin") == origin and (before := tree_before(first)):
                yield before[1], segment

    def _leaves(self, segments: list[Segment], seq: int) -> Iterator[bytes]:
        """Yield the leaves from entry `seq` on."""
        deadline = time.monotonic() + MOST_SECONDS
        for segment in segments:
            for number, line in enumerate(segment.lines()):
                if not number % _STEP:
                    _give_way(deadline)
                if line.is_whole and seq_of(line.raw) == seq:
                    self._end = segment.path, line.offset + line.length
                    yield bytes.fromhex(hash_of(line.raw))
                    seq += 1

    def _keep(self, tree: CompactRange) -> None:
        """Remember where the log goes on, so that the next proof begins there."""
        path, offset = self._end
        if path == str(self._log):
            self._spots[tree.size] = _Spot(self._log.stat().st_ino, offset, tree)
            for size in sorted(self._spots)[:-_SPOTS]:
                del self._spots[size]


def _first_entry(segment: Segment) -> Entry | None:
    with suppress(AuditError):  # what is no segment of ours is passed over
        return next((line.parse() for line in segment.lines()), None)
    return None


def _give_way(deadline: float) -> None:
    """Let the gate go first, and end what takes too long."""
    time.sleep(0)
    if time.monotonic() > deadline:
        raise AnchorUnavailable(f"a proof that takes longer than {MOST_SECONDS:g} s")
