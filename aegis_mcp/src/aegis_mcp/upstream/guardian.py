"""A process that outlives a killed gateway just long enough to end the process groups that it had started.

It is a fork that does nothing but wait for the end of a pipe: SIGKILL of the gateway closes the pipe. A parent-death
signal would reach the upstream alone; this reaches everything in its group, on every POSIX system.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import TracebackType
from typing import Final, Self

_IGNORED: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE")
_LINE: Final = 32
_DESCRIPTORS: Final = 4096


class Guardian:
    """The gateway's end of the pipe; on Windows, where there is no fork, it guards nothing."""

    def __init__(self, pipe: int | None, pid: int) -> None:
        self._pipe = pipe
        self._pid = pid

    @classmethod
    def start(cls) -> Guardian:
        """Start the guardian; the process must have no threads yet."""
        if sys.platform == "win32":
            return cls(None, 0)
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            # Nothing of the gateway's may run in here any more: not its exit handlers, not its exceptions.
            try:
                _guard(read_end)
            finally:
                os._exit(0)
        os.close(read_end)
        return cls(write_end, pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.dismiss()

    def enlist(self) -> None:
        """End this process and its group if the gateway is killed: for a child, before it runs what it is to run.

        To tell the guardian after the start would leave a moment in which nobody knows of what has been started.
        """
        self._tell(f"+{os.getpid()}")

    def strike(self) -> None:
        """Forget what has enlisted and could not run anything: its id may soon be somebody else's."""
        self._tell("-0")

    def release(self, group: int) -> None:
        """Forget this process group: it has ended."""
        self._tell(f"-{group}")

    def dismiss(self) -> None:
        """End the guardian."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)

    def _tell(self, line: str) -> None:
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, line.ljust(_LINE - 1).encode("ascii") + b"\n")


def _guard(pipe: int) -> None:
    """Follow what is started and ended until the gateway's end of the pipe closes; then end what is left."""
    os.setsid()
    for name in _IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    # The host waits for the end of the gateway's descriptors: none may stay open in here.
    os.dup2(pipe, 0)
    os.closerange(1, _DESCRIPTORS)
    groups: set[int] = set()
    while line := os.read(0, _LINE):
        group = int(line[1:])
        if line.startswith(b"+"):
            groups.add(group)
        elif group:
            groups.discard(group)
        else:
            groups = {group for group in groups if _signal(group, 0)}
    for group in groups:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process group; tell whether there is one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
