"""What the gateway says of its own life to the log, and where that is impossible to a person."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial

from aegis_mcp.audit.record import EventKind, Recordkeeper
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.notice import say


class Events:
    """The events of one gateway."""

    def __init__(self, keeper: Recordkeeper, recorder: Recorder) -> None:
        self._keeper = keeper
        self._recorder = recorder
        self._noted: set[asyncio.Future[None]] = set()

    async def record(self, kind: EventKind, **details: object) -> None:
        """Record an event; where that is impossible the gateway goes on, and every call will say why it is refused."""
        try:
            await self._ask(kind, details)
        except AuditUnavailable as exc:
            _complain(kind, exc)

    def note(self, kind: EventKind, **details: object) -> None:
        """Record an event for which nobody waits, before all that comes after it."""
        try:
            noted = asyncio.ensure_future(self._ask(kind, details))
        except AuditUnavailable as exc:
            _complain(kind, exc)
            return
        self._noted.add(noted)
        noted.add_done_callback(partial(self._has_noted, kind))

    def _has_noted(self, kind: EventKind, noted: asyncio.Future[None]) -> None:
        self._noted.discard(noted)
        if not noted.cancelled() and isinstance(error := noted.exception(), AuditUnavailable):
            _complain(kind, error)

    def _ask(self, kind: EventKind, details: Mapping[str, object]) -> Awaitable[None]:
        return self._recorder.commit([self._keeper.security(kind, details)], is_write=False)

    def hurry(self, seconds: float) -> None:
        """Let the log have so long for all that is still to come."""
        self._recorder.hurry(seconds)

    async def close(self, why: str) -> None:
        """Bring the log to its end, which is signed where the policy says so."""
        await self.record(EventKind.GATEWAY_STOPPED, reason=why, **self._keeper.unrecorded())
        try:
            await self._recorder.close()
        except AuditUnavailable as exc:
            say(f"the end of the log is not signed: {exc}")


def _complain(kind: EventKind, failure: AuditUnavailable) -> None:
    say(f"{kind.value} is not recorded: {failure}")
