"""What a verification has read, as the report of it and as the state that the next one goes on from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aegis_audit.checks.anchors import Anchoring
from aegis_audit.checks.ends import End
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.join import Log
from aegis_audit.checks.ledger import Ledger
from aegis_audit.checks.levels import Coverage
from aegis_audit.checks.saved import save
from aegis_audit.checks.scan import Scan
from aegis_audit.level import Level
from aegis_audit.report import AnchorReport, EarlierReport, LogReport, Report, SegmentReport, SidecarReport
from aegis_audit.state import Read, State, Verified
from aegis_audit.trust import Trust


@dataclass(frozen=True, slots=True)
class Examined:
    """All that a verification knows at its end.

    `earlier` is what was verified before, and not read again.
    """

    scans: Sequence[Scan]
    logs: Sequence[Log]
    coverages: Mapping[str | None, Coverage]
    ledgers: Sequence[Ledger]
    ends: Sequence[End]
    anchorings: Sequence[Anchoring]
    found: Findings
    trust: Trust
    earlier: State | None


def report_of(examined: Examined) -> Report:
    """Return the report."""
    scans, found, earlier = examined.scans, examined.found, examined.earlier
    return Report(
        verdict=found.verdict,
        findings=found.kept(),
        counts=dict(found.counts),
        entries=sum(one.entries for one in scans),
        size=sum(one.size for one in scans),
        segments=tuple(_segment_report(one) for one in scans),
        logs=tuple(_log_report(log, examined) for log in examined.logs),
        sidecars=tuple(_sidecar_report(end) for end in examined.ends),
        anchors=tuple(map(_anchor_report, examined.anchorings)),
        earlier=tuple(EarlierReport(one.origin, one.first_seq, one.seq, earlier.verified_at) for one in earlier.logs)
        if earlier
        else (),
    )


def _segment_report(one: Scan) -> SegmentReport:
    first = min((run.first_seq for run in one.runs), default=None)
    last = max((run.last_seq for run in one.runs), default=None)
    return SegmentReport(one.segment.path, one.entries, one.size, first, last)


def _log_report(log: Log, examined: Examined) -> LogReport:
    segments = (one for one in examined.scans if any(run.origin == log.origin for run in one.runs))
    coverage = examined.coverages[log.origin]
    return LogReport(
        origin=log.origin,
        entries=log.count,
        sessions=len(set[str]().union(*(one.sessions for one in segments))),
        first_seq=log.runs[0].first_seq,
        last_seq=log.last.last_seq,
        head_hash=log.last.last_hash,
        level=coverage.level,
        uncovered={level: coverage.uncovered(level, log) for level in Level},
        keys=tuple((str(pin.key), pin.source) for pin in coverage.pins),
        declared=tuple(map(str, coverage.declared)),
        key_problem=examined.trust.problems.get(log.origin or "", ""),
        is_of_host=any(pin.is_of_host for pin in coverage.pins),
        is_key_known=bool(examined.trust.pins_of(log.origin)),
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


def _anchor_report(one: Anchoring) -> AnchorReport:
    checkpoint = one.anchor.checkpoint
    return AnchorReport(
        path=str(one.anchor.path),
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        is_outside=one.anchor.is_outside,
        standing=one.standing.value,
        cosigned=tuple((witness.key.name, made.timestamp) for witness, made in one.cosigned),
        is_witnessed=one.is_witnessed,
        stamped_at=one.stamp.time if one.stamp else None,
        stamped_by=one.stamp.authority if one.stamp else None,
        stamp_problem=one.unproven,
    )


def state_of(examined: Examined, now: str) -> State:
    """Return what the next verification goes on from."""
    earlier = examined.earlier
    read = [_read(one, one.status) for one in examined.scans if one.status]
    known = {(one.device, one.inode) for one in read}
    kept = [one for one in earlier.segments if (one.device, one.inode) not in known] if earlier else []
    before = {log.origin: log for log in earlier.logs} if earlier else {}
    verified = {log.origin: _verified(log, before.get(log.origin), examined.ledgers) for log in examined.logs}
    return State(now, tuple((before | verified).values()), (*kept, *read))


def _verified(log: Log, before: Verified | None, ledgers: Sequence[Ledger]) -> Verified:
    first, last = log.runs[0].first_seq, log.last
    first = min(first, before.first_seq) if before else first
    end = last.last_seq + 1, last.last_hash
    ours = (one for one in ledgers if (one.size, one.last_hash) == end)
    # Of a part that was read twice there may be a second ledger, which does not know the epochs.
    ledger = min(ours, key=lambda one: (one.chain is None, one.first), default=None)
    signed = save(ledger) if ledger else None
    return Verified(log.origin, first, last.last_seq, last.last_hash, last.last_timestamp, signed)


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
