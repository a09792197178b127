"""A bound on how fast something may be recorded, so that a flood of bad frames cannot fill the disk."""

from __future__ import annotations

from collections.abc import Callable


class Throttle:
    """Admits `burst` events at once and `per_second` after that, and counts those that it does not admit."""

    def __init__(self, burst: int, per_second: float, clock: Callable[[], int]) -> None:
        self._burst = burst
        self._per_nanosecond = per_second / 1e9
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()
        self._held_back = 0

    @property
    def held_back(self) -> int:
        """Return how many were held back since the last one that was admitted."""
        return self._held_back

    def admit(self) -> int | None:
        """Return how many were held back since the last one that was admitted; None to hold this one back."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_nanosecond)
        self._at = now
        if self._tokens < 1:
            self._held_back += 1
            return None
        self._tokens -= 1
        held_back, self._held_back = self._held_back, 0
        return held_back
