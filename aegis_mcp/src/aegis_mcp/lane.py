"""One direction of the traffic: the ways to both of its ends, and its requests that wait for an answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from aegis_mcp.audit.record import Asked
from aegis_mcp.decision import Secrets
from aegis_mcp.frame import Frame, FrameId

MAX_IN_FLIGHT: Final = 4096
"""How many requests of one direction may wait for their answers at the same time."""

MAX_BYTES_IN_FLIGHT: Final = 64 * 1024 * 1024
"""How many bytes they may have together."""


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
        self.reserved: set[FrameId | None] = set()
        self._flights: dict[FrameId | None, Flight] = {}
        self._size = 0
        self._unwanted: dict[FrameId | None, None] = {}

    def is_taken(self, request_id: FrameId | None) -> bool:
        """Tell whether an id is in use."""
        return request_id in self._flights or request_id in self.reserved

    def flying(self, method: str) -> list[Frame]:
        """Return the requests for a method that wait for their answers."""
        return [flight.frame for flight in self._flights.values() if flight.frame.method == method]

    def obstacle(self, frame: Frame) -> str | None:
        """Say why a request cannot take off, None if it can."""
        if self.is_taken(frame.id):
            return "a request with this id still waits for its answer"
        if len(self._flights) >= MAX_IN_FLIGHT:
            return f"{MAX_IN_FLIGHT} requests wait for their answers"
        if self._size + len(frame.raw) > MAX_BYTES_IN_FLIGHT:
            return f"requests of {self._size} bytes wait for their answers"
        return None

    def take_off(self, flight: Flight) -> None:
        """Keep a request until its answer comes."""
        request_id = flight.frame.id
        if self._unwanted:
            self._unwanted.pop(request_id, None)
        self._flights[request_id] = flight
        self._size += len(flight.frame.raw)

    def land(self, request_id: FrameId | None) -> Flight | None:
        """Take the request out that an answer belongs to."""
        flight = self._flights.pop(request_id, None)
        if flight:
            self._size -= len(flight.frame.raw)
        return flight

    def land_all(self) -> list[Flight]:
        """Take every request out, oldest first."""
        flights = list(self._flights.values())
        self._flights.clear()
        self._size = 0
        return flights

    def cancel(self, request_id: FrameId | None) -> Flight | None:
        """Take a request out whose answer is not wanted any more, and remember to drop that answer."""
        flight = self.land(request_id)
        if flight:
            self._unwanted[request_id] = None
            if len(self._unwanted) > MAX_IN_FLIGHT:
                del self._unwanted[next(iter(self._unwanted))]
        return flight

    def cancel_all(self) -> list[Flight]:
        """Take every request out, oldest first, and remember to drop their answers."""
        return [flight for request_id in list(self._flights) if (flight := self.cancel(request_id))]

    def was_cancelled(self, request_id: FrameId | None) -> bool:
        """Tell, once, whether an answer is one that nobody wants any more."""
        return self._unwanted.pop(request_id, request_id) is None
