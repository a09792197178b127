"""Lines over pipes: what has arrived in batches, what goes out in order.

Nothing here is unbounded: a line keeps at most one byte more than a frame may have, and a peer that outruns the gate
is no longer read until the gate has caught up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import sys
import threading
from typing import Final, cast

from aegis_mcp.frame import END_SIZE, MAX_FRAME
from aegis_mcp.upstream.link import DONE, Gate

_HIGH_WATER: Final = 4 * 1024 * 1024
_MOST_UNSENT: Final = 64 * 1024 * 1024
"""Bytes that wait for a peer at the most; one that leaves more unread is cut off."""

_LINE_COST: Final = 256
"""Bytes that a line counts beside its own: many short ones take memory too."""

_MOST_LINES: Final = 512
"""Lines that are taken at once: what else is to be done must not wait for a flood of short ones."""

_COPY_SIZE: Final = 64 * 1024


class Inbox(asyncio.Protocol):
    """The lines that a peer has sent and nobody has taken yet."""

    def __init__(self) -> None:
        self._transport: asyncio.ReadTransport | None = None
        self._unfinished: list[bytes] = []
        self._unfinished_size = 0
        self._end = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._shortcut: Gate | None = None
        self._passing: asyncio.Future[None] | None = None
        self._is_over = False

    async def batch(self, shortcut: Gate | None = None) -> list[bytes]:
        """Return the lines that have arrived, LF excluded, waiting for the first; empty once the peer has closed.

        While it waits, lines go through the `shortcut` as soon as they arrive, without another turn of the event loop.
        What comes before that is done with them stays until then: nothing overtakes.

        A line of more than `MAX_FRAME` bytes loses what is too much of its middle: one byte more than a frame may have
        is left of it.
        """
        while not self._lines and not self._is_over:
            self._waiter, self._shortcut = asyncio.get_running_loop().create_future(), shortcut
            await self._waiter
            if self._passing:
                passing, self._passing = self._passing, None
                await passing
        if len(self._lines) > _MOST_LINES:
            await asyncio.sleep(0)  # what has arrived elsewhere has its turn
            lines, self._lines = self._lines[:_MOST_LINES], self._lines[_MOST_LINES:]
            return lines
        lines, self._lines = self._lines, []
        if self._size > _HIGH_WATER and self._transport and not self._is_over:
            self._transport.resume_reading()
        self._size = 0
        return lines

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to pause it."""
        self._transport = cast("asyncio.ReadTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Cut what arrived into lines."""
        *ended, rest = data.split(b"\n")
        was_below = self._size <= _HIGH_WATER
        for part in ended:
            is_whole = not self._unfinished_size and len(part) <= MAX_FRAME
            line = part if is_whole else self._finished(part)
            self._lines.append(line)
            self._size += len(line) + _LINE_COST
        if rest:
            self._keep(rest)
        if was_below and self._size > _HIGH_WATER and self._transport:
            self._transport.pause_reading()
        if self._lines:
            self._hand_over()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Hand over what is left: a last line without LF is a line."""
        self.close()

    def close(self) -> None:
        """End the stream, whatever the peer does: `batch` gives what is there, then nothing."""
        if self._transport:
            self._transport.close()
        if self._unfinished_size:
            self._lines.append(self._finished(b""))
        self._is_over = True
        self._wake()

    def _hand_over(self) -> None:
        """Pass what has arrived through the shortcut; where there is none, or it is much at once, wake who waits."""
        waiter, shortcut = self._waiter, self._shortcut
        if not waiter or waiter.done():
            return
        if not shortcut or len(self._lines) > _MOST_LINES or self._size > _HIGH_WATER:
            waiter.set_result(None)
            return
        lines, self._lines, self._size = self._lines, [], 0
        try:
            passing = shortcut(lines)
        except Exception as exc:  # noqa: BLE001 - who waits gets it: the event loop would print it and go on
            waiter.set_exception(exc)
            return
        if passing is not DONE:
            self._passing = asyncio.ensure_future(passing)
            waiter.set_result(None)

    def _keep(self, part: bytes) -> None:
        room = MAX_FRAME + 1 - self._unfinished_size
        if len(part) > room:
            self._end = (self._end + part[room:])[-END_SIZE:]
            part = part[:room]
        if part:
            self._unfinished.append(part)
            self._unfinished_size += len(part)

    def _finished(self, part: bytes) -> bytes:
        """Return the line that ends with this part."""
        self._keep(part)
        line, end = b"".join(self._unfinished), self._end
        self._unfinished, self._unfinished_size, self._end = [], 0, b""
        return line[: len(line) - len(end)] + end if end else line

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


class Outbox(asyncio.BaseProtocol):
    """The way to a peer: lines leave in the order in which they were sent."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._room = asyncio.Event()
        self._room.set()
        self.has_room = True
        self._gone = asyncio.Event()
        self._copier: threading.Thread | None = None
        self.is_closed = False

    def send(self, line: bytes) -> None:
        """Send a line, adding the LF; what a peer that has gone would have got is dropped."""
        if self._transport and not self.is_closed:
            self._transport.write(line + b"\n")
            if not self.has_room and self._transport.get_write_buffer_size() > _MOST_UNSENT:
                self._transport.abort()
                self.is_closed = True

    async def room(self) -> None:
        """Wait until the peer has taken enough of what was sent before."""
        await self._room.wait()

    async def gone(self) -> None:
        """Wait until the peer does not take any more."""
        await self._gone.wait()

    async def close(self, seconds: float) -> None:
        """Close the way once everything has left, within so many seconds."""
        if self._transport and not self.is_closed:
            self._transport.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), seconds)
        self.is_closed = True
        if self._copier:
            await asyncio.to_thread(self._copier.join, seconds)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to write to it."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)

    def pause_writing(self) -> None:
        """Make senders wait: the peer reads too slowly."""
        self.has_room = False
        self._room.clear()

    def resume_writing(self) -> None:
        """Let senders go on."""
        self.has_room = True
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Let nobody wait for a peer that has gone."""
        self.is_closed = True
        self.resume_writing()
        self._gone.set()

    def copied_by(self, copier: threading.Thread) -> None:
        """Remember the thread that must have finished before the way is closed."""
        self._copier = copier


async def read_lines(descriptor: int) -> Inbox:
    """Return the inbox of a descriptor, which it owns from now on."""
    loop = asyncio.get_running_loop()
    if _is_pollable(descriptor):
        _, inbox = await loop.connect_read_pipe(Inbox, os.fdopen(descriptor, "rb", buffering=0))
        return inbox
    ours, theirs = socket.socketpair()
    threading.Thread(target=_copy_in, args=(descriptor, theirs), daemon=True).start()
    _, inbox = await loop.create_connection(Inbox, sock=ours)
    return inbox


async def write_lines(descriptor: int) -> Outbox:
    """Return the outbox of a descriptor, which it owns from now on."""
    loop = asyncio.get_running_loop()
    if _is_pollable(descriptor):
        _, outbox = await loop.connect_write_pipe(Outbox, os.fdopen(descriptor, "wb", buffering=0))
        return outbox
    ours, theirs = socket.socketpair()
    copier = threading.Thread(target=_copy_out, args=(theirs, descriptor), daemon=True)
    copier.start()
    _, outbox = await loop.create_connection(cast("type[asyncio.Protocol]", Outbox), sock=ours)
    result = cast("Outbox", outbox)
    result.copied_by(copier)
    return result


def _is_pollable(descriptor: int) -> bool:
    # An event loop cannot wait for a regular file, and on Windows not for an anonymous pipe: a thread copies those.
    mode = os.fstat(descriptor).st_mode
    return sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def _copy_in(descriptor: int, sink: socket.socket) -> None:
    try:
        while data := os.read(descriptor, _COPY_SIZE):
            sink.sendall(data)
    except OSError:
        pass  # either side has gone: the stream ends, as it does for a pipe
    finally:
        sink.close()


def _copy_out(source: socket.socket, descriptor: int) -> None:
    try:
        while data := source.recv(_COPY_SIZE):
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
    except OSError:
        pass  # the peer has gone
    finally:
        source.close()
