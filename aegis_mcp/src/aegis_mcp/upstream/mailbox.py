"""The lines from and to an upstream that no descriptor carries, bounded like those that one does."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Final

from aegis_mcp.upstream.link import Gate

_HIGH_WATER: Final = 4 * 1024 * 1024
_MOST_UNSENT: Final = 64 * 1024 * 1024
"""Bytes that wait to be sent at the most; one that takes them no faster is cut off."""


class Arrivals:
    """The lines that have arrived and nobody has taken yet."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._is_over = False

    async def batch(self, shortcut: Gate | None = None) -> list[bytes]:  # noqa: ARG002 - who puts lines in goes on
        """Return every line that has arrived, waiting for the first; empty once there will be no more."""
        if not self._is_over:
            await self._some.wait()
        lines, self._lines = self._lines, []
        self._size = 0
        self._some.clear()
        self._room.set()
        return lines

    async def put(self, line: bytes) -> None:
        """Add a line, waiting while too much is there that nobody has taken."""
        await self._room.wait()
        self.put_now(line)

    def put_now(self, line: bytes) -> None:
        """Add a line of the gateway's own, which is short."""
        if self._is_over:
            return
        self._lines.append(line)
        self._size += len(line)
        self._some.set()
        if self._size > _HIGH_WATER:
            self._room.clear()

    def close(self) -> None:
        """End the stream: `batch` gives what is there, then nothing."""
        self._is_over = True
        self._some.set()
        self._room.set()


class Departures:
    """The lines that are to leave, in order; `overflow` is set once more is waiting than will ever be taken."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._is_closed = False
        self.overflow = asyncio.Event()

    def send(self, line: bytes) -> None:
        """Add a line; what a peer that has gone would have got is dropped."""
        if self._is_closed:
            return
        self._lines.append(line)
        self._size += len(line)
        self._some.set()
        self._idle.clear()
        if self._size > _HIGH_WATER:
            self._room.clear()
        if self._size > _MOST_UNSENT:
            self.overflow.set()

    @property
    def is_idle(self) -> bool:
        """Return whether everything has left."""
        return self._idle.is_set()

    async def emptied(self) -> None:
        """Wait until everything has left."""
        await self._idle.wait()

    @property
    def has_room(self) -> bool:
        """Return whether enough of what was sent before has left."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait until enough of what was sent before has left."""
        await self._room.wait()

    async def close(self, seconds: float) -> None:
        """Take no more lines, and give those that wait so many seconds to leave."""
        self._is_closed = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        self._lines.clear()
        self._room.set()

    async def next(self) -> bytes:
        """Take the next line, waiting for it; who asks for one has sent the one before."""
        while not self._lines:
            self._idle.set()
            self._some.clear()
            await self._some.wait()
        line = self._lines.popleft()
        self._size -= len(line)
        if self._size <= _HIGH_WATER:
            self._room.set()
        return line
