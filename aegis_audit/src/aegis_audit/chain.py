"""The hash chain: where an entry must stand, as a pure state machine.

Writer and verifier share it: the writer seals the next entry with `append`, the verifier asks `break_at` whether an
entry may follow a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aegis_audit.entry import ZERO_HASH, Draft, Entry, seal
from aegis_audit.finding import FindingCode


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a chain: its sequence number, -1 before the first, and its hash in 64 hex digits."""

    seq: int
    entry_hash: str


GENESIS: Final = Head(-1, ZERO_HASH)
"""The head of a log without entries."""


def append(head: Head, draft: Draft, timestamp: str) -> tuple[bytes, Head]:
    """Return the line that follows `head`, LF included, and the head after it.

    Raises:
        UnencodableValue: the entry does not fit in a line.
    """
    line, entry_hash = seal(draft, timestamp, head.seq + 1, head.entry_hash)
    return line, Head(head.seq + 1, entry_hash)


def break_at(head: Head, entry: Entry) -> FindingCode | None:
    """Say what is wrong with `entry` as the one after `head`; None if it follows, or if only entries between are missing.

    A forward gap whose link nevertheless names `head` is a contradiction: the link says neighbours, the numbers do not.
    """
    if entry.seq <= head.seq:
        return FindingCode.DUPLICATED if is_at(head, entry) else FindingCode.REORDERED
    if (entry.prev_hash == head.entry_hash) == (entry.seq == head.seq + 1):
        return None
    return FindingCode.BROKEN_LINK


def is_at(head: Head, entry: Entry) -> bool:
    """Tell whether `entry` is the very entry that `head` names."""
    return entry.seq == head.seq and entry.entry_hash == head.entry_hash
