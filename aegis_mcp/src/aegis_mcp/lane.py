"""One direction of the traffic: the ways to both of its ends, and its requests that wait for an answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from aegis_mcp.audit.record import Asked
from aegis_mcp.decision import Secrets
from aegis_mcp.frame import FlightKey, Frame

MAX_IN_FLIGHT: Final = 4096
"""How many requests of one direction may wait for their answers at the same time."""


class Flight(NamedTuple):
    """One request that was forwarded: `asked` is None where the log says nothing of it, `started` is in ns.

    `secrets` is what happens to credentials in its result, None for what holds for all.
    """

    frame: Frame
    asked: Asked | None
    started: int
    secrets: Secrets | None = None

    @property
    def duration_us(self) -> int:
        """Return how long ago the request was forwarded, in microseconds."""
        return (time.monotonic_ns() - self.started) // 1000


class Lane:
    """The requests that one peer makes of the other.

    `forward` sends towards the peer that is asked, `answer` back to the one that asks. `reserved` are ids that are in
    use though no request of this lane has them: of questions of the gateway's own, and of requests that wait for one.
    """

    def __init__(self, forward: Callable[[bytes], None], answer: Callable[[bytes], None]) -> None:
        self.forward = forward
        self.answer = answer
        self.reserved: set[FlightKey] = set()
        self._flights: dict[FlightKey, Flight] = {}
        self._unwanted: dict[FlightKey, None] = {}

    def is_taken(self, key: FlightKey) -> bool:
        """Tell whether an id is in use."""
        return key in self._flights or key in self.reserved

    def flying(self, method: str) -> list[Frame]:
        """Return the requests for a method that wait for their answers."""
        return [flight.frame for flight in self._flights.values() if flight.frame.method == method]

    def obstacle(self, frame: Frame) -> str | None:
        """Say why a request cannot take off, None if it can."""
        if self.is_taken(frame.key):
            return "a request with this id still waits for its answer"
        if len(self._flights) >= MAX_IN_FLIGHT:
            return f"{MAX_IN_FLIGHT} requests wait for their answers"
        return None

    def take_off(self, flight: Flight) -> None:
        """Keep a request until its answer comes."""
        key = flight.frame.key
        self._unwanted.pop(key, None)
        self._flights[key] = flight

    def land(self, key: FlightKey) -> Flight | None:
        """Take the request out that an answer belongs to."""
        return self._flights.pop(key, None)

    def land_all(self) -> list[Flight]:
        """Take every request out, oldest first."""
        flights = list(self._flights.values())
        self._flights.clear()
        return flights

    def cancel(self, key: FlightKey) -> Flight | None:
        """Take a request out whose answer is not wanted any more, and remember to drop that answer."""
        flight = self._flights.pop(key, None)
        if flight:
            self._unwanted[key] = None
            if len(self._unwanted) > MAX_IN_FLIGHT:
                del self._unwanted[next(iter(self._unwanted))]
        return flight

    def cancel_all(self) -> list[Flight]:
        """Take every request out, oldest first, and remember to drop their answers."""
        return [flight for key in list(self._flights) if (flight := self.cancel(key))]

    def was_cancelled(self, key: FlightKey) -> bool:
        """Tell, once, whether an answer is one that nobody wants any more."""
        return self._unwanted.pop(key, key) is None
