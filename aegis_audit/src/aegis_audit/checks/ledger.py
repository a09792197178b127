"""What a log signs of itself, held against its entries while they are read.

A ledger has the tree of all entries up to where it stands. A checkpoint entry with number q must name the root of the q
entries before it; who has to sign it, the chain of epochs says. A signature covers everything below it, so that the
last one of each epoch is verified and each handover; of every other checkpoint the form, the size, the root and the
signers by name and id are held to the rules.

A segment that brings its tree along begins a ledger wherever it is read. What it states before its place in the chain
of epochs is known is kept until then: segments may come in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from aegis_audit.chain import Head
from aegis_audit.checkpoint import Checkpoint
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.run import KEPT_BY_WRITER, OPENINGS
from aegis_audit.entry import ZERO_HASH, Entry
from aegis_audit.epoch import EpochChain, Roots, Term, epoch_of
from aegis_audit.errors import BrokenSuccession, ForgedSignature, MalformedNote
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.note import Note, VerifierKey
from aegis_audit.tree import EMPTY, CompactRange, GrowingRange
from aegis_audit.trust import Trust
from aegis_audit.value import Value, replace

MAX_LEDGERS: Final = 256
"""Ledgers that are kept at one time; a set of segments in order needs one for each log."""

MAX_DEFERRED: Final = 4096
"""Statements of one ledger that wait until its place in the chain of epochs is known."""


class Statement(Value):
    """What an entry says of keys or of the tree: `root` is that of all entries before it, `time` of the last one."""

    seq: int
    place: Place
    event: dict[str, Any]
    is_checkpoint: bool
    root: bytes
    time: str


class Seal(Value):
    """A checkpoint that holds but for its signatures, which these keys have to make; `time` is of its last entry."""

    checkpoint: Checkpoint
    note: Note
    keys: tuple[VerifierKey, ...]
    place: Place
    time: str


@dataclass(slots=True)
class Ledger:
    """Entries of one log in a row, with the tree of all entries up to the last of them.

    `start_tree` and `start_hash` are what the first one follows, `grown` is the tree now; `last_hash` is the hash of
    the last one. `sealed` is the last checkpoint whose signatures were verified; `roots` holds the roots at the sizes
    that are asked for. Behind the first `busy` entries there is nothing but what a writer leaves behind its last
    checkpoint.
    """

    place: Place
    origin: str | None
    start_hash: str
    start_tree: CompactRange
    grown: GrowingRange
    last_hash: str
    chain: EpochChain | None = None
    sealed: Seal | None = None
    waiting: Seal | None = None
    busy: int = 0
    roots: dict[int, bytes] = field(default_factory=dict[int, bytes])
    deferred: list[Statement] = field(default_factory=list[Statement])
    announcement: Statement | None = None
    """The epoch that was announced since the last checkpoint, while the chain of epochs is not known yet."""
    acknowledging: list[Head] = field(default_factory=list[Head])
    """The entries in which a person has acknowledged a break."""
    is_false: bool = False
    is_verified_before: bool = False
    """What comes before its start was verified, and is not read again."""
    is_alone: bool = False
    """It has gone on for so long that its place in the chain of epochs is not waited for."""

    @classmethod
    def begin(cls, place: Place, origin: str | None, last_hash: str, tree: CompactRange) -> Ledger:
        """Return a ledger that goes on behind an entry with this hash, and a tree that ends with it."""
        return cls(place, origin, last_hash, tree, GrowingRange(tree), last_hash)

    @property
    def start(self) -> int:
        """Return the number of the first entry."""
        return self.start_tree.size

    @property
    def size(self) -> int:
        """Return how many entries the tree has."""
        return self.grown.size

    @property
    def tree(self) -> CompactRange:
        """Return the tree of all entries up to the last of them."""
        return self.grown.compact()

    @property
    def first(self) -> int:
        """Return the number of the first entry that is known to be below this tree."""
        return 0 if self.is_verified_before else self.start

    @property
    def covered(self) -> range:
        """Return the entries that the last verified checkpoint covers."""
        return range(self.first, self.sealed.checkpoint.size if self.sealed else self.first)


class Ledgers:
    """The ledgers of all logs that are read; `sizes` are those whose roots are asked for."""

    def __init__(self, found: Findings, trust: Trust, sizes: Iterable[int] = ()) -> None:
        self.all: list[Ledger] = []
        self._found = found
        self._trust = trust
        self._sizes = sorted(set(sizes))

    def take(self, entry: Entry, place: Place, time: str) -> None:
        """Hold one entry to what is known, and let it follow; `time` is that of the entry before it."""
        if entry.has_its_hash:
            if entry.kind in OPENINGS:
                self._open(entry, place)
            if entry.event_type == "checkpoint" or entry.kind == "key_epoch":
                self._state(entry, place, time)
            if entry.kind == "break_acknowledged":
                self._note_acknowledging(entry)
        is_idle = entry.event_type == "checkpoint" or entry.kind in KEPT_BY_WRITER
        self.extend(entry.seq, entry.prev_hash, [bytes.fromhex(entry.entry_hash)], is_idle=is_idle)

    def extend(self, first_seq: int, prev_hash: str, leaves: Sequence[bytes], *, is_idle: bool = False) -> None:
        """Let entries in a row go on, from `first_seq` on; `prev_hash` is the hash of the one before.

        They are idle if a writer leaves such ones behind its last checkpoint.
        """
        for ledger in self.all[:]:
            at = ledger.size - first_seq
            if 0 <= at < len(leaves) and (leaves[at - 1].hex() if at else prev_hash) == ledger.last_hash:
                if not is_idle:
                    ledger.busy = first_seq + len(leaves)
                self._grow(ledger, leaves[at:] if at else leaves)

    def join(self, base: Head, after: CompactRange, last_hash: str) -> bool:
        """Let entries in a row go on behind `base` of which no more is known than their tree and the last hash.

        Tell whether that was done: where one of them in the middle is asked for, each has to be known.
        """
        middle = range(after.start + 1, after.size)
        asked_for = (*self._sizes, *(one.size for one in self.all), *(one.start for one in self.all))
        if any(size in middle for size in asked_for):
            return False
        for ledger in self.all[:]:
            if (ledger.size, ledger.last_hash) == (after.start, base.entry_hash):
                ledger.grown, ledger.busy = GrowingRange(ledger.tree.join(after)), after.size
                if ledger.size in self._sizes:
                    ledger.roots[ledger.size] = ledger.tree.root()
                self._end_with(ledger, last_hash)
        return True

    def add(self, ledger: Ledger) -> None:
        """Keep a ledger, if there is room for one more."""
        if len(self.all) < MAX_LEDGERS:
            self.all.append(ledger)
            if ledger.size in self._sizes:
                ledger.roots[ledger.size] = ledger.tree.root()

    def settle(self) -> None:
        """Judge what was put off, now that all is read."""
        for ledger in self.all:
            self._judge_deferred(ledger)
            self._verify(ledger)

    # Growing.

    def _grow(self, ledger: Ledger, leaves: Sequence[bytes]) -> None:
        rest, done = leaves, ledger.size
        for size in self._sizes:
            if done < size <= done + len(rest):
                ledger.grown.extend(rest[: size - done])
                ledger.roots[size] = ledger.tree.root()
                rest, done = rest[size - done :], size
        ledger.grown.extend(rest)
        self._end_with(ledger, leaves[-1].hex())

    def _end_with(self, ledger: Ledger, last_hash: str) -> None:
        ledger.last_hash = last_hash
        for other in self.all:
            if other is not ledger and (other.start, other.start_hash) == (ledger.size, ledger.last_hash):
                self._join(ledger, other)
                return

    def _join(self, ledger: Ledger, after: Ledger) -> None:
        """Let a ledger go on in the one that begins where it ends."""
        self.all.remove(after)
        if after.start_tree != ledger.tree:
            self._false_tree(after.place, ledger.tree)
            return
        if after.is_verified_before and (after.chain or not ledger.chain):
            # What was read again is less than what an earlier verification knows, and what has gone on from there.
            after.roots, after.sealed = ledger.roots | after.roots, after.sealed or ledger.sealed
            after.acknowledging = ledger.acknowledging + after.acknowledging
            after.deferred = after.deferred if after.chain else ledger.deferred + after.deferred
            self.all[self.all.index(ledger)] = after
            return
        ledger.grown, ledger.last_hash, ledger.origin = after.grown, after.last_hash, ledger.origin or after.origin
        ledger.busy = max(ledger.busy, after.busy)
        ledger.roots |= after.roots
        ledger.acknowledging += after.acknowledging
        for statement in after.deferred:
            self._put(ledger, statement)

    def _open(self, entry: Entry, place: Place) -> None:
        origin = entry.event.get("origin")
        origin = origin if isinstance(origin, str) else None
        if entry.kind == "log_opened" and (entry.seq, entry.prev_hash) == (0, ZERO_HASH):
            if not any(ledger.origin == origin and not ledger.start for ledger in self.all):
                ledger = Ledger.begin(place, origin, ZERO_HASH, EMPTY)
                self._declare(ledger, entry.event, place)
                self.add(ledger)
            return
        claimed = _tree_of(entry)
        if claimed is None:
            return
        for ledger in self._at(entry):
            if ledger.tree != claimed:
                self._false_tree(place, ledger.tree)
            return
        if not any((one.start, one.start_hash) == (entry.seq, entry.prev_hash) for one in self.all):
            self.add(Ledger.begin(place, origin, entry.prev_hash, claimed))

    def _at(self, entry: Entry) -> list[Ledger]:
        """Return the ledgers that this very entry goes on."""
        return [one for one in self.all if (one.size, one.last_hash) == (entry.seq, entry.prev_hash)]

    def _false_tree(self, place: Place, tree: CompactRange) -> None:
        expected = f"the tree of {tree.size} entries with root {tree.root().hex()}"
        self._add(FindingCode.FALSE_ATTESTATION, place, expected, "another one")

    # What entries state.

    def _state(self, entry: Entry, place: Place, time: str) -> None:
        for ledger in self._at(entry):
            is_checkpoint = entry.event_type == "checkpoint"
            root = ledger.tree.root() if is_checkpoint else b""
            self._put(ledger, Statement(entry.seq, place, entry.event, is_checkpoint, root, time))

    def _note_acknowledging(self, entry: Entry) -> None:
        for ledger in self._at(entry):
            if len(ledger.acknowledging) < MAX_DEFERRED:
                ledger.acknowledging.append(Head(entry.seq, entry.entry_hash))

    def _put(self, ledger: Ledger, statement: Statement) -> None:
        """Judge a statement if all is known that came before it, else keep it."""
        if not ledger.start or ledger.chain or ledger.is_alone:
            self._judge(ledger, statement)
            return
        ledger.deferred.append(statement)
        if len(ledger.deferred) >= MAX_DEFERRED:
            self._judge_deferred(ledger)

    def _judge_deferred(self, ledger: Ledger) -> None:
        ledger.is_alone = True
        for statement in ledger.deferred:
            self._judge(ledger, statement)
        ledger.deferred = []

    def _judge(self, ledger: Ledger, statement: Statement) -> None:
        try:
            if statement.is_checkpoint:
                self._judge_checkpoint(ledger, statement)
            elif ledger.chain:
                ledger.chain = ledger.chain.announce(statement.seq, statement.event)
            elif not ledger.start or statement.event.get("epoch") == 0:
                self._declare(ledger, statement.event, statement.place)
            else:
                ledger.announcement = statement
        except BrokenSuccession as exc:
            self._add(FindingCode.BROKEN_SUCCESSION, statement.place, exc.expected, exc.found)

    def _declare(self, ledger: Ledger, event: dict[str, Any], place: Place) -> None:
        """Take the keys that a log declares when it begins to sign."""
        try:
            roots = Roots.declared_in(ledger.origin, event) if ledger.origin else None
        except BrokenSuccession as exc:
            self._add(FindingCode.BROKEN_SUCCESSION, place, exc.expected, exc.found)
            return
        if roots and ledger.origin:
            ledger.chain = EpochChain.begin(ledger.origin, roots)

    def _judge_checkpoint(self, ledger: Ledger, statement: Statement) -> None:
        text = statement.event.get("note")
        try:
            note = Note.parse(text.encode("utf-8") if isinstance(text, str) else b"")
            checkpoint = Checkpoint.parse(note.text)
        except MalformedNote as exc:
            self._add(FindingCode.FALSE_CHECKPOINT, statement.place, "a signed checkpoint", str(exc))
            return
        stated = Checkpoint(ledger.origin or checkpoint.origin, statement.seq, statement.root)
        if replace(checkpoint, extensions=()) != stated:
            if not ledger.is_false:  # what comes after the first one that contradicts the tree does so as well
                self._add(FindingCode.FALSE_CHECKPOINT, statement.place, repr(stated.text), repr(checkpoint.text))
            ledger.is_false = True
            return
        self._seal(ledger, note, checkpoint, statement)

    def _seal(self, ledger: Ledger, note: Note, checkpoint: Checkpoint, statement: Statement) -> None:
        place, time = statement.place, statement.time
        if ledger.chain is None:
            ledger.chain = _chain_from(self._trust, note, checkpoint)
            announced, ledger.announcement = ledger.announcement, None
            if ledger.chain and announced:
                ledger.chain = ledger.chain.announce(announced.seq, announced.event)
        chain = ledger.chain
        if chain is None:
            ledger.waiting = Seal(checkpoint, note, log_keys(self._trust, checkpoint.origin), place, time)
            return
        ledger.waiting = Seal(checkpoint, note, chain.signers(note, checkpoint), place, time)
        ledger.chain = chain.advance(checkpoint)
        if ledger.chain is not chain:
            self._verify(ledger)

    def _verify(self, ledger: Ledger) -> None:
        """Verify the signatures of the checkpoint that waits for it."""
        seal, ledger.waiting = ledger.waiting, None
        if seal is None:
            return
        try:
            signed = seal.note.signed_by(seal.keys)
        except ForgedSignature as exc:
            expected = f"the signature of {exc.name!r} over {seal.checkpoint.size} entries"
            self._add(FindingCode.FALSE_SIGNATURE, seal.place, expected, "one that does not verify")
            return
        if signed:
            ledger.sealed = replace(seal, keys=tuple(signed))

    def _add(self, code: FindingCode, place: Place, expected: str, found: str) -> None:
        self._found.add(Finding(code, place, expected, found))


def log_keys(trust: Trust, origin: str) -> tuple[VerifierKey, ...]:
    """Return the keys that count of a log itself, and not of its epochs."""
    return tuple(pin.key for pin in trust.pins_of(origin) if pin.key.name == origin)


def _chain_from(trust: Trust, note: Note, checkpoint: Checkpoint) -> EpochChain | None:
    """Return the chain of epochs of a log whose beginning is not here, from an epoch whose key is pinned."""
    pins = {pin.key for pin in trust.pins_of(checkpoint.origin)}
    log_key = next((key for key in pins if key.name == checkpoint.origin), None)
    made = {(one.name, one.key_id) for one in note.signatures}
    for key in pins:
        epoch = epoch_of(checkpoint.origin, key.name)
        if log_key and epoch is not None and (key.name, key.key_id) in made:
            return EpochChain(checkpoint.origin, log_key, (Term(epoch, key, checkpoint.size),))
    return None


def _tree_of(entry: Entry) -> CompactRange | None:
    """Return the tree of all entries before this one, if it brings it along in the right form."""
    hashes = entry.event.get("tree")
    if not isinstance(hashes, list):
        return None
    try:
        data = b"".join(bytes.fromhex(cast("str", one)) for one in cast("list[object]", hashes))
        return CompactRange.decode(entry.seq, data)
    except (ValueError, TypeError):
        return None
