"""An upstream as a process of its own, in a process group of its own.

It never outlives the gateway by more than `STOP_SECONDS`: its input is closed, then its group is told to end, then
it is ended. A host asks the gateway to end after 2 s and ends it after 4 s, so all of that fits in less.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import Final

from aegis_mcp.upstream.guardian import Guardian
from aegis_mcp.upstream.launch import Launch
from aegis_mcp.wire import Inbox, Outbox, read_lines, write_lines

_EOF_SECONDS: Final = 1.0
_TERM_SECONDS: Final = 0.6
_KILL_SECONDS: Final = 0.2
STOP_SECONDS: Final = _EOF_SECONDS + _TERM_SECONDS + _KILL_SECONDS


class UpstreamProcess:
    """A running upstream: its lines come from `inbox`, lines to it go to `outbox`."""

    def __init__(self, process: subprocess.Popen[bytes], inbox: Inbox, outbox: Outbox, guardian: Guardian) -> None:
        self._process = process
        self._guardian = guardian
        self._ended = asyncio.Event()
        self.inbox = inbox
        self.outbox = outbox
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._wait, args=(loop,), daemon=True).start()

    @classmethod
    async def start(cls, launch: Launch) -> UpstreamProcess:
        """Start a command, or go on with what was started ahead.

        Raises:
            UpstreamUnavailable: the command does not exist or cannot be run.
        """
        process = launch.take()
        assert process.stdin  # noqa: S101 - PIPE was asked for
        assert process.stdout  # noqa: S101 - PIPE was asked for
        inbox = await read_lines(os.dup(process.stdout.fileno()))
        outbox = await write_lines(os.dup(process.stdin.fileno()))
        process.stdout.close()
        process.stdin.close()
        return cls(process, inbox, outbox, launch.guardian)

    @property
    def pid(self) -> int:
        """Return the id of the process, and on POSIX of its group."""
        return self._process.pid

    async def ended(self) -> str:
        """Wait until the process has ended, or is of no more use because it does not read, and say how."""
        ended, deaf = asyncio.create_task(self._ended.wait()), asyncio.create_task(self.outbox.gone())
        try:
            await asyncio.wait({ended, deaf}, return_when=asyncio.FIRST_COMPLETED)
            # The end of a process is the end of its input too, and may be noticed a little later.
            if not await self._ends_within(_GRACE_SECONDS):
                return "does not read any more"
        finally:
            ended.cancel()
            deaf.cancel()
        status = self._process.returncode
        return f"ended by signal {-status}" if status < 0 else f"exited with status {status}"

    async def stop(self) -> None:
        """End the process within `STOP_SECONDS`; what it has started and left behind in its group ends with it."""
        await self.outbox.close(_EOF_SECONDS / 4)
        if not await self._ends_within(_EOF_SECONDS * 3 / 4):
            self._signal(signal.SIGTERM)
            if not await self._ends_within(_TERM_SECONDS):
                self._signal(_KILL)
                await self._ends_within(_KILL_SECONDS)

    async def _ends_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._ended.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        if hasattr(os, "waitid"):
            # Until it is waited for, its id is nobody else's: now what it has left behind in its group can be ended.
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
            self._signal(_KILL)
        self._guardian.release(self._process.pid)
        self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
            loop.call_soon_threadsafe(self._has_ended)

    def _has_ended(self) -> None:
        self._ended.set()
        # A grandchild may hold the pipe open: the stream ends with the process that speaks the protocol.
        asyncio.get_running_loop().call_later(_GRACE_SECONDS, self.inbox.close)

    def _signal(self, number: int) -> None:
        try:
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # the group is empty


_GRACE_SECONDS: Final = 0.1
"""How long after the end of a process what it still had in the pipe is read."""

_KILL: Final = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL
