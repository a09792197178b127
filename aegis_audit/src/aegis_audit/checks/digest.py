"""What can be said of a part of a segment without what comes before it.

Where entries follow each other and say nothing that bears on others, a digest stands for all of them. Any other line
is handed on as it is; and whatever is not an entry with its own hash ends the matter: the rest is read again by the one
who knows what came before. So a digest changes how long a verdict takes and never which one it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from aegis_audit.chain import Head
from aegis_audit.checks.pairing import OpenHalf, Pairing
from aegis_audit.checks.run import Run
from aegis_audit.checks.skim import Skimmer
from aegis_audit.entry import EVENT_TYPES, Entry
from aegis_audit.errors import AuditError
from aegis_audit.finding import Place
from aegis_audit.part import Part
from aegis_audit.segment import Block
from aegis_audit.shape import Shapes
from aegis_audit.tree import CompactRange, GrowingRange

MAX_ENTRIES: Final = 16_384
"""Entries that one digest stands for, and with them those of as many lines as are taken together."""

_MAX_SIZE: Final = 8 << 20
"""Bytes, roughly, of the digests and the lines of one part."""

_DIGEST: Final = 2048
_HALF: Final = 128
_REGULAR: Final = EVENT_TYPES - {"security_event", "checkpoint"}
"""Entries of these types bear on no others but through their phase."""


class Digest(NamedTuple):
    """Entries in a row, as many as `tree` has, in so many lines of `length` bytes in all.

    They go on behind the entry `base`, and end with `last_hash` and `last_time`. Lines are counted from 1 in `intents`
    and `outcomes`, which are those without their other half. The `sessions` are those that no digest before it has in
    the same part.
    """

    base: Head
    tree: CompactRange
    length: int
    last_hash: str
    last_time: str
    intents: Sequence[OpenHalf]
    outcomes: Sequence[OpenHalf]
    sessions: Sequence[str]
    known_hashes: dict[int, str]

    @property
    def entries(self) -> int:
        """Return how many entries these are."""
        return self.tree.size - self.tree.start

    def follows(self, run: Run) -> bool:
        """Tell whether the entries go on behind a run, whose time its last hash stands for."""
        return run.heads == (self.base,)


Item: TypeAlias = "Digest | bytes"
"""Entries in a row, or one line as it is."""


class Digested(NamedTuple):
    """What a part is made of from its start on; `is_whole` tells whether that is all of it."""

    items: Sequence[Item]
    is_whole: bool


UNREAD: Final = Digested((), is_whole=False)
"""Nothing: all has to be read by somebody else."""


def digest(part: Part, watched: frozenset[int], shapes: Shapes, *, most: int = MAX_ENTRIES) -> Digested:
    """Read a part as far as that is of use; digests of `most` entries know the hashes of the entries `watched`."""
    digester = _Digester(part.path, watched, shapes, most)
    try:
        is_whole = all(map(digester.take, part.blocks()))
    except AuditError:
        is_whole = False
    digester.end()
    return Digested(digester.items, is_whole)


class _Digester:
    def __init__(self, path: str, watched: frozenset[int], shapes: Shapes, most: int) -> None:
        self.items: list[Item] = []
        self._path = path
        self._watched = watched
        self._shapes = shapes
        self._most = most
        self._sessions: set[str] = set()
        self._new_sessions: list[str] = []
        self._run: Run | None = None
        self._size = 0
        self._goes_on_behind(Head(-1, ""))

    def _goes_on_behind(self, base: Head) -> None:
        self._base = base
        self._tree = GrowingRange(CompactRange(base.seq + 1, (), base.seq + 1))
        self._length = 0
        self._pairing = Pairing(self._path)
        self._skimmer = Skimmer(self._shapes, self._pairing, self, self._sessions)

    @property
    def _count(self) -> int:
        return self._tree.size - self._tree.start

    def take(self, block: Block) -> bool:
        """Take a block; tell whether that was of use to its end."""
        at = 0
        for stretch in self._skimmer.stretches(block):
            end = at + (stretch.length if stretch else 1)
            if stretch and self._run and self._skimmer.skim(self._run, stretch, self._count):
                self._length, at = self._length + stretch.length, end
                self._bound()
            while at < end:
                at = self._take_line(block, at)
                if not at:
                    return False
        while at < len(block.data):
            at = self._take_line(block, at)
            if not at:
                return False
        return self._size < _MAX_SIZE

    def extend(self, first_seq: int, prev_hash: str, leaves: Sequence[bytes]) -> None:  # noqa: ARG002 - as `Ledgers`
        """Let entries in a row go on."""
        self._tree.extend(leaves)

    def end(self) -> None:
        """Hand over what there is."""
        run = self._run
        if not run or not self._count:
            return
        intents, outcomes = self._pairing.open_intents, self._pairing.open_outcomes
        self.items.append(
            Digest(
                self._base,
                self._tree.compact(),
                self._length,
                run.last_hash,
                run.last_timestamp,
                intents,
                outcomes,
                self._new_sessions,
                run.known_hashes,
            )
        )
        self._size += _DIGEST + _HALF * (len(intents) + len(outcomes) + len(self._new_sessions))
        self._new_sessions = []

    def _bound(self) -> None:
        """End a digest that stands for many entries."""
        if self._run and self._count >= self._most:
            self.end()
            self._run.known_hashes = {}
            self._goes_on_behind(self._run.heads[0])

    def _take_line(self, block: Block, at: int) -> int:
        """Take the line that begins there; return the place behind it, 0 if it is of no use."""
        line = block.line(0, at)
        try:
            entry = line.parse()
        except AuditError:
            return 0
        if not entry.has_its_hash:
            return 0
        if self._run and _follows(self._run, entry):
            self._run.extend(entry)
            self._run.know(entry)
            self._pairing.add(entry, self._count + 1)
            self.extend(entry.seq, entry.prev_hash, [bytes.fromhex(entry.entry_hash)])
            self._length += len(line.raw)
            self._bound()
        else:
            self.end()
            self.items.append(line.raw)
            self._size += len(line.raw)
            self._run = Run.begin(entry, Place(self._path), self._watched)
            self._goes_on_behind(self._run.heads[0])
        if entry.session_id not in self._sessions:
            self._sessions.add(entry.session_id)
            self._new_sessions.append(entry.session_id)
        self._shapes.learn(entry)
        return at + len(line.raw)


def _follows(run: Run, entry: Entry) -> bool:
    is_next = run.is_numbered_on(entry) and run.is_linked_to(entry) and entry.timestamp >= run.last_timestamp
    return is_next and entry.event_type in _REGULAR
