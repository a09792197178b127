"""The directory beside a log, how a file gets into it whole, and whose files are used at all."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Final

from aegis_mcp.errors import AuditUnavailable

_FLAGS: Final = os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def sidecar_of(log: Path) -> Path:
    """Return the directory beside a log: `audit.tlog` of `audit.log`."""
    return log.parent / f"{log.stem}.tlog"


def put(path: Path, content: bytes) -> None:
    """Put a file in the place of the one before, whole and on the disk: readers see this one or the other.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    # Several gateways may write it at the same time.
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with new.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)


def open_own(path: Path | str, flags: int) -> int:
    """Open a file of a log, made with mode 0600 if it is missing; return its descriptor.

    Raises:
        AuditUnavailable: it is not a plain file, or somebody else's.
        OSError: it cannot be opened, or is a symlink.
    """
    descriptor = os.open(path, flags | _FLAGS, 0o600)
    state = os.fstat(descriptor)
    refusal = None
    if not stat.S_ISREG(state.st_mode):
        refusal = "is not a file"
    elif sys.platform != "win32" and state.st_uid != os.geteuid():
        refusal = "belongs to somebody else"
    if refusal:
        os.close(descriptor)
        raise AuditUnavailable(f"{path} {refusal}; the audit log must be a file of your own")
    return descriptor


def is_at(path: str, descriptor: int) -> bool:
    """Tell whether a file that is open still stands at its path: it may have been removed, moved or replaced."""
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)
