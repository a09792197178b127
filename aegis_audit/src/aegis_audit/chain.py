"""The hash chain: where an entry must stand, as a pure state machine.

Writer and verifier share it: the writer seals the next entry with `append`, the verifier asks by number and by link
whether an entry follows a head.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aegis_audit.entry import ZERO_HASH, Draft, Entry, seal


class Head(NamedTuple):
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
    seq, prev_hash = head
    line, entry_hash = seal(draft, timestamp, seq + 1, prev_hash)
    return line, Head(seq + 1, entry_hash)


def is_numbered_after(head: Head, entry: Entry) -> bool:
    """Tell whether `entry` has the number that follows `head`."""
    return entry.seq == head.seq + 1


def is_linked_to(head: Head, entry: Entry) -> bool:
    """Tell whether `entry` names `head` as the one before it."""
    return entry.prev_hash == head.entry_hash
