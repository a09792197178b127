"""The entries that are asked for, and an account of all that was read.

What is shown, what was filtered out and what could not be shown always add up to what was read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from aegis_audit.answer import HOLD, Settled, Unanswered, settle
from aegis_audit.query import Query
from aegis_audit.reading import Reading, Source


class Listing:
    """One pass over a log: the entries that `query` asks for, of them the first `limit` or the `last` ones.

    `hold` is how many bytes may be held back to learn whether a request was answered; `progress` is called with the
    bytes of each step.
    """

    def __init__(
        self,
        query: Query,
        *,
        limit: int | None = None,
        last: int | None = None,
        hold: int = HOLD,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.reading = Reading(progress)
        self.unanswered = Unanswered()
        self.shown = 0
        self._query = query
        self._limit = limit
        self._last = last
        self._hold = hold

    @property
    def filtered(self) -> int:
        """Return how many intact entries are not shown, those among them that were read ahead of the limit."""
        return self.reading.entries - self.reading.repeated - self.shown

    @property
    def is_cut_short(self) -> bool:
        """Tell whether the reading ended with the limit, and not with the log."""
        return self.shown == self._limit

    def entries(
        self, sources: Iterable[Source], look_ahead: Callable[[], Unanswered] = Unanswered
    ) -> Iterator[Settled]:
        """Yield the entries that are asked for; `look_ahead` is `unanswered_in` the same sources, if they last."""
        settled = settle(self.reading.read(sources), self.unanswered, look_ahead, self._hold)
        asked: Iterable[Settled] = (one for one in settled if self._query.matches(one.found.entry))
        if self._last is not None:
            asked = deque(asked, self._last)
        for one in islice(asked, self._limit):
            self.shown += 1
            yield one

    def to_json(self) -> dict[str, Any]:
        """Return the account as plain JSON values."""
        return {
            "shown": self.shown,
            "filtered": self.filtered,
            "is_cut_short": self.is_cut_short,
            "unanswered": self.unanswered.to_json(),
            **self.reading.to_json(),
        }


def unanswered_in(sources: Iterable[Source]) -> Unanswered:
    """Return the intents that have no answer in all of `sources`."""
    unanswered = Unanswered()
    for found in Reading().read(sources):
        unanswered.take(found.entry)
    return unanswered
