"""Verification: from paths to a report.

Each segment is read on its own, in any order; then all of them are judged together by their content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aegis_audit.archive import find_segments
from aegis_audit.checks.ends import End, check_end, compare_end, known_from
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.join import Log, check_joints, split_by_log
from aegis_audit.checks.known import Known, check_heads
from aegis_audit.checks.order import check_interruptions, check_order
from aegis_audit.checks.pairing import unpaired
from aegis_audit.checks.scan import Scan, scan
from aegis_audit.demand import NOTHING_DEMANDED, Demands
from aegis_audit.errors import EmptyDirectory
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.report import ASSURANCE, LogReport, Report, SegmentReport, SidecarReport
from aegis_audit.shape import Shapes
from aegis_audit.sidecar import Sidecar
from aegis_audit.verdict import worst


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of the logs from outside of them.

    `heads` are entries that they hold for certain; `sidecars` were read before the logs; `booted` is when the machine
    was started, in nanoseconds since the epoch, None if that cannot be told.
    """

    heads: tuple[Known, ...] = ()
    sidecars: tuple[Sidecar, ...] = ()
    booted: int | None = None

    @property
    def known(self) -> list[Known]:
        """Return every entry that is known."""
        return [*self.heads, *filter(None, map(known_from, self.sidecars))]


NOTHING_KNOWN: Final = Knowledge()


def verify(
    paths: Iterable[str],
    demands: Demands = NOTHING_DEMANDED,
    knowledge: Knowledge = NOTHING_KNOWN,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Verify the segments at `paths`, as `find_segments` takes them, and say what was found.

    A path at which there is nothing is never accepted. `progress` is called with the bytes of each step, as many as
    are on the disk.
    """
    found, shapes = Findings(), Shapes()
    segments = find_segments(paths)
    watched = frozenset(known.head.seq for known in knowledge.known)
    scans = [scan(segment, found, shapes, watched=watched, progress=progress) for segment in segments]
    logs = split_by_log([one.runs for one in scans])
    ends = [compare_end(sidecar, logs) for sidecar in knowledge.sidecars]
    found.add_all(_between(scans, logs))
    found.add_all(_demanded(logs, demands))
    found.add_all(_nothing(scans, is_anything_known=bool(found.counts), allow_empty=demands.allow_empty))
    found.add_all(check_heads(knowledge.heads, logs))
    for end in ends:
        found.add_all(check_end(end, logs, [segment.path for segment in segments], knowledge.booted))
    return _report(scans, logs, ends, found)


def _between(scans: Sequence[Scan], logs: Sequence[Log]) -> Iterator[Finding]:
    lost = [missing for one in scans for missing in one.lost]
    for one in scans:
        yield from check_interruptions(one.runs)
        for log in logs:
            yield from check_order([run for run in one.runs if run.origin == log.origin])
    for log in logs:
        yield from check_joints(log, lost)
    yield from unpaired([one.pairing for one in scans])
    for log in logs[1:]:
        found = f"{log.origin!r:.200}"
        yield Finding(FindingCode.SEVERAL_LOGS, log.runs[0].place, f"segments of {logs[0].origin!r:.200}", found)


def _demanded(logs: Sequence[Log], demands: Demands) -> Iterator[Finding]:
    code = FindingCode.MISSING_START if demands.from_genesis else FindingCode.PARTIAL_LOG
    for log in logs:
        first, last = log.runs[0], log.last
        if first.first_seq:
            yield Finding(code, first.place, "entry 0", f"entry {first.first_seq}")
        if demands.not_before and last.last_timestamp < demands.not_before:
            place = Place(last.place.path, seq=last.last_seq)
            yield Finding(FindingCode.TOO_OLD, place, f"an entry since {demands.not_before}", last.last_timestamp)
    count = sum(log.count for log in logs)
    if count < demands.min_records:
        place = logs[0].runs[0].place if logs else Place("")
        yield Finding(FindingCode.TOO_FEW, place, f"{demands.min_records} entries", f"{count} entries")


def _nothing(scans: Sequence[Scan], *, is_anything_known: bool, allow_empty: bool) -> Iterator[Finding]:
    """Yield what was named and is not there, and that nothing is there at all."""
    absences = [one.absence for one in scans if one.absence]
    for absence in absences:
        if not (allow_empty and isinstance(absence, EmptyDirectory)):
            yield Finding(FindingCode.NO_ENTRIES, Place(absence.path), "a segment", absence.reason)
    if not (absences or is_anything_known or allow_empty or any(one.entries for one in scans)):
        yield Finding(FindingCode.NO_ENTRIES, Place(scans[0].segment.path if scans else ""), "entries", "none")


def _report(scans: Sequence[Scan], logs: Sequence[Log], ends: Sequence[End], found: Findings) -> Report:
    return Report(
        verdict=worst(code.verdict for code in found.counts),
        findings=found.kept(),
        counts=dict(found.counts),
        entries=sum(one.entries for one in scans),
        size=sum(one.size for one in scans),
        segments=tuple(_segment_report(one) for one in scans),
        logs=tuple(_log_report(log, scans) for log in logs),
        sidecars=tuple(_sidecar_report(end) for end in ends),
    )


def _segment_report(one: Scan) -> SegmentReport:
    first = min((run.first_seq for run in one.runs), default=None)
    last = max((run.last_seq for run in one.runs), default=None)
    return SegmentReport(one.segment.path, one.entries, one.size, first, last)


def _log_report(log: Log, scans: Sequence[Scan]) -> LogReport:
    sessions = set[str]().union(*(one.sessions for one in scans if any(run.origin == log.origin for run in one.runs)))
    entries = log.count
    return LogReport(
        origin=log.origin,
        entries=entries,
        sessions=len(sessions),
        first_seq=log.runs[0].first_seq,
        last_seq=log.last.last_seq,
        head_hash=log.last.last_hash,
        assurance=ASSURANCE,
        uncovered=entries,
    )


def _sidecar_report(end: End) -> SidecarReport:
    sidecar, mark = end.sidecar, end.sidecar.mark
    return SidecarReport(
        path=str(sidecar.path),
        log=str(sidecar.log),
        seq=mark.head.seq if mark else None,
        entry_hash=mark.head.entry_hash if mark else None,
        standing=end.comparison.standing.value if end.comparison else sidecar.problem,
    )
