"""What a verification has read, as the report of it and as the state that the next one goes on from."""

from __future__ import annotations

import os
from collections.abc import Sequence

from aegis_audit.checks.ends import End
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.join import Log
from aegis_audit.checks.scan import Scan
from aegis_audit.report import ASSURANCE, EarlierReport, LogReport, Report, SegmentReport, SidecarReport
from aegis_audit.state import Read, State, Verified
from aegis_audit.verdict import worst


def report_of(
    scans: Sequence[Scan], logs: Sequence[Log], ends: Sequence[End], found: Findings, earlier: State | None
) -> Report:
    """Return the report; `earlier` is what was verified before and not read again."""
    return Report(
        verdict=worst(code.verdict for code in found.counts),
        findings=found.kept(),
        counts=dict(found.counts),
        entries=sum(one.entries for one in scans),
        size=sum(one.size for one in scans),
        segments=tuple(_segment_report(one) for one in scans),
        logs=tuple(_log_report(log, scans) for log in logs),
        sidecars=tuple(_sidecar_report(end) for end in ends),
        earlier=tuple(EarlierReport(one.origin, one.first_seq, one.seq, earlier.verified_at) for one in earlier.logs)
        if earlier
        else (),
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


def state_of(
    scans: Sequence[Scan],
    statuses: Sequence[os.stat_result | None],
    logs: Sequence[Log],
    earlier: State | None,
    now: str,
) -> State:
    """Return what the next verification goes on from; `statuses` are those of the files before they were read."""
    read = [_read(one, status) for one, status in zip(scans, statuses, strict=True) if status]
    known = {(one.device, one.inode) for one in read}
    kept = [one for one in earlier.segments if (one.device, one.inode) not in known] if earlier else []
    before = {log.origin: log for log in earlier.logs} if earlier else {}
    verified = {log.origin: _verified(log, before.get(log.origin)) for log in logs}
    return State(now, tuple((before | verified).values()), (*kept, *read))


def _verified(log: Log, before: Verified | None) -> Verified:
    first, last = log.runs[0].first_seq, log.last
    first = min(first, before.first_seq) if before else first
    return Verified(log.origin, first, last.last_seq, last.last_hash, last.last_timestamp)


def _read(one: Scan, status: os.stat_result) -> Read:
    # Only behind a file's last entry, and where bytes on the disk are bytes of lines, can it be gone on from.
    can_be_resumed = one.last is not None and one.stored == one.size
    return Read(
        device=status.st_dev,
        inode=status.st_ino,
        size=one.segment.start + one.stored,
        modified=status.st_mtime_ns,
        line=one.lines if can_be_resumed else 0,
        entry_hash=one.last.last_hash if one.last else "",
    )
