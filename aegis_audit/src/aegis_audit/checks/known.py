"""Entries that a log is known to hold, from outside of it: does it hold them still?

A hash stands for the entry and for all before it. So one entry that is known tells a log that was rewritten from one
that has merely grown, and one that was cut off from one that is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from aegis_audit.chain import Head
from aegis_audit.checks.join import Log
from aegis_audit.checks.run import Run
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.sidecar import CRASHED


@dataclass(frozen=True, slots=True)
class Known:
    """An entry that a log is known to hold.

    `origin` names the log, None where that is not known; `source` says from where the entry is known, for a person;
    `seen` is when it stood in the log, in nanoseconds since the epoch, None where that is not known; `root` is that of
    the tree up to it, None where that is not known.
    """

    head: Head
    origin: str | None
    source: str
    seen: int | None = None
    root: bytes | None = None


class Standing(Enum):
    """How a log stands to an entry that it is known to hold."""

    HELD = "held"
    CONTRADICTED = "contradicted"
    """Another entry has its number."""
    CUT_OFF = "cut off"
    """The log ends before it."""
    NOT_GIVEN = "not given"
    """Its place is not among the evidence: before its beginning, or in a gap."""
    FOREIGN = "foreign"
    """All evidence is of other logs."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a log stands to a known entry, where, and what was found there."""

    known: Known
    standing: Standing
    place: Place
    found: str

    def finding(self, code: FindingCode, why: str = "") -> Finding:
        """Return the finding that this is, and why it may be so."""
        seq, entry_hash = self.known.head.seq, self.known.head.entry_hash
        expected = f"entry {seq} with hash {entry_hash}, known from {self.known.source}"
        return Finding(code, self.place, expected, f"{self.found}; {why}" if why else self.found)


def check_heads(heads: Sequence[Known], logs: Sequence[Log], booted: int | None) -> Iterator[Finding]:
    """Yield what is wrong where logs are known for certain to hold these entries.

    `booted` is when the machine was started, in nanoseconds since the epoch, None if that cannot be told.
    """
    for comparison in (compare(known, logs) for known in heads):
        match comparison.standing:
            case Standing.HELD:
                continue
            case Standing.CONTRADICTED:
                yield comparison.finding(FindingCode.FALSE_HEAD)
            case Standing.FOREIGN:
                yield comparison.finding(FindingCode.REPLACED)
            case Standing.CUT_OFF if not logs:
                yield comparison.finding(FindingCode.SHORT_OF_HEAD)
            case Standing.CUT_OFF if comparison.known.seen is not None and comparison.known.seen < (booted or 0):
                yield comparison.finding(FindingCode.SHORT_OF_HEAD, CRASHED)
            case Standing.CUT_OFF:
                yield comparison.finding(FindingCode.ROLLED_BACK)
            case Standing.NOT_GIVEN:
                yield comparison.finding(FindingCode.SHORT_OF_HEAD)


def compare(known: Known, logs: Sequence[Log]) -> Comparison:
    """Look for a known entry in the log that it belongs to."""
    log = _log_of(known, logs)
    if log is None:
        origins = ", ".join(repr(log.origin) for log in logs)[:300]
        place = logs[0].runs[0].place if logs else Place("")
        standing = Standing.FOREIGN if logs else Standing.CUT_OFF
        return Comparison(known, standing, place, f"entries of {origins}" if logs else "no entry")
    last = log.last
    if last.last_seq < known.head.seq:
        place = Place(last.place.path, seq=last.last_seq)
        return Comparison(known, Standing.CUT_OFF, place, f"entry {last.last_seq} as the last")
    hashes = list(_hashes(known.head.seq, log.runs))
    for entry_hash, place in hashes:
        if entry_hash != known.head.entry_hash:
            return Comparison(known, Standing.CONTRADICTED, place, entry_hash)
    if hashes:
        return Comparison(known, Standing.HELD, hashes[0][1], known.head.entry_hash)
    return Comparison(known, Standing.NOT_GIVEN, log.runs[0].place, f"entries from {log.runs[0].first_seq} on")


def _log_of(known: Known, logs: Sequence[Log]) -> Log | None:
    for log in logs:
        if log.origin == known.origin:
            return log
    # Evidence from the middle of a log does not name it, and neither does every source of what is known.
    is_open = len(logs) == 1 and (known.origin is None or logs[0].origin is None)
    return logs[0] if is_open else None


def _hashes(seq: int, runs: Sequence[Run]) -> Iterator[tuple[str, Place]]:
    """Yield the hash of an entry wherever the evidence states it, be it as the link of the next one."""
    for run in runs:
        if run.first_seq == seq + 1 and not run.is_suspect:
            yield run.first_prev_hash, run.place
        if entry_hash := run.known_hashes.get(seq) or (run.last_hash if run.last_seq == seq else None):
            yield entry_hash, Place(run.place.path, seq=seq)
