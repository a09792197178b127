"""What a verification found, as one value that every output is made from.

`exit_code` in the JSON form always equals the status of the process, and the counts hold every finding, also those
beyond the bound up to which findings are kept one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from aegis_audit.finding import Finding, FindingCode
from aegis_audit.level import Level
from aegis_audit.verdict import Verdict

MAX_FINDINGS: Final = 1000
"""How many findings and, apart from them, how many notes a report keeps one by one."""

NO_END_KNOWN: Final = (
    "Nothing beside the log says where it ends. On the host that writes it, its sidecar does (the directory that is "
    "named like the log and ends in .tlog): copy it along with the log. A head that was kept elsewhere does, with "
    "--expect-head, and the last verification, with --state."
)
"""What is missing where no end is known, and how to get it."""


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """One file of the input: its expanded size, how many entries it holds, and the range of their numbers."""

    path: str
    entries: int
    size: int
    first_seq: int | None
    last_seq: int | None


@dataclass(frozen=True, slots=True)
class LogReport:
    """One log of the input, over all its segments.

    `origin` is None where no segment states it; `sessions` counts the gateway runs seen; `head_hash` is the hash of
    the entry `last_seq`. `level` is the highest that covers anything; `uncovered` counts for each level the entries
    that neither it nor a higher one covers: at A0 all of them. `keys` are those that count, each with its source;
    `declared` are those that the log names itself; `key_problem` says why keys of this host do not count.
    """

    origin: str | None
    entries: int
    sessions: int
    first_seq: int
    last_seq: int
    head_hash: str
    level: Level
    uncovered: Mapping[Level, int]
    keys: tuple[tuple[str, str], ...]
    declared: tuple[str, ...]
    key_problem: str
    is_of_host: bool
    is_key_known: bool


@dataclass(frozen=True, slots=True)
class SidecarReport:
    """A sidecar that was used, the entry that it knows, and how the log stands to that, or why nothing is known."""

    path: str
    log: str
    seq: int | None
    entry_hash: str | None
    standing: str


@dataclass(frozen=True, slots=True)
class AnchorReport:
    """A checkpoint that stood beside the log, and how the log stands to it.

    `cosigned` are the witnesses that count and have seen it, each by the name of its key and with the second, since
    1970, at which it says so; `is_witnessed` if they are the quorum. `stamped_at` (RFC 3339, UTC) and `stamped_by` are
    the time and the authority of its time stamp, None where none was accepted; `stamp_problem` says why one was not.
    """

    path: str
    origin: str
    size: int
    root: str
    is_outside: bool
    standing: str
    cosigned: tuple[tuple[str, int], ...]
    is_witnessed: bool
    stamped_at: str | None
    stamped_by: str | None
    stamp_problem: str


@dataclass(frozen=True, slots=True)
class EarlierReport:
    """Entries of a log that an earlier verification has judged, and that were not read again."""

    origin: str | None
    first_seq: int
    last_seq: int
    verified_at: str


@dataclass(frozen=True, slots=True)
class Report:
    """A verification's outcome; `counts` holds how often each code was found, `findings` the first of them in order."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    counts: Mapping[FindingCode, int]
    entries: int
    size: int
    segments: tuple[SegmentReport, ...]
    logs: tuple[LogReport, ...]
    sidecars: tuple[SidecarReport, ...]
    anchors: tuple[AnchorReport, ...]
    earlier: tuple[EarlierReport, ...]

    @property
    def codes(self) -> frozenset[FindingCode]:
        """Return every code that was found, notes included."""
        return frozenset(self.counts)

    @property
    def is_intact(self) -> bool:
        """Tell whether nothing was found, not even what is accepted."""
        return all(code.is_note for code in self.counts)

    @property
    def level(self) -> Level:
        """Return the lowest level of all logs."""
        return min((log.level for log in self.logs), default=Level.A0)

    @property
    def total(self) -> int:
        """Return how many findings and notes there are, kept or not."""
        return sum(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "verdict": self.verdict.name.lower(),
            "exit_code": self.verdict.exit_code,
            "assurance": self.level.name,
            "not_shown": self.level.not_shown,
            "entries": self.entries,
            "bytes": self.size,
            "counts": {code.identifier: count for code, count in sorted(self.counts.items(), key=_by_identifier)},
            "findings": [finding_json(finding) for finding in self.findings],
            "findings_left_off": self.total - len(self.findings),
            "segments": [_segment_json(segment) for segment in self.segments],
            "logs": [_log_json(log) for log in self.logs],
            "sidecars": [asdict(sidecar) for sidecar in self.sidecars],
            "anchors": [_anchor_json(anchor) for anchor in self.anchors],
            "earlier": [asdict(earlier) for earlier in self.earlier],
        }


def _by_identifier(item: tuple[FindingCode, int]) -> str:
    return item[0].identifier


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain JSON values, `verdict` being "note" for one that leaves the verdict alone."""
    place = finding.place
    return {
        "id": finding.code.identifier,
        "code": finding.code.name.lower(),
        "verdict": "note" if finding.code.is_note else finding.code.verdict.name.lower(),
        "title": finding.code.title,
        "path": place.path,
        "line": place.line,
        "offset": place.offset,
        "seq": place.seq,
        "expected": finding.expected,
        "found": finding.found,
        "acknowledged": _acknowledgement_json(finding),
    }


def _acknowledgement_json(finding: Finding) -> dict[str, Any] | None:
    one = finding.acknowledged
    if one is None:
        return None
    said = {"seq": one.seq, "timestamp": one.timestamp, "by": one.by, "note": one.note}
    return said | {"problem": one.problem, "accepted": finding.is_accepted}


def _segment_json(segment: SegmentReport) -> dict[str, Any]:
    return {
        "path": segment.path,
        "entries": segment.entries,
        "bytes": segment.size,
        "first_seq": segment.first_seq,
        "last_seq": segment.last_seq,
    }


def _anchor_json(anchor: AnchorReport) -> dict[str, Any]:
    cosigned = [{"witness": name, "time": seconds} for name, seconds in anchor.cosigned]
    return asdict(anchor) | {"cosigned": cosigned}


def _log_json(log: LogReport) -> dict[str, Any]:
    return {
        "origin": log.origin,
        "entries": log.entries,
        "sessions": log.sessions,
        "first_seq": log.first_seq,
        "last_seq": log.last_seq,
        "head_hash": log.head_hash,
        "assurance": log.level.name,
        "uncovered": log.uncovered[log.level],
        "uncovered_by_level": {level.name: count for level, count in log.uncovered.items()},
        "keys": [{"key": key, "source": source} for key, source in log.keys],
        "declared_keys": list(log.declared),
        "key_problem": log.key_problem or None,
    }
