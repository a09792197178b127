"""Two copies of a log, side by side: how far they are the same, where they part, and what only one of them has.

Both are read once, in the order of their numbers, and in bounded memory. An entry that does not have its own hash
counts as missing from its copy, and that copy as damaged. One that stands behind a later one is not compared: it is
counted, and nothing is said to be the same then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from aegis_audit.reading import Reading, in_order
from aegis_audit.segment import Segment
from aegis_audit.verdict import Verdict, worst

MAX_RANGES: Final = 100
"""Ranges of numbers that a comparison keeps one by one, for each copy."""


class Likeness(Enum):
    """How two copies compare: its word, the verdict that it leads to, and what it means."""

    IDENTICAL = ("identical", Verdict.VALID, "both hold the same entries")
    OVERLAP = (
        "overlap",
        Verdict.VALID,
        "they are the same where both have entries, and begin or end elsewhere",
    )
    TRUNCATED = ("truncated", Verdict.INCOMPLETE, "one ends before the other, and they are the same up to there")
    EDITED = ("edited", Verdict.TAMPERED, "entries between others that are the same were changed or taken out")
    FORKED = ("forked", Verdict.TAMPERED, "from an entry on, they go on differently, each as if it were the log")
    UNRELATED = ("unrelated", Verdict.UNVERIFIABLE, "they have no entry in common")

    def __init__(self, word: str, verdict: Verdict, meaning: str) -> None:
        self.word = word
        self.verdict = verdict
        self.meaning = meaning


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first number at which there are two entries that are not the same: the hashes of A's and of B's."""

    seq: int
    a: str
    b: str


class Ranges:
    """Numbers in ascending order, as ranges: the first `MAX_RANGES`, and the count of all numbers."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, int]] = []
        self.count = 0
        self.first = self.last = -1

    def add(self, seq: int) -> None:
        """Add the next number."""
        if self.kept and self.last == seq - 1 and self.kept[-1][1] == self.last:
            self.kept[-1] = self.kept[-1][0], seq
        elif len(self.kept) < MAX_RANGES:
            self.kept.append((seq, seq))
        self.first, self.last, self.count = (seq if self.first < 0 else self.first), seq, self.count + 1


class Comparison:
    """What became of the entries of two copies, A and B."""

    def __init__(self, progress: Callable[[int], None] = lambda _: None) -> None:
        self.readings = Reading(progress), Reading(progress)
        self.only = Ranges(), Ranges()
        self.misplaced = [0, 0]
        self.same = 0
        self.first_same = self.last_same = -1
        self.divergence: Divergence | None = None
        self._has_met_again = False

    def compare(self, a: Sequence[Segment], b: Sequence[Segment]) -> None:
        """Read both copies."""
        sides = self._hashes(0, a), self._hashes(1, b)
        one, other = (next(side, None) for side in sides)
        while one or other:
            if one and other and one[0] == other[0]:
                self._meet(one[0], one[1], other[1])
                one, other = (next(side, None) for side in sides)
            elif one and (not other or one[0] < other[0]):
                self.only[0].add(one[0])
                one = next(sides[0], None)
            elif other:
                self.only[1].add(other[0])
                other = next(sides[1], None)

    @property
    def likeness(self) -> Likeness:
        """Return how the copies compare."""
        if not self.same:
            return Likeness.UNRELATED
        if self.divergence and not self._has_met_again:
            return Likeness.FORKED
        missing = [only for only in self.only if only.count]
        if self.divergence or any(map(self._is_holed, missing)) or (missing and self._is_damaged):
            return Likeness.EDITED
        if not missing:
            return Likeness.IDENTICAL
        return Likeness.TRUNCATED if len(missing) == 1 and missing[0].first > self.last_same else Likeness.OVERLAP

    @property
    def verdict(self) -> Verdict:
        """Return what the comparison amounts to, damage in either copy and what was not compared included."""
        left_out = [Verdict.UNVERIFIABLE] * any(self.misplaced)
        return worst([self.likeness.verdict, *left_out, *(reading.verdict for reading in self.readings)])

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values."""
        parted = self.divergence
        sides = {
            name: {
                "entries": reading.entries - reading.repeated,
                "misplaced": misplaced,
                "only": only.count,
                "ranges": only.kept,
                **_of(reading),
            }
            for name, reading, only, misplaced in zip("ab", self.readings, self.only, self.misplaced, strict=True)
        }
        return {
            "class": self.likeness.word,
            "same": self.same,
            "first_divergence": parted and {"seq": parted.seq, "a": parted.a, "b": parted.b},
            **sides,
            "exit_code": self.verdict.exit_code,
        }

    @property
    def _is_damaged(self) -> bool:
        return any(reading.verdict in {Verdict.TAMPERED, Verdict.CORRUPT} for reading in self.readings)

    def _is_holed(self, only: Ranges) -> bool:
        """Tell whether something that one copy alone has lies between entries that both have."""
        return any(self.first_same < low < self.last_same for low, _ in only.kept)

    def _meet(self, seq: int, a: str, b: str) -> None:
        if a == b:
            self.same += 1
            self.first_same = seq if self.first_same < 0 else self.first_same
            self.last_same = seq
            self._has_met_again = self.divergence is not None
        elif self.divergence is None:
            self.divergence = Divergence(seq, a, b)

    def _hashes(self, side: int, segments: Sequence[Segment]) -> Iterator[tuple[int, str]]:
        """Yield the number and the hash of each entry; one whose number does not rise is out of its place."""
        last, last_hash = -1, ""
        for found in self.readings[side].read(in_order(segments)):
            entry = found.entry
            if entry.seq > last:
                last, last_hash = entry.seq, entry.entry_hash
                yield last, last_hash
            elif entry.seq == last and entry.entry_hash != last_hash and self.divergence is None:
                # The copy contradicts itself: whatever the other one has there, it does not have both.
                both = (last_hash, entry.entry_hash)
                self.divergence = Divergence(last, *(both if side else both[::-1]))
            elif entry.seq < last:
                self.misplaced[side] += 1


def _of(reading: Reading) -> dict[str, Any]:
    account = reading.to_json()
    return {name: account[name] for name in ("damaged", "findings", "findings_left_off")}
