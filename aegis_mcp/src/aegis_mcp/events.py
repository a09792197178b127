"""What the gateway says of its own life: to the log, and to the person who reads the host's logs."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import Final

from aegis_mcp.audit.record import EventKind, Recordkeeper
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.audit.redaction import scrub
from aegis_mcp.errors import AuditUnavailable

_STDERR: Final = 2
_AT_ONCE: Final = 4096
"""Bytes that a pipe which can be written to takes without waiting (POSIX, PIPE_BUF on Linux)."""


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


def say(message: str) -> None:
    """Say something on stderr, where hosts look, without secrets; nothing waits for a host that does not read it."""
    line = f"aegis-mcp: {scrub(message)}\n".encode("utf-8", "replace")
    with contextlib.suppress(OSError):
        if sys.platform == "win32" or select.select([], [_STDERR], [], 0)[1]:
            os.write(_STDERR, line[:_AT_ONCE])
