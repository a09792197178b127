"""A run: entries of one segment that follow each other without a gap.

A whole segment is one run if nothing is wrong with it. What is between runs, in one segment or in several, is judged
when all of them are known, because only then is it known what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from aegis_audit import chain
from aegis_audit.chain import Head
from aegis_audit.entry import Entry
from aegis_audit.finding import Place

OPENINGS: Final = frozenset({"log_opened", "segment_opened"})
"""The kinds of entries that begin a segment."""

KEPT_BY_WRITER: Final = frozenset({"segment_opened", "segments_dropped"})
"""The kinds of entries that a writer appends to a log that is signed to its end, and that wait for the next one."""

MAX_KNOWN_HASHES: Final = 65_536
"""Entries of an attested replay whose hashes are kept; the writer's tail of 8 MiB holds fewer."""

MAX_RIVALS: Final = 8
"""Entries with one and the same number of which the next entry may follow any."""


@dataclass(slots=True)
class Run:
    """Entries `first_seq` to `last_seq`; it grows while its segment is read.

    `heads` are all that the next entry may follow, the likeliest first: there are several behind an entry that
    contradicts itself, because either its number or its hash may be the one that was changed.
    """

    place: Place
    first_seq: int
    first_prev_hash: str
    first_timestamp: str
    heads: tuple[Head, ...]
    last_timestamp: str
    entries: int = 1
    origin: str | None = None
    is_opening: bool = False
    """It begins with the first entry of a segment."""
    is_replay: bool = False
    """A `segment_opened` announces that these entries are written here again."""
    is_suspect: bool = False
    """The first entry does not have the hash that it states, so that its link proves nothing."""
    has_damage_before: bool = False
    has_damage_after: bool = False
    watched: frozenset[int] = frozenset()
    """Numbers of entries whose hashes are asked for."""
    known_hashes: dict[int, str] = field(default_factory=dict[int, str])
    """The hashes of watched entries by number, and all of a replay: what is written twice has to be compared."""

    @classmethod
    def begin(cls, entry: Entry, place: Place, watched: frozenset[int] = frozenset()) -> Run:
        """Return the run that `entry` begins; the hashes of the entries `watched` are kept."""
        return cls(
            place=place,
            first_seq=entry.seq,
            first_prev_hash=entry.prev_hash,
            first_timestamp=entry.timestamp,
            heads=_heads(entry, entry.seq),
            last_timestamp=entry.timestamp,
            is_opening=entry.kind in OPENINGS and entry.has_its_hash,
            is_suspect=not entry.has_its_hash,
            watched=watched,
        )

    @property
    def last_seq(self) -> int:
        """Return the number of the last entry."""
        return self.heads[0].seq

    @property
    def last_hash(self) -> str:
        """Return the hash that the last entry states."""
        return self.heads[0].entry_hash

    @property
    def is_certain(self) -> bool:
        """Tell whether there is one entry that the next one may follow."""
        return len(self.heads) == 1

    def holds_last(self, entry: Entry) -> bool:
        """Tell whether `entry` is the last entry once more."""
        return any(head.entry_hash == entry.entry_hash for head in self.heads)

    def is_rivalled_by(self, entry: Entry) -> bool:
        """Tell whether `entry` has the number of the last entry."""
        return any(head.seq == entry.seq for head in self.heads)

    def is_numbered_on(self, entry: Entry) -> bool:
        """Tell whether `entry` has the next number."""
        return any(chain.is_numbered_after(head, entry) for head in self.heads)

    def is_linked_to(self, entry: Entry) -> bool:
        """Tell whether `entry` names the last entry as the one before it."""
        return any(chain.is_linked_to(head, entry) for head in self.heads)

    def renumber(self, entry: Entry) -> None:
        """Let `entry` say which number the first entry has, if that one contradicts itself and the link is right."""
        if self.is_suspect and self.entries == 1 and self.is_linked_to(entry) and entry.seq:
            self.first_seq = entry.seq - 1
            self.heads = tuple(Head(entry.seq - 1, head.entry_hash) for head in self.heads)

    def extend(self, entry: Entry) -> None:
        """Let `entry` follow, whatever number it states: where the numbers disagree, the next entry decides."""
        seqs = (entry.seq,) if self.is_numbered_on(entry) else (self.last_seq + 1, entry.seq)
        self.heads = _heads(entry, *seqs)
        self.last_timestamp = entry.timestamp
        self.entries += 1

    def resume(self, entry: Entry) -> None:
        """Let `entry` follow behind a gap, with the number that it states."""
        self.heads, self.last_timestamp = _heads(entry, entry.seq), entry.timestamp
        self.entries += 1

    def skip(self, hashes: Sequence[bytes], timestamp: str) -> None:
        """Let entries follow that are known to follow each other, given by their hashes; the last has this time."""
        first = self.last_seq + 1
        for seq in self.watched:
            if first <= seq < first + len(hashes):
                self.known_hashes[seq] = hashes[seq - first].hex()
        self.jump(len(hashes), hashes[-1].hex(), timestamp)

    def jump(self, count: int, last_hash: str, timestamp: str) -> None:
        """Let so many entries follow that are known to follow each other; the last has this hash and this time."""
        self.heads, self.last_timestamp = (Head(self.last_seq + count, last_hash),), timestamp
        self.entries += count

    def know(self, entry: Entry) -> None:
        """Keep the hash of an entry that is watched, or belongs to a replay."""
        if entry.seq in self.watched or (self.is_replay and len(self.known_hashes) < MAX_KNOWN_HASHES):
            self.known_hashes[entry.seq] = entry.entry_hash

    def also_end_with(self, entry: Entry) -> None:
        """Accept a second entry in the place of the last one."""
        self.heads = (*self.heads[:MAX_RIVALS], *_heads(entry, entry.seq))


def _heads(entry: Entry, *seqs: int) -> tuple[Head, ...]:
    hashes = dict.fromkeys((entry.entry_hash, entry.computed_hash))
    return tuple(Head(seq, entry_hash) for seq in seqs for entry_hash in hashes)
