"""Requests that were sent and whose answer is not in the log.

An intent and its outcome share a trace; where one trace holds several requests, the oldest intent is answered first.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from aegis_audit.entry import Entry
from aegis_audit.reading import Found
from aegis_audit.row import name_of, text_of

MAX_OPEN: Final = 32_768
"""Intents that are remembered while their outcome has not come; beyond that the oldest is only counted."""

MAX_NAMED: Final = 100
"""Unanswered intents that an output names one by one."""

HOLD: Final = 4 << 20
"""Bytes of lines that `settle` holds back until it is known whether the first of them is answered."""

_MAX_NAME: Final = 200


class Intent(NamedTuple):
    """An intent in brief; names are cut to 200 characters."""

    seq: int
    timestamp: str
    server: str
    name: str


class Unanswered:
    """The intents, by the hashes of their entries, whose outcome has not been seen yet; oldest first."""

    def __init__(self) -> None:
        self.intents: OrderedDict[str, Intent] = OrderedDict()  # a dict is slow at its old end
        self._given_up = 0
        self._by_trace: dict[str, deque[str]] = {}
        self._traces: dict[str, str] = {}

    def __contains__(self, entry: Entry) -> bool:
        return entry.entry_hash in self.intents

    @property
    def count(self) -> int:
        """Return how many there are; more than `MAX_OPEN` at once make it an upper bound."""
        return len(self.intents) + self._given_up

    def to_json(self) -> dict[str, Any]:
        """Return the number and the first intents as plain JSON values."""
        return {"count": self.count, "first": [intent._asdict() for intent in self.first()]}

    def first(self) -> list[Intent]:
        """Return the first intents, at most `MAX_NAMED`."""
        return list(islice(self.intents.values(), MAX_NAMED))

    def take(self, entry: Entry) -> None:
        """Take the phase of an entry into account."""
        if entry.trace_id is None:
            return
        match entry.event.get("phase"):
            case "intent":
                self._open(entry, entry.trace_id)
            case "outcome" if waiting := self._by_trace.get(entry.trace_id):
                self._forget(waiting[0])
            case _:
                pass

    def _open(self, entry: Entry, trace_id: str) -> None:
        server, name = text_of(entry.event.get("server")), name_of(entry.event)
        self.intents[entry.entry_hash] = Intent(entry.seq, entry.timestamp, server[:_MAX_NAME], name[:_MAX_NAME])
        self._traces[entry.entry_hash] = trace_id
        self._by_trace.setdefault(trace_id, deque()).append(entry.entry_hash)
        if len(self.intents) > MAX_OPEN:
            self._given_up += 1
            self._forget(next(iter(self.intents)))

    def _forget(self, entry_hash: str) -> None:
        del self.intents[entry_hash]
        trace_id = self._traces.pop(entry_hash)
        waiting = self._by_trace[trace_id]
        waiting.popleft()  # of one trace, too, the oldest goes first
        if not waiting:
            del self._by_trace[trace_id]


class Settled(NamedTuple):
    """An entry, and whether it is an intent whose answer is known to be missing."""

    found: Found
    is_unanswered: bool


def settle(
    entries: Iterable[Found], unanswered: Unanswered, look_ahead: Callable[[], Unanswered], hold: int = HOLD
) -> Iterator[Settled]:
    """Yield `entries` in their order, an intent once it is known whether its answer comes.

    `hold` bytes of lines may wait for that. When they are exceeded, `look_ahead` is asked once which intents stay
    without an answer in all that there is.
    """
    held: deque[Found] = deque()
    size, ahead = 0, None
    for found in entries:
        unanswered.take(found.entry)
        held.append(found)
        size += found.line.length
        while held and (size > hold or held[0].entry not in unanswered):
            first = held.popleft()
            size -= first.line.length
            is_open = first.entry in unanswered
            ahead = look_ahead() if is_open and ahead is None else ahead
            yield Settled(first, is_open and ahead is not None and first.entry in ahead)
    for found in held:
        yield Settled(found, found.entry in unanswered)
