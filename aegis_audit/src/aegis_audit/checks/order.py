"""The runs of one segment among each other: what stands there twice, and what stands in the wrong order.

Pieces that were put together in another order are no contradiction as long as each begins with the entry that opens
a segment. Entries of one segment that are out of order, or stand twice without having been announced, are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Sequence
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
    overlaps = list(_overlaps(ordered))
    for count, (first, second) in enumerate(overlaps):
        yield _twice(first, second, is_looked_at=count < MAX_COMPARISONS)
    # What one move has put out of order gives one finding, and what stands twice is no move.
    known = {_line(run) for overlap in overlaps for run in overlap}
    for check in (_backwards, _inversions, _interruptions):
        for finding in list(check(ordered, known)):
            if finding.place.line not in known:
                known.add(finding.place.line or 0)
                yield finding


def _overlaps(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Yield pairs of runs that hold the same numbers, each pair in the order in which it stands there."""
    widest: Run | None = None
    for run in sorted(runs, key=_first_seq):
        if widest and run.first_seq <= widest.last_seq:
            yield (widest, run) if _line(widest) < _line(run) else (run, widest)
        if widest is None or run.last_seq > widest.last_seq:
            widest = run


def _backwards(runs: Sequence[Run], _: Container[int]) -> Iterator[Finding]:
    """Yield where the numbers go back to an entry that does not open a segment."""
    for before, run in pairwise(runs):
        if run.first_seq < before.last_seq and not run.is_opening:
            yield _reordered(run, f"entry {before.last_seq + 1}", f"entry {run.first_seq}")


def _inversions(runs: Sequence[Run], _: Container[int]) -> Iterator[Finding]:
    """Yield what stands behind its own successor, which does not open a segment."""
    for run, after in pairwise(sorted(runs, key=_first_seq)):
        if _line(after) < _line(run) and not after.is_opening:
            yield _reordered(
                run, f"entry {run.first_seq} before entry {after.first_seq}", f"it behind line {_line(after)}"
            )


def _interruptions(runs: Sequence[Run], known: Container[int]) -> Iterator[Finding]:
    """Yield what follows its predecessor behind something else that nothing has been found about."""
    lines = [_line(run) for run in runs]
    for before, run in pairwise(sorted(runs, key=_first_seq)):
        if run.is_opening or run.first_seq != before.last_seq + 1:
            continue
        between = lines[bisect_right(lines, _line(before)) : bisect_left(lines, _line(run))]
        if between and not any(line in known for line in between):
            expected = f"entry {run.first_seq} right behind entry {before.last_seq}"
            yield _reordered(run, expected, "other entries between them")


def _reordered(run: Run, expected: str, found: str) -> Finding:
    return Finding(FindingCode.REORDERED, run.place, expected, found)


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
