"""Calls and their answers: which intent has no outcome, and which outcome no intent.

They are joined by `trace_id`. One trace may hold several requests, because the host chooses it; then the oldest intent
is answered first. What is left over in one segment may be answered in the next, so that segments are joined before
anything is noted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aegis_audit.entry import Entry
from aegis_audit.finding import Finding, FindingCode, Place

MAX_OPEN: Final = 32_768
"""Requests without their other half that are remembered in one segment; beyond that nothing is noted at all."""


class Half(NamedTuple):
    """An intent or an outcome whose other half has not been seen: its number and its line."""

    seq: int
    line: int


@dataclass(slots=True)
class Pairing:
    """The requests of one segment that have one half only."""

    path: str
    intents: dict[str, list[Half]] = field(default_factory=dict[str, list[Half]])
    outcomes: dict[str, list[Half]] = field(default_factory=dict[str, list[Half]])
    waiting: int = 0
    is_overfull: bool = False

    def add(self, entry: Entry, line: int) -> None:
        """Take the phase of an entry into account."""
        match entry.event.get("phase"):
            case "intent" if entry.trace_id:
                self.add_intent(entry.trace_id, Half(entry.seq, line))
            case "outcome" if entry.trace_id:
                self.add_outcome(entry.trace_id, Half(entry.seq, line))
            case _:
                pass

    def add_intent(self, trace_id: str, half: Half) -> None:
        """Remember an intent."""
        self._remember(self.intents, trace_id, half)

    def add_outcome(self, trace_id: str, half: Half) -> None:
        """Let an outcome answer the oldest intent of its trace."""
        waiting = self.intents.get(trace_id)
        if waiting is None:
            self._remember(self.outcomes, trace_id, half)
            return
        self.waiting -= 1
        if len(waiting) == 1:
            del self.intents[trace_id]
        else:
            del waiting[0]

    def _remember(self, halves: dict[str, list[Half]], trace_id: str, half: Half) -> None:
        if self.waiting >= MAX_OPEN:
            self.is_overfull = True
            return
        self.waiting += 1
        halves.setdefault(trace_id, []).append(half)


def unpaired(pairings: Sequence[Pairing]) -> Iterator[Finding]:
    """Yield a note for each half that has no other half in any segment."""
    if any(pairing.is_overfull for pairing in pairings):
        return
    traces: defaultdict[str, dict[int, tuple[bool, str, Half]]] = defaultdict(dict)
    for pairing in pairings:
        for is_intent, halves in ((True, pairing.intents), (False, pairing.outcomes)):
            for trace_id, waiting in halves.items():
                # By number: a half that stands in two copies of a segment is one half.
                traces[trace_id] |= {half.seq: (is_intent, pairing.path, half) for half in waiting}
    for trace_id, halves in traces.items():
        yield from _unpaired_in_trace(trace_id, [half for _, half in sorted(halves.items())])


def _unpaired_in_trace(trace_id: str, halves: list[tuple[bool, str, Half]]) -> Iterator[Finding]:
    waiting: list[Finding] = []
    for is_intent, path, half in halves:
        place = Place(path, half.line, None, half.seq)
        if is_intent:
            waiting.append(Finding(FindingCode.UNANSWERED_INTENT, place, f"an outcome of trace {trace_id}", "none"))
        elif waiting:
            del waiting[0]
        else:
            yield Finding(FindingCode.OUTCOME_WITHOUT_INTENT, place, f"an intent of trace {trace_id}", "none")
    yield from waiting
