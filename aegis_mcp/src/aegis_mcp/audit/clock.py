"""The time of entries."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Writes the time as RFC 3339 in UTC with six fraction digits; `now` gives nanoseconds since the epoch."""

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        self._now = now
        self._second = (-1, "")

    def timestamp(self) -> str:
        """Return the time now."""
        return self.at(self._now())

    def at(self, nanoseconds: int) -> str:
        """Return the time so many nanoseconds after the epoch."""
        second, microseconds = divmod(nanoseconds // 1000, 1_000_000)
        if self._second[0] != second:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        digits = str(1_000_000 + microseconds)[1:]  # six of them, at a quarter of what a format costs
        return f"{self._second[1]}.{digits}Z"
