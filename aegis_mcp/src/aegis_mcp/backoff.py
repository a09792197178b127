"""How long to wait before an upstream that has ended is started again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

SHORTEST: Final = 0.25
LONGEST: Final = 60.0
"""Seconds; each pause is twice the one before, from the shortest to the longest."""

STEADY: Final = 60.0
"""An upstream that has lived for so many seconds is started again after the shortest pause."""


class Backoff:
    """Pauses that double, so that an upstream which keeps dying costs next to nothing; `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = SHORTEST
        self._started = clock()

    def started(self) -> None:
        """Note that an upstream has been started."""
        self._started = self._clock()

    def pause(self) -> float:
        """Return how many seconds to wait after the end of what was started last."""
        if self._clock() - self._started >= STEADY:
            self._next = SHORTEST
        pause, self._next = self._next, min(self._next * 2, LONGEST)
        return pause
