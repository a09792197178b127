"""Verification: from paths to a report.

Each segment is read on its own, in any order; then all of them are judged together by their content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from aegis_audit.archive import find_segments
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.join import Log, check_joints, split_by_log
from aegis_audit.checks.order import check_interruptions, check_order
from aegis_audit.checks.pairing import unpaired
from aegis_audit.checks.run import Run
from aegis_audit.checks.scan import Scan, scan
from aegis_audit.errors import EmptyDirectory
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.report import ASSURANCE, LogReport, Report, SegmentReport
from aegis_audit.shape import Shapes
from aegis_audit.verdict import worst


def verify(
    paths: Iterable[str],
    *,
    from_genesis: bool = False,
    allow_empty: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Verify the segments at `paths`, as `find_segments` takes them, and say what was found.

    `from_genesis` demands that each log begins with its first entry. `allow_empty` accepts files and directories
    that are there and hold no entry; a path at which there is nothing is never accepted. `progress` is called with
    the bytes of each step, as many as are on the disk.
    """
    found, shapes = Findings(), Shapes()
    scans = [scan(segment, found, shapes, progress) for segment in find_segments(paths)]
    logs = split_by_log([one.runs for one in scans])
    for finding in (*_between(scans, logs), *_starts(logs, from_genesis=from_genesis)):
        found.add(finding)
    for finding in _nothing(scans, is_anything_known=bool(found.counts), allow_empty=allow_empty):
        found.add(finding)
    return _report(scans, logs, found)


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


def _starts(logs: Sequence[Log], *, from_genesis: bool) -> Iterator[Finding]:
    code = FindingCode.MISSING_START if from_genesis else FindingCode.PARTIAL_LOG
    for log in logs:
        first = log.runs[0]
        if first.first_seq:
            yield Finding(code, first.place, "entry 0", f"entry {first.first_seq}")


def _nothing(scans: Sequence[Scan], *, is_anything_known: bool, allow_empty: bool) -> Iterator[Finding]:
    """Yield what was named and is not there, and that nothing is there at all."""
    absences = [one.absence for one in scans if one.absence]
    for absence in absences:
        if not (allow_empty and isinstance(absence, EmptyDirectory)):
            yield Finding(FindingCode.NO_ENTRIES, Place(absence.path), "a segment", absence.reason)
    if not (absences or is_anything_known or allow_empty or any(one.entries for one in scans)):
        yield Finding(FindingCode.NO_ENTRIES, Place(scans[0].segment.path if scans else ""), "entries", "none")


def _report(scans: Sequence[Scan], logs: Sequence[Log], found: Findings) -> Report:
    return Report(
        verdict=worst(code.verdict for code in found.counts),
        findings=found.kept(),
        counts=dict(found.counts),
        entries=sum(one.entries for one in scans),
        size=sum(one.size for one in scans),
        segments=tuple(_segment_report(one) for one in scans),
        logs=tuple(_log_report(log, scans) for log in logs),
    )


def _segment_report(one: Scan) -> SegmentReport:
    first = min((run.first_seq for run in one.runs), default=None)
    last = max((run.last_seq for run in one.runs), default=None)
    return SegmentReport(one.segment.path, one.entries, one.size, first, last)


def _log_report(log: Log, scans: Sequence[Scan]) -> LogReport:
    last = max(log.runs, key=lambda run: run.last_seq)
    sessions = set[str]().union(*(one.sessions for one in scans if any(run.origin == log.origin for run in one.runs)))
    entries = _count(log.runs)
    return LogReport(
        origin=log.origin,
        entries=entries,
        sessions=len(sessions),
        first_seq=log.runs[0].first_seq,
        last_seq=last.last_seq,
        head_hash=last.last_hash,
        assurance=ASSURANCE,
        uncovered=entries,
    )


def _count(runs: Sequence[Run]) -> int:
    """Count the entries of runs in order, those that stand in several once."""
    count, end = 0, -1
    for run in runs:
        count += max(0, run.last_seq - max(end, run.first_seq - 1))
        end = max(end, run.last_seq)
    return count
