"""Entries that stand in two runs: are they the same?

A chain is authenticated by its last hash, so that two runs with the same hash at the highest number that both hold are
equal in all that both hold. If that hash is in the middle of a run, its segment is read once more.

A copy that is made while somebody writes can end in the middle of a line. If that line stands whole in another run, so
that nothing is missing, what was copied of it is an overlap as well.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from aegis_audit.checks.run import Run
from aegis_audit.entry import Entry
from aegis_audit.errors import AuditError
from aegis_audit.finding import Fragment
from aegis_audit.segment import Segment

_PLACE: Final = re.compile(rb'\{"entry_hash":"([0-9a-f]{64})",.*,"seq":([0-9]{1,16}),"session_id":"', re.DOTALL)


class Likeness(Enum):
    """How two runs compare where they overlap."""

    EQUAL = auto()
    UNEQUAL = auto()
    UNKNOWN = auto()


def compare(one: Run, other: Run) -> tuple[Likeness, int]:
    """Compare two runs that overlap; return how they compare, and the number at which they were compared."""
    at = min(one.last_seq, other.last_seq)
    hashes = _hash_at(one, at), _hash_at(other, at)
    if None in hashes:
        return Likeness.UNKNOWN, at
    return (Likeness.EQUAL if hashes[0] == hashes[1] else Likeness.UNEQUAL), at


def _hash_at(run: Run, seq: int) -> str | None:
    if seq == run.last_seq:
        return run.last_hash
    return run.known_hashes.get(seq) or _read_hash(run, seq)


def is_cut_copy(fragment: Fragment, before: Run, run: Run) -> bool:
    """Tell whether a torn line that stands behind a run is the beginning of the entry that follows in another one."""
    line = _read_line(run, before.last_seq + 1)
    if line is None or Fragment.of(line[: fragment.length]) != fragment:
        return False
    try:
        return Entry.parse(line).prev_hash == before.last_hash
    except AuditError:
        return False


def _read_hash(run: Run, seq: int) -> str | None:
    """Return the hash of an entry in the middle of a run; None if its segment cannot be read again."""
    match = _PLACE.match(_read_line(run, seq) or b"")
    return match[1].decode("ascii") if match else None


def _read_line(run: Run, seq: int) -> bytes | None:
    """Return the line of an entry of a run; None if its segment cannot be read again."""
    segment = Segment(run.place.path)
    if not segment.can_be_read_again:
        return None
    try:
        for line in segment.lines():
            if line.number < (run.place.line or 0):
                continue
            match = _PLACE.match(line.raw)
            if match and int(match[2]) == seq:
                return line.raw
    except AuditError:
        return None
    return None
