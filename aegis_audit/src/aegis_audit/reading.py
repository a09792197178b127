"""The entries of a log as a reader may rely on them: each intact on its own, the others counted and named.

Nothing is dropped in silence. A line that is no entry, or does not have its hash, becomes a finding; a line that the
writer has attested as torn is a note; an entry that a rotation left in two segments comes once. Whether the entries
follow from each other is for `verify` to say.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

from aegis_audit.chain import GENESIS, Head
from aegis_audit.checks.claim import range_in
from aegis_audit.checks.damage import Damage
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.run import MAX_KNOWN_HASHES, OPENINGS
from aegis_audit.entry import Entry
from aegis_audit.errors import (
    AbsentSegment,
    AuditError,
    DamagedSegment,
    MalformedEntry,
    MovedSegment,
    UnreadableSegment,
)
from aegis_audit.finding import Finding, FindingCode, Fragment, Place
from aegis_audit.report import finding_json
from aegis_audit.segment import Line, Segment
from aegis_audit.value import replace
from aegis_audit.verdict import Verdict, worst

_LINES_LOOKED_AT: Final = 100
"""Lines at the start of a segment among which its first intact entry is looked for."""
_MAX_TORN: Final = 64
"""Entries behind which a line is torn that may stand whole in a later segment."""


class Source(Protocol):
    """What lines are read from: a segment, or a live one that grows while it is read."""

    @property
    def path(self) -> str: ...
    def lines(self, progress: Callable[[int], None]) -> Iterator[Line]: ...


@dataclass(frozen=True, slots=True)
class Found:
    """An intact entry, and the line that it stands in."""

    entry: Entry
    line: Line


class Reading:
    """One pass over the lines of a log, and what is to be said of those that are no intact entries.

    `entries` counts the intact ones, `repeated` those among them that stood in an earlier segment already. `progress`
    is called with the bytes of each step.
    """

    def __init__(self, progress: Callable[[int], None] = lambda _: None) -> None:
        self.entries = 0
        self.repeated = 0
        self._progress = progress
        self._spoilt = 0
        self._findings = Findings()
        self._known: OrderedDict[str, int] = OrderedDict()  # a dict is slow at its old end
        self._stretch = 0
        self._heads = GENESIS, GENESIS  # the latest entry of a segment, and that of the highest number
        self._torn: dict[str, bytes] = {}

    @property
    def attested(self) -> int:
        """Return how many torn lines the writer has attested."""
        return self._findings.counts[FindingCode.ATTESTED_FRAGMENT]

    @property
    def damaged(self) -> int:
        """Return how many lines are neither intact entries nor attested."""
        return self._spoilt - self.attested

    @property
    def total(self) -> int:
        """Return how many lines were read."""
        return self.entries + self._spoilt

    @property
    def verdict(self) -> Verdict:
        """Return what the findings amount to."""
        return worst(code.verdict for code in self._findings.counts)

    @property
    def found(self) -> int:
        """Return how many findings there are, kept or not, notes left out."""
        return sum(count for code, count in self._findings.counts.items() if not code.is_note)

    def findings(self) -> list[Finding]:
        """Return the findings that were kept, notes left out."""
        return [finding for finding in self._findings.kept() if not finding.code.is_note]

    def to_json(self) -> dict[str, Any]:
        """Return the account of the lines as plain JSON values."""
        findings = self.findings()
        return {
            "repeated": self.repeated,
            "attested": self.attested,
            "damaged": self.damaged,
            "total": self.total,
            "findings": [finding_json(finding) for finding in findings],
            "findings_left_off": self.found - len(findings),
            "exit_code": self.verdict.exit_code,
        }

    def read(self, sources: Iterable[Source]) -> Iterator[Found]:
        """Yield the intact entries of `sources`, in their order; what was written again comes before what says so."""
        path = ""
        for source in sources:
            path = source.path
            yield from self._in_place(self._read_one(source))
        if not self.total and not self.found:
            self._findings.add(Finding(FindingCode.NO_ENTRIES, Place(path), "entries", "none"))

    def _in_place(self, read: Iterable[Found | None]) -> Iterator[Found]:
        """Yield what was read from one source; what it begins with once more comes in front of its opening."""
        opening, announced = None, range(0)
        for found in read:
            if opening and found and found.entry.seq not in announced:
                yield opening
                opening = None
            if found and not opening and (announced := _announced_by(found.entry)):
                opening = found
            elif found:
                yield found
            if opening and self._heads[0].seq == announced[-1]:
                yield opening
                opening = None
        if opening:
            yield opening

    def _read_one(self, source: Source) -> Iterator[Found | None]:
        """Yield what stands in each line, None if that is no intact entry or was there before."""
        damage, self._stretch, end = Damage(source.path, self._findings), self._stretch + 1, 0
        self._heads = GENESIS, GENESIS
        try:
            for line in source.lines(self._progress):
                end = line.offset + line.length
                yield self._judge(line, source.path, damage)
        except AbsentSegment as exc:
            self._findings.add(Finding(FindingCode.NO_ENTRIES, Place(exc.path), "a segment", exc.reason))
        except MovedSegment as exc:
            self._findings.add(
                Finding(FindingCode.MOVED, Place(exc.path), "a segment that stays where it is", exc.reason)
            )
        except UnreadableSegment as exc:
            self._findings.add(Finding(FindingCode.UNREADABLE, Place(exc.path), "a readable segment", exc.reason))
        except DamagedSegment as exc:
            damage.add_end(exc, end)
        finally:
            damage.finish()

    def _judge(self, line: Line, path: str, damage: Damage) -> Found | None:
        try:
            entry = line.parse()
        except MalformedEntry as exc:
            self._spoilt += 1
            damage.add(line, exc)
            if exc.code is FindingCode.TORN_TAIL and len(self._torn) < _MAX_TORN:
                # Behind what was written again, a segment goes on from its opening, which has the highest number.
                self._torn |= dict.fromkeys((head.entry_hash for head in self._heads), line.raw)
            return None
        if entry.computed_hash != entry.entry_hash:
            self._spoilt += 1
            place = Place(path, line.number, line.offset, entry.seq)
            self._findings.add(Finding(FindingCode.HASH_MISMATCH, place, entry.computed_hash, entry.entry_hash))
            return None
        self.entries += 1
        head = Head(entry.seq, entry.entry_hash)
        self._heads = head, max(head, self._heads[1])
        torn = self._torn.get(entry.prev_hash)
        if torn and line.raw.startswith(torn):
            self._forgive(torn)
        if entry.kind == "recovered":
            damage.attest(entry.event)
        if self._is_repeated(entry):
            self.repeated += 1
            return None
        return Found(entry, line)

    def _forgive(self, torn: bytes) -> None:
        """Let the end of a copy that was cut in an entry be no damage: the whole of that entry is here."""
        self._torn = {before: one for before, one in self._torn.items() if one != torn}
        fragment = Fragment.of(torn)
        self._findings.revise(lambda one: replace(one, code=FindingCode.OVERLAP) if one.fragment == fragment else one)
        self._spoilt -= 1

    def _is_repeated(self, entry: Entry) -> bool:
        """Tell whether the entry stood in an earlier stretch: within one, no rotation makes a second one.

        The latest `MAX_KNOWN_HASHES` entries are known, which is more than a rotation can leave twice.
        """
        if entry.kind in OPENINGS:
            self._stretch += 1
        if self._known.setdefault(entry.entry_hash, self._stretch) != self._stretch:
            return True
        if len(self._known) > MAX_KNOWN_HASHES:
            self._known.popitem(last=False)
        return False


def _announced_by(entry: Entry) -> range:
    """Return the numbers of earlier entries that a segment begins with once more, behind its opening."""
    replay = entry.event.get("replay") if entry.kind == "segment_opened" else None
    return range_in(replay, below=entry.seq) or range(0)


def in_order(segments: Sequence[Segment]) -> list[Segment]:
    """Return the segments in the order of their content: log by log, then by the number of the first entry.

    Standard input comes last: it can be read only once, and so not be looked at first.
    """
    firsts = {segment: _first_entry(segment) for segment in segments if segment.can_be_read_again}
    origins = {segment: _origin(first) for segment, first in firsts.items()}
    # A segment that does not name its log, because it begins in the middle, belongs to the only one there is.
    has_one_log = len(set(origins.values()) - {""}) < 2

    def place(segment: Segment) -> tuple[bool, str, int]:
        first = firsts.get(segment)
        return segment not in firsts, "" if has_one_log else origins.get(segment, ""), first.seq if first else -1

    return sorted(segments, key=place)


def _first_entry(segment: Segment) -> Entry | None:
    try:
        for line in islice(segment.lines(), _LINES_LOOKED_AT):
            try:
                return line.parse()
            except MalformedEntry:
                continue
    except AuditError:
        pass  # reading it in earnest says what is wrong
    return None


def _origin(first: Entry | None) -> str:
    origin = first.event.get("origin") if first and first.kind in OPENINGS else None
    return origin if isinstance(origin, str) else ""
