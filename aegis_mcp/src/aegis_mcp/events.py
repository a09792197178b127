"""What the gateway says of its own life to the log, and where that is impossible to a person."""

from __future__ import annotations

from aegis_mcp.audit.record import EventKind, Recordkeeper
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.notice import say


class Events:
    """The events of one gateway."""

    def __init__(self, keeper: Recordkeeper, recorder: Recorder) -> None:
        self._keeper = keeper
        self._recorder = recorder

    async def record(self, kind: EventKind, **details: object) -> None:
        """Record an event; where that is impossible the gateway goes on, and every call will say why it is refused."""
        try:
            await self._recorder.commit([self._keeper.security(kind, details)], is_write=False)
        except AuditUnavailable as exc:
            say(f"{kind.value} is not recorded: {exc}")

    async def close(self, why: str) -> None:
        """Bring the log to its end, which is signed where the policy says so."""
        await self.record(EventKind.GATEWAY_STOPPED, reason=why, **self._keeper.unrecorded())
        try:
            await self._recorder.close()
        except AuditUnavailable as exc:
            say(f"the end of the log is not signed: {exc}")
