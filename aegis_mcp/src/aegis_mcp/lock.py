"""Locks between processes, on every platform: held by one process at a time, and given back by its end.

They bind only who asks for them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

_SAFELY: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

if sys.platform == "win32":
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Take the lock of an open file without waiting; tell whether it was free."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Give the lock of an open file back."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    _AT_ONCE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB

    def try_lock(descriptor: int) -> bool:
        """Take the lock of an open file without waiting; tell whether it was free."""
        try:
            fcntl.flock(descriptor, _AT_ONCE)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Give the lock of an open file back."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def try_hold(path: Path) -> int | None:
    """Take the lock that a file stands for, which is made if it is missing; return what `release` gives back.

    None if somebody else has it, or the file was removed meanwhile.

    Raises:
        OSError: the file cannot be opened, or is a symlink.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | _SAFELY, 0o600)
    if try_lock(descriptor):
        if os.fstat(descriptor).st_nlink:
            return descriptor
        unlock(descriptor)
    os.close(descriptor)
    return None


def release(descriptor: int) -> None:
    """Give a lock back that `try_hold` took."""
    unlock(descriptor)
    os.close(descriptor)
