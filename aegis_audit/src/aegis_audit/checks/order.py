"""The runs of one segment among each other: what stands there twice, and what stands in the wrong order.

Pieces that were put together in another order are no contradiction as long as each begins with the entry that opens
a segment. Entries of one segment that are out of order, or stand twice without having been announced, are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from aegis_audit.checks.overlap import Likeness, compare
from aegis_audit.checks.run import Run
from aegis_audit.finding import Finding, FindingCode

MAX_COMPARISONS: Final = 8
"""Overlaps in one segment that are looked at; every one is tampering, and the comparison only says of which kind."""


def check_order(runs: Sequence[Run]) -> Iterator[Finding]:
    """Yield what is wrong among the runs of one log in one segment, given in the order in which they stand there."""
    ordered = [run for run in runs if not run.is_replay]
    twice = list(_overlaps(ordered))
    for count, (one, other) in enumerate(twice):
        yield _twice(one, other, is_looked_at=count < MAX_COMPARISONS)
    known = {_line(run) for pair in twice for run in pair}
    for expected, run in sorted(_inversions(ordered), key=lambda inversion: _line(inversion[1])):
        if _line(run) not in known:
            known.add(_line(run))
            found = f"entry {run.first_seq}"
            yield Finding(FindingCode.REORDERED, run.place, f"no entry before entry {expected}", found)


def _overlaps(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Yield pairs of runs that hold the same numbers, each pair in the order in which it stands there."""
    widest: Run | None = None
    for run in sorted(runs, key=_first_seq):
        if widest and run.first_seq <= widest.last_seq:
            yield (widest, run) if _line(widest) < _line(run) else (run, widest)
        if widest is None or run.last_seq > widest.last_seq:
            widest = run


def _inversions(runs: Sequence[Run]) -> Iterator[tuple[int, Run]]:
    """Yield each run that stands too late, with the number before which it belongs."""
    for before, run in pairwise(runs):
        if run.first_seq < before.last_seq and not run.is_opening:
            yield before.last_seq, run
    for run, after in pairwise(sorted(runs, key=_first_seq)):
        if _line(after) < _line(run) and not after.is_opening:
            yield after.first_seq, run


def check_interruptions(runs: Sequence[Run]) -> Iterator[Finding]:
    """Yield where a log goes on behind entries of another log without the entry that opens a segment."""
    for before, run in pairwise(run for run in runs if not run.is_replay):
        if run.origin != before.origin and not run.is_opening:
            expected = f"an entry of {before.origin!r:.100}"
            found = f"an entry of {run.origin!r:.100}"
            yield Finding(FindingCode.BROKEN_LINK, run.place, expected, found)


def _twice(first: Run, second: Run, *, is_looked_at: bool) -> Finding:
    likeness, at = compare(first, second) if is_looked_at else (Likeness.UNKNOWN, second.first_seq)
    if likeness is Likeness.UNEQUAL:
        expected, found = f"one entry {at}", f"another one than behind line {_line(first)}"
        return Finding(FindingCode.EQUIVOCATION, second.place, expected, found)
    expected, found = f"entries after {first.last_seq}", f"entries {second.first_seq} to {second.last_seq} again"
    return Finding(FindingCode.DUPLICATED, second.place, expected, found)


def _first_seq(run: Run) -> int:
    return run.first_seq


def _line(run: Run) -> int:
    return run.place.line or 0
