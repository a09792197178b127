"""What happens between the gateway and a remote upstream beside the messages, and belongs into the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from aegis_audit.value import Value

_MOST_WAITING: Final = 256
"""How many may wait to be recorded; a flood of failures must not fill the memory."""


class IncidentKind(Enum):
    """The kinds, by the names that they have in the log."""

    CREDENTIALS_REGISTERED = "credentials_registered"
    LOGGED_IN = "logged_in"
    LOGGED_OUT = "logged_out"
    REFRESH_FAILED = "refresh_failed"
    REQUEST_FAILED = "request_failed"
    SESSION_RENEWED = "session_renewed"
    STATE_REFUSED = "state_refused"


class Incident(Value):
    """One of them; `details` hold no secret."""

    kind: IncidentKind
    details: Mapping[str, object] = MappingProxyType[str, object]({})


class Incidents:
    """Those of one upstream that wait to be recorded, oldest first."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._waiting: asyncio.Queue[Incident] = asyncio.Queue(_MOST_WAITING)
        self._unreported = 0

    def report(self, kind: IncidentKind, **details: object) -> None:
        """Add one; where too many wait it is only counted, and the next one says how many were."""
        if self._waiting.full():
            self._unreported += 1
            return
        if self._unreported:
            details["unrecorded_before"], self._unreported = self._unreported, 0
        self._waiting.put_nowait(Incident(kind, {"server": self._server, **details}))

    async def next(self) -> Incident:
        """Take the oldest, waiting for it."""
        return await self._waiting.get()

    def rest(self) -> list[Incident]:
        """Take all that wait."""
        return [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
