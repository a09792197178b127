"""Whose turn it is to write to a log: one process at a time, and nobody stays while another waits.

<dir>/<stem>.tlog/lock     locked by the one who writes
<dir>/<stem>.tlog/queue    locked by one who waits
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from aegis_mcp.audit.sidecar import is_at, open_own, sidecar_of
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.lock import try_lock, unlock

_FIRST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.02


class LogLocked(AuditUnavailable):
    """Another process holds the lock of the log."""


class Turn:
    """The turns of one process at one log; `is_ours` tells whether it has its turn now."""

    def __init__(self, log: Path) -> None:
        self._log = log
        sidecar = sidecar_of(log)
        self._directories = (log.parent, sidecar)
        self._lock_path, self._queue_path = str(sidecar / "lock"), str(sidecar / "queue")
        self._lock: int | None = None
        self._queue: int | None = None
        self.is_ours = False

    def take(self, patience: float) -> None:
        """Wait for a turn, at most `patience` seconds.

        Raises:
            LogLocked: somebody else has it for longer.
            AuditUnavailable: the files cannot be used.
            OSError: they cannot be opened.
        """
        deadline = time.monotonic() + patience
        pause = _FIRST_PAUSE
        is_queued = False
        try:
            while not self._try():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LogLocked(f"another process has held the lock of {self._log} for {patience:g} s")
                with suppress(FileNotFoundError):  # removed with the lock: whoever has it sees that before it writes
                    is_queued = is_queued or try_lock(self._open_queue())
                time.sleep(min(pause, left))
                # To the first in the queue the lock is given within milliseconds: nobody keeps it again before.
                pause = _FIRST_PAUSE if is_queued else min(2 * pause, _LONGEST_PAUSE)
        finally:
            if is_queued and self._queue is not None:
                unlock(self._queue)
        self.is_ours = True

    def is_awaited(self) -> bool:
        """Tell whether another process waits for a turn."""
        queue = self._open_queue()
        if not try_lock(queue):
            return True
        unlock(queue)
        return False

    def is_lost(self) -> bool:
        """Tell whether somebody has removed the lock since it was taken: it guards nothing any more."""
        return self._lock is None or not os.fstat(self._lock).st_nlink

    def end(self) -> None:
        """Let others write."""
        self.is_ours = False
        if self._lock is not None:
            unlock(self._lock)

    def close(self) -> None:
        """Close the files; the next turn opens them again."""
        for descriptor in (self._lock, self._queue):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._queue = None

    def _try(self) -> bool:
        for _ in range(2):
            lock = self._open() if self._lock is None else self._lock
            if not try_lock(lock):
                return False
            if is_at(self._lock_path, lock):
                return True
            # Somebody has taken the lock file away: this one guards nothing.
            self.close()
        return False

    def _open(self) -> int:
        self._log.parent.parent.mkdir(parents=True, exist_ok=True)
        for directory in self._directories:
            directory.mkdir(mode=0o700, exist_ok=True)
        self._lock = open_own(self._lock_path, os.O_RDWR)
        return self._lock

    def _open_queue(self) -> int:
        """Return the queue as it stands there now: whoever waits in one that was removed is not seen."""
        if self._queue is not None and not is_at(self._queue_path, self._queue):
            os.close(self._queue)
            self._queue = None
        if self._queue is None:
            self._queue = open_own(self._queue_path, os.O_RDWR)
        return self._queue
