"""All runs of all segments, put together by their content: numbers and links, never names and dates.

Neighbours by number have to be linked; what no segment holds is missing; what several hold has to be equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from aegis_audit.checks.overlap import Likeness, compare, is_cut_copy
from aegis_audit.checks.run import Run
from aegis_audit.entry import ZERO_HASH
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.value import replace


@dataclass(frozen=True, slots=True)
class Log:
    """The runs of one log in the order of their numbers."""

    origin: str | None
    runs: tuple[Run, ...]

    @property
    def last(self) -> Run:
        """Return the run that ends with the last entry."""
        return max(self.runs, key=lambda run: run.last_seq)

    @property
    def held(self) -> list[range]:
        """Return the numbers of the entries of each run."""
        return [range(run.first_seq, run.last_seq + 1) for run in self.runs]

    @property
    def count(self) -> int:
        """Count the entries, those that stand in several runs once."""
        return self.count_without(())

    def count_without(self, ranges: Iterable[range]) -> int:
        """Count the entries, each once, whose numbers are in none of these ranges."""
        return _size([*self.held, *ranges]) - _size(ranges)

    def holds_any_of(self, numbers: range) -> bool:
        """Tell whether one of these entries is there."""
        return any(run.first_seq < numbers.stop and run.last_seq >= numbers.start for run in self.runs)

    def holds_all_of(self, numbers: range) -> bool:
        """Tell whether each of these entries is there."""
        return self.count_without([numbers]) == self.count - len(numbers)

    def gap_after(self, seq: int) -> range:
        """Return the numbers behind this one that are not there, up to the next that is; nothing if none is."""
        after = [run.first_seq for run in self.runs if run.last_seq > seq]
        return range(seq + 1, min(after, default=seq + 1))


def _size(ranges: Iterable[range]) -> int:
    """Count the numbers that are in any of these ranges."""
    count, end = 0, 0
    for one in sorted(ranges, key=lambda one: one.start):
        count += max(0, one.stop - max(end, one.start))
        end = max(end, one.stop)
    return count


def split_by_log(segments: Sequence[Sequence[Run]]) -> list[Log]:
    """Tell to which log each run belongs, and return the logs in the order of their origins.

    A run says so itself, or is linked to one that does, or stands in one segment with it.
    """
    runs = sorted((run for segment in segments for run in segment), key=lambda run: (run.first_seq, run.last_seq))
    _spread_along_links(runs)
    for segment in segments:
        _spread_within(segment)
    origins = sorted({run.origin for run in runs if run.origin is not None})
    if len(origins) == 1:
        for run in runs:
            run.origin = origins[0]
    logs = [Log(origin, tuple(run for run in runs if run.origin == origin)) for origin in (*origins, None)]
    return [log for log in logs if log.runs]


def _spread_along_links(runs: Sequence[Run]) -> None:
    ends: dict[tuple[int, str], str] = {}
    for run in runs:
        run.origin = run.origin or ends.get((run.first_seq, run.first_prev_hash))
        if run.origin:
            ends |= {(run.last_seq + 1, head.entry_hash): run.origin for head in run.heads}
    starts: dict[tuple[int, str], str] = {}
    for run in reversed(runs):
        follower = (starts.get((run.last_seq + 1, head.entry_hash)) for head in run.heads)
        run.origin = run.origin or next(filter(None, follower), None)
        if run.origin and run.first_prev_hash != ZERO_HASH:
            starts[run.first_seq, run.first_prev_hash] = run.origin


def _spread_within(segment: Sequence[Run]) -> None:
    for order in (segment, segment[::-1]):
        origin: str | None = None
        for run in order:
            run.origin = origin = run.origin or origin


def check_joints(log: Log, lost: Iterable[range]) -> Iterator[Finding]:
    """Yield what is wrong between the runs of one log; `lost` are numbers that the writer has recorded as lost."""
    widest = log.runs[0]
    for run in log.runs[1:]:
        if run.first_seq > widest.last_seq + 1:
            yield from _check_gap(widest, run, lost)
        elif run.first_seq == widest.last_seq + 1:
            yield from _check_link(widest, run)
        elif run.place.path != widest.place.path or run.is_replay or widest.is_replay:
            yield from _check_overlap(widest, run)
        if run.last_seq > widest.last_seq:
            widest = run


def _check_gap(before: Run, after: Run, lost: Iterable[range]) -> Iterator[Finding]:
    if before.has_damage_after or after.has_damage_before:
        return  # what is missing stands there, and cannot be read
    for missing in _without(range(before.last_seq + 1, after.first_seq), lost):
        place = Place(after.place.path, after.place.line, after.place.offset, missing.start)
        expected = f"entries {missing.start} to {missing[-1]}"
        found = f"entry {after.first_seq} next after entry {before.last_seq}"
        yield Finding(FindingCode.MISSING_RANGE, place, expected, found, missing)


def _without(missing: range, lost: Iterable[range]) -> Iterator[range]:
    """Yield what is left of a range without the ranges `lost`."""
    start = missing.start
    for known in sorted(lost, key=lambda known: known.start):
        if known.stop <= start or known.start >= missing.stop:
            continue
        if known.start > start:
            yield range(start, known.start)
        start = known.stop
    if start < missing.stop:
        yield range(start, missing.stop)


def _check_link(before: Run, after: Run) -> Iterator[Finding]:
    if after.first_timestamp < before.last_timestamp:
        expected = f"not before {before.last_timestamp}"
        yield Finding(FindingCode.CLOCK_STEP, after.place, expected, after.first_timestamp)
    if after.is_suspect or after.first_prev_hash in {head.entry_hash for head in before.heads}:
        return
    yield Finding(FindingCode.BROKEN_LINK, after.place, f"prev_hash {before.last_hash}", after.first_prev_hash)


def _check_overlap(widest: Run, run: Run) -> Iterator[Finding]:
    likeness, at = compare(widest, run)
    place = run.place
    both = f"entries {run.first_seq} to {at}"
    match likeness:
        case Likeness.EQUAL:
            yield Finding(FindingCode.OVERLAP, place, both, f"the same in {widest.place.path}")
        case Likeness.UNEQUAL:
            found = f"another one in {widest.place.path}"
            yield Finding(FindingCode.EQUIVOCATION, Place(place.path, None, None, at), f"one entry {at}", found)
        case Likeness.UNKNOWN:
            found = f"a segment that cannot be read twice to compare it with {widest.place.path}"
            yield Finding(FindingCode.UNREADABLE, place, both, found)


def check_torn(finding: Finding, before: Run, log: Log, earlier: Sequence[range]) -> Finding:
    """Return what a torn end behind a run is; `earlier` are numbers of entries that were verified before.

    A copy that was made while somebody wrote ends anywhere. If the entry stands whole in another segment, nothing is
    missing.
    """
    seq, fragment = before.last_seq + 1, finding.fragment
    others = (run for run in log.runs if run.place.path != before.place.path and run.first_seq <= seq <= run.last_seq)
    if fragment and (whole := next((run for run in others if is_cut_copy(fragment, before, run)), None)):
        where = f"the whole of it in {whole.place.path}"
    elif fragment and any(seq in numbers for numbers in earlier):
        where = "the whole of it was verified before"
    else:
        missing = next(_without(log.gap_after(before.last_seq), earlier), None)
        return finding.spoiling(missing) if missing else finding
    before.has_damage_after = False  # so that what is missing behind this entry is missed
    place = replace(finding.place, seq=seq)
    return Finding(FindingCode.OVERLAP, place, f"entry {seq}", f"its first {fragment.length} bytes; {where}")
