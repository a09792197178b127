"""Calls and their answers: which intent has no outcome, and which outcome no intent.

They are joined by `trace_id`. One trace may hold several requests, because the host chooses it; then an outcome answers
the latest intent. What is left over in one segment may be answered in the next, so that segments are joined before
anything is noted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Final, TypeAlias

from aegis_audit.entry import Entry
from aegis_audit.finding import Finding, FindingCode, Place

MAX_OPEN: Final = 32_768
"""Requests without their other half that are remembered in one segment; beyond that nothing is noted at all."""


Half: TypeAlias = "tuple[int, int, Half | None]"
"""The number and the line of an intent or an outcome, and the one before it in its trace that waits as well."""


OpenHalf: TypeAlias = "tuple[str, int, int]"
"""The trace, the number and the line of an intent or an outcome that waits for its other half."""


class Pairing:
    """The requests of one segment of which one half has been seen so far, by their trace."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.intents: dict[str, Half] = {}
        self.outcomes: dict[str, Half] = {}
        self.is_overfull = False
        self._waiting = 0

    def add(self, entry: Entry, line: int) -> None:
        """Take an entry into account."""
        if entry.trace_id is None:
            return
        match entry.event.get("phase"):
            case "intent":
                self.add_intent(entry.trace_id, entry.seq, line)
            case "outcome":
                self.add_outcome(entry.trace_id, entry.seq, line)
            case _:
                pass

    def add_intent(self, trace_id: str, seq: int, line: int) -> None:
        """Remember an intent until its outcome comes."""
        self.intents[trace_id] = (seq, line, self.intents.get(trace_id))
        self._waiting += 1
        if self._waiting > MAX_OPEN:
            self._give_up()

    def add_outcome(self, trace_id: str, seq: int, line: int) -> None:
        """Let an outcome answer an intent of its trace."""
        intent = self.intents.pop(trace_id, None)
        if intent is None:
            self.outcomes[trace_id] = (seq, line, self.outcomes.get(trace_id))
            self._waiting += 1
        else:
            self._waiting -= 1
            if intent[2]:
                self.intents[trace_id] = intent[2]
        if self._waiting > MAX_OPEN:
            self._give_up()

    def add_all(
        self, trace_ids: Sequence[bytes], intents: Iterable[bytes], outcomes: Iterable[bytes], *, seq: int, line: int
    ) -> None:
        """Take entries in a row into account, from this number and line on: what is not empty is one of that phase."""
        ahead, is_roomy = line - seq, self.has_room_for(len(trace_ids))
        waiting: dict[bytes, int] = {}  # most are answered within these lines, and nobody else has to know of them
        for number, trace_id, is_intent, is_outcome in zip(count(seq), trace_ids, intents, outcomes, strict=False):
            if is_intent and is_roomy:
                if trace_id in waiting:
                    self.add_intent(trace_id.decode("ascii"), waiting[trace_id], waiting[trace_id] + ahead)
                waiting[trace_id] = number
            elif is_intent:
                self.add_intent(trace_id.decode("ascii"), number, number + ahead)
            elif is_outcome and waiting.pop(trace_id, None) is None:
                self.add_outcome(trace_id.decode("ascii"), number, number + ahead)
        for trace_id, number in waiting.items():
            self.add_intent(trace_id.decode("ascii"), number, number + ahead)

    @property
    def open_intents(self) -> list[OpenHalf]:
        """Return the intents that wait, oldest first."""
        return _sorted(self.intents)

    @property
    def open_outcomes(self) -> list[OpenHalf]:
        """Return the outcomes that wait, oldest first."""
        return _sorted(self.outcomes)

    def has_room_for(self, entries: int) -> bool:
        """Tell whether so many entries can be taken, whatever they are, without any being given up."""
        return self._waiting + entries <= MAX_OPEN

    def join(self, intents: Iterable[OpenHalf], outcomes: Iterable[OpenHalf], line: int) -> None:
        """Take what is left over of entries in a row that were paired on their own, behind this line."""
        # An outcome was left over where no intent waited any longer, so that it answers one from before.
        for trace_id, seq, at in outcomes:
            self.add_outcome(trace_id, seq, line + at)
        for trace_id, seq, at in intents:
            self.add_intent(trace_id, seq, line + at)

    def _give_up(self) -> None:
        self.is_overfull, self._waiting = True, 0
        self.intents.clear()
        self.outcomes.clear()


def _sorted(waiting: Mapping[str, Half]) -> list[OpenHalf]:
    return sorted(((trace_id, *half) for trace_id, latest in waiting.items() for half in _chained(latest)), key=_number)


def _chained(latest: Half | None) -> Iterator[tuple[int, int]]:
    """Yield the number and the line of a half, then those of the ones before it in its trace."""
    while latest:
        seq, line, latest = latest
        yield seq, line


def _number(half: OpenHalf) -> int:
    return half[1]


def unpaired(pairings: Sequence[Pairing], held: Sequence[Sequence[range]] = ()) -> Iterator[Finding]:
    """Yield a note for each half that has no other half in any segment; `held` are the numbers of each log's runs."""
    if any(pairing.is_overfull for pairing in pairings):
        return
    bounds = [(sorted(run.start for run in runs), sorted(run.stop for run in runs)) for runs in held]
    # By number: a half that stands in two copies of a segment is one half.
    traces: defaultdict[str, dict[int, list[tuple[FindingCode, Place]]]] = defaultdict(lambda: defaultdict(list))
    for pairing in pairings:
        for code, halves in (
            (FindingCode.UNANSWERED_INTENT, pairing.intents),
            (FindingCode.OUTCOME_WITHOUT_INTENT, pairing.outcomes),
        ):
            for trace_id, latest in halves.items():
                for seq, line in _chained(latest):
                    traces[trace_id][seq].append((code, Place(pairing.path, line, None, seq)))
    for trace_id, halves in traces.items():
        waiting = [copies[-1] for seq, copies in sorted(halves.items()) if len(copies) >= _copies(seq, bounds)]
        yield from _unpaired_in_trace(trace_id, waiting)


def _copies(seq: int, bounds: Sequence[tuple[list[int], list[int]]]) -> int:
    """Return in how many runs an entry stands, the fewest if several logs have one of that number."""
    counts = (bisect_right(starts, seq) - bisect_right(stops, seq) for starts, stops in bounds)
    return min(filter(None, counts), default=1)


def _unpaired_in_trace(trace_id: str, halves: Sequence[tuple[FindingCode, Place]]) -> Iterator[Finding]:
    waiting: list[Finding] = []
    for code, place in halves:
        if code is FindingCode.UNANSWERED_INTENT:
            waiting.append(Finding(code, place, f"an outcome in trace {trace_id}", "none"))
        elif waiting:
            waiting.pop()
        else:
            yield Finding(code, place, f"an intent in trace {trace_id}", "none")
    yield from waiting
