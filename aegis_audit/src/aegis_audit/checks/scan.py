"""One segment, read once from start to end in bounded memory: every check that needs no other segment.

After whatever is wrong the scan goes on as the evidence allows: what one edit has damaged gives one finding, and
everything behind it is judged again in full.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aegis_audit.checks.claim import MAX_CLAIMS, Claim, range_in
from aegis_audit.checks.damage import Damage
from aegis_audit.checks.digest import Digest, Digested
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.pairing import Pairing
from aegis_audit.checks.run import OPENINGS, Run
from aegis_audit.checks.skim import Skimmer, Stretch
from aegis_audit.entry import EVENT_KINDS, EVENT_TYPES, ZERO_HASH, Entry
from aegis_audit.errors import AbsentSegment, DamagedSegment, MalformedEntry, MovedSegment, UnreadableSegment
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.part import Divided, Part
from aegis_audit.report import MAX_FINDINGS
from aegis_audit.segment import Block, Line, Segment
from aegis_audit.shape import Shapes

MAX_SESSIONS: Final = 100_000
"""Sessions of one segment that are counted."""

MAX_RUNS: Final = 4096
"""Runs of one segment that are kept until all are known; beyond that a gap is judged where it is."""


@dataclass(slots=True)
class Scan:
    """What is known of one segment: its runs, in the order in which they stand there.

    `size` counts the bytes that were read, expanded; `stored` as many as that takes on the disk; `lines` all lines up
    to the end; `last` is the run that the last entry belongs to, `next` the one that a further entry would belong to;
    `status` is that of the file before it was read; it `is_empty` if it was read to its end and held no byte.
    """

    segment: Segment
    pairing: Pairing
    absence: AbsentSegment | None = None
    moved: MovedSegment | None = None
    is_empty: bool = False
    entries: int = 0
    size: int = 0
    stored: int = 0
    lines: int = 0
    last: Run | None = None
    next: Run | None = None
    status: os.stat_result | None = None
    runs: list[Run] = field(default_factory=list[Run])
    sessions: set[str] = field(default_factory=set[str])
    lost: list[tuple[Run, range]] = field(default_factory=list[tuple[Run, range]])
    """Numbers of entries that the writer has recorded as lost, each with where it has."""
    claims: list[Claim] = field(default_factory=list[Claim])
    """What persons say that they have looked at."""

    def join(self, session_id: str) -> None:
        """Count a session, up to a bound."""
        if len(self.sessions) < MAX_SESSIONS:
            self.sessions.add(session_id)


class Inquiry(NamedTuple):
    """What goes from segment to segment: findings, shapes, and ledgers; runs know the hashes of entries `watched`."""

    found: Findings
    shapes: Shapes
    ledgers: Ledgers
    watched: frozenset[int] = frozenset()


class Parts(NamedTuple):
    """A segment that is open, and what others have made of its parts, in their order."""

    divided: Divided
    digested: Generator[tuple[Part, Digested]]


def scan(
    segment: Segment,
    inquiry: Inquiry,
    *,
    parts: Parts | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Scan:
    """Read one segment, and add to the findings whatever needs no other segment to be seen; entries go on in ledgers.

    With `parts`, others have read it, and no more of it is read than they could not judge. `progress` is called with
    the bytes of each step, as many as are on the disk.
    """
    return _Scanner(segment, inquiry).read(progress, parts)


class _Scanner:
    def __init__(self, segment: Segment, inquiry: Inquiry) -> None:
        self._result = result = Scan(segment, Pairing(segment.path), status=segment.status())
        self._found, shapes, ledgers, self._watched = inquiry
        self._shapes = shapes
        self._ledgers = ledgers
        self._skimmer = Skimmer(shapes, result.pairing, ledgers, result.sessions)
        self._path = segment.path
        self._damage = Damage(segment.path, self._found)
        self._run: Run | None = None
        self._announced = range(0)
        self._announcer: Run | None = None
        self._is_anchored = False
        self._lines = segment.lines_before

    def read(self, progress: Callable[[int], None], parts: Parts | None) -> Scan:
        def count(stored: int) -> None:
            self._result.stored += stored
            progress(stored)

        try:
            if parts:
                self._read_parts(parts, count)
            else:
                self._take_all(self._result.segment.blocks(count))
            self._result.is_empty = not self._result.size
        except AbsentSegment as exc:
            self._result.absence = exc
        except MovedSegment as exc:
            self._result.moved = exc
            self._add(FindingCode.MOVED, Place(self._path), "a segment that stays where it is", exc.reason)
        except UnreadableSegment as exc:
            self._add(FindingCode.UNREADABLE, Place(self._path), "a readable segment", exc.reason)
        except DamagedSegment as exc:
            self._damage.add_end(exc, self._result.size)
        self._result.lines, self._result.last, self._result.next = self._lines, self._run, self._next_run()
        self._damage.close(self._result.next)
        self._damage.finish()
        return self._result

    def _read_parts(self, parts: Parts, count: Callable[[int], None]) -> None:
        self._result.status = parts.divided.status
        with closing(parts.digested) as digests:
            for part, digested in digests:
                at, is_whole = self._take_digested(part, digested)
                if is_whole:
                    count(part.stop - part.start)
                    continue
                count(0 if part.is_compressed else at)
                self._take_all(part.blocks_in(parts.divided.descriptor, at, count))

    def _take_digested(self, part: Part, digested: Digested) -> tuple[int, bool]:
        """Take what somebody has made of a part; return the bytes up to where that is of use, and if that is all."""
        at = 0
        for item in digested.items:
            if isinstance(item, bytes):
                self._lines += 1
                self._judge(Line(self._lines, part.start + at, item, len(item)))
                length = len(item)
            elif self._take_digest(item):
                length = item.length
            else:
                return at, False
            self._result.size += length
            at += length
        return at, digested.is_whole

    def _take_digest(self, digest: Digest) -> bool:
        """Take entries in a row that were judged apart, if each has one place where it may stand."""
        run, pairing = self._run, self._result.pairing
        if (
            not run
            or not self._is_at_ease(run)
            or not digest.follows(run)
            or not pairing.has_room_for(digest.entries)
            or not self._ledgers.join(digest.base, digest.tree, digest.last_hash)
        ):
            return False
        pairing.join(digest.intents, digest.outcomes, self._lines)
        run.jump(digest.entries, digest.last_hash, digest.last_time)
        run.known_hashes |= digest.known_hashes
        for session_id in digest.sessions:
            self._result.join(session_id)
        self._lines += digest.entries
        self._result.entries += digest.entries
        return True

    def _take_all(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            self._take(block)

    def _take(self, block: Block) -> None:
        at = 0
        for stretch in self._skimmer.stretches(block):
            at = self._take_stretch(block, at, stretch) if stretch else self._take_line(block, at)
        while at < len(block.data):
            at = self._take_line(block, at)
        self._result.size += block.length

    def _take_stretch(self, block: Block, at: int, stretch: Stretch) -> int:
        """Take lines in a row, together if they can be; return the place behind them."""
        end, run = at + stretch.length, self._run
        if run and self._is_at_ease(run) and self._skimmer.skim(run, stretch, self._lines):
            self._lines += len(stretch.bodies)
            self._result.entries += len(stretch.bodies)
            return end
        while at < end:
            at = self._take_line(block, at)
        return at

    def _take_line(self, block: Block, at: int) -> int:
        self._lines += 1
        line = block.line(self._lines, at)
        self._judge(line)
        return at + len(line.raw)

    def _is_at_ease(self, run: Run) -> bool:
        """Tell whether the next entry has one place where it may stand, right behind the last one."""
        # While something is announced there are two, and the entries of a replay have to be known.
        return run.is_certain and self._announcer is None and not self._damage.is_open

    def _judge(self, line: Line) -> None:
        try:
            entry = line.parse()
        except MalformedEntry as exc:
            self._damage.add(line, exc)
            return
        place = Place(self._path, line.number, line.offset, entry.seq)
        self._result.entries += 1
        self._result.join(entry.session_id)
        self._check_hash(entry, place)
        run = self._run
        time = run.last_timestamp if run and run.last_hash == entry.prev_hash else ""
        self._put(entry, place)
        self._heed(entry, place)
        self._ledgers.take(entry, place, time)
        self._shapes.learn(entry)

    def _check_hash(self, entry: Entry, place: Place) -> None:
        if not entry.has_its_hash:
            self._add(FindingCode.HASH_MISMATCH, place, entry.computed_hash, entry.entry_hash)
        elif (entry.seq == 0) != (entry.prev_hash == ZERO_HASH):
            expected = "the zero hash as prev_hash" if entry.seq == 0 else "the hash of an entry as prev_hash"
            self._add(FindingCode.FALSE_GENESIS, place, expected, entry.prev_hash)

    # Where the entry stands.

    def _put(self, entry: Entry, place: Place) -> None:
        run = self._run = self._run_for(entry)
        if run:
            run.renumber(entry)
        if run is None or self._is_replayed(entry):
            self._begin(entry, place)
        elif run.is_numbered_on(entry) and run.is_linked_to(entry):
            self._extend(run, entry, place)
        elif not entry.has_its_hash and (run.is_numbered_on(entry) or run.is_linked_to(entry)):
            self._extend(run, entry, place)  # the finding is there already: one edit is one finding
        elif run.is_linked_to(entry):
            self._add(FindingCode.BROKEN_LINK, place, f"entry {run.last_seq + 1}", f"entry {entry.seq}")
            self._extend(run, entry, place)
        elif entry.kind in OPENINGS and not run.holds_last(entry):
            self._begin(entry, place)  # files that were put together, in whatever order
        elif run.is_rivalled_by(entry):
            self._repeat(run, entry, place)
        elif run.is_numbered_on(entry):
            self._add(FindingCode.BROKEN_LINK, place, f"prev_hash {run.last_hash}", entry.prev_hash)
            self._extend(run, entry, place)
        else:
            self._begin(entry, place)

    def _run_for(self, entry: Entry) -> Run | None:
        """Return the run that `entry` stands in or after: behind a replay the log goes on where it was announced."""
        if self._run and self._run.is_replay and entry.has_its_hash and entry.seq not in self._announced:
            return self._announcer
        return self._run

    def _next_run(self) -> Run | None:
        """Return the run that a further entry would belong to: behind a whole replay that is where it was announced."""
        run = self._run
        return self._announcer if run and run.is_replay and run.last_seq + 1 not in self._announced else run

    def _is_replayed(self, entry: Entry) -> bool:
        """Tell whether `entry` begins or resumes what was announced, which comes in its old order."""
        run = self._run
        is_further_on = run is None or not run.is_replay or entry.seq > run.last_seq + 1
        return entry.seq in self._announced and is_further_on

    def _begin(self, entry: Entry, place: Place) -> None:
        before = self._run
        if before and len(self._result.runs) >= MAX_RUNS:
            self._jump(before, entry, place)
            return
        run = Run.begin(entry, place, self._watched)
        run.is_replay = self._is_replayed(entry)
        self._run = run
        run.know(entry)
        if not run.is_replay:
            self._announced, self._announcer = range(0), None
            # Where a segment is here from its first byte on, all that its writer attests has to be here too.
            self._is_anchored = run.is_opening
        self._damage.close(before, run)
        self._result.runs.append(run)

    def _extend(self, run: Run, entry: Entry, place: Place) -> None:
        self._damage.close()
        if run is self._announcer:
            self._announced, self._announcer = range(0), None
        if entry.timestamp < run.last_timestamp:
            self._add(FindingCode.CLOCK_STEP, place, f"not before {run.last_timestamp}", entry.timestamp)
        run.extend(entry)
        run.know(entry)

    def _repeat(self, run: Run, entry: Entry, place: Place) -> None:
        self._damage.close()
        if run.holds_last(entry):
            self._add(FindingCode.DUPLICATED, place, f"entry {run.last_seq + 1}", f"entry {entry.seq} again")
        else:
            self._add(FindingCode.EQUIVOCATION, place, run.last_hash, entry.entry_hash)
            run.also_end_with(entry)

    def _jump(self, run: Run, entry: Entry, place: Place) -> None:
        """Judge a gap at once: so many gaps are no history of a log whose pieces were merely put together."""
        is_ahead = entry.seq > run.last_seq
        code = FindingCode.MISSING_RANGE if is_ahead else FindingCode.REORDERED
        self._add(code, place, f"entry {run.last_seq + 1}", f"entry {entry.seq}")
        self._damage.close()
        if is_ahead:
            run.resume(entry)
        else:
            run.extend(entry)
        run.know(entry)

    # What the entry says.

    def _heed(self, entry: Entry, place: Place) -> None:
        if entry.event_type not in EVENT_TYPES:
            self._add(FindingCode.UNKNOWN_EVENT, place, "a known event_type", repr(entry.event_type))
        self._result.pairing.add(entry, place.line or 0)
        match entry.kind:
            case "log_opened" | "segment_opened":
                self._heed_opening(entry, place)
            case "recovered":
                self._heed_recovery(entry, place)
            case "entries_lost":
                self._heed_loss(entry, place)
            case "break_acknowledged" if entry.has_its_hash and self._run and len(self._result.claims) < MAX_CLAIMS:
                self._result.claims.append(Claim.of(entry, self._run))
            case None:
                pass
            case kind if kind not in EVENT_KINDS:
                self._add(FindingCode.UNKNOWN_EVENT, place, "a known kind", repr(kind))
            case _:
                pass

    def _heed_opening(self, entry: Entry, place: Place) -> None:
        run = self._run
        if run is None or run.is_replay:
            return
        origin = entry.event.get("origin")
        if entry.has_its_hash and isinstance(origin, str):
            run.origin = run.origin or origin
        for name, own in (("first_seq", entry.seq), ("prev_hash", entry.prev_hash)):
            if entry.has_its_hash and entry.event.get(name, own) != own:
                self._add(FindingCode.FALSE_ATTESTATION, place, f"{name} {own}", repr(entry.event[name])[:100])
        if "replay" in entry.event:
            self._heed_replay(entry, place, run)
        self._heed_fragments(entry, place)

    def _heed_replay(self, entry: Entry, place: Place, run: Run) -> None:
        announced = range_in(entry.event["replay"], below=entry.seq)
        if announced is None:
            found = repr(entry.event["replay"])[:100]
            self._add(FindingCode.FALSE_ATTESTATION, place, "a replay of earlier entries", found)
            return
        self._announced, self._announcer = announced, run

    def _heed_recovery(self, entry: Entry, place: Place) -> None:
        if self._run and self._run.is_replay:
            return  # what it attests stands where it was written first
        self._heed_loss(entry, place)
        self._heed_fragments(entry, place)

    def _heed_fragments(self, entry: Entry, place: Place) -> None:
        unmatched = self._damage.attest(entry.event)
        if self._is_anchored and entry.has_its_hash:
            for attestation in unmatched:
                self._add(FindingCode.FALSE_ATTESTATION, place, f"the fragment {attestation}", "no such fragment")

    def _heed_loss(self, entry: Entry, place: Place) -> None:
        missing = range_in(entry.event.get("missing"), below=entry.seq)
        if missing is None and entry.kind == "recovered":
            return
        if missing is not None and self._run and len(self._result.lost) < MAX_FINDINGS:
            self._result.lost.append((self._run, missing))
        count = entry.event.get("count")
        found = f"entries {missing.start} to {missing[-1]}" if missing else f"{count!r:.40} entries"
        found += " recorded as lost"
        self._found.add(Finding(FindingCode.ENTRIES_LOST, place, "every entry", found, missing))

    def _add(self, code: FindingCode, place: Place, expected: str, found: str) -> None:
        self._found.add(Finding(code, place, expected, found))
