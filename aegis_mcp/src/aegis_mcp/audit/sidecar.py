"""The directory beside a log, and how a file gets into it whole."""

from __future__ import annotations

import os
from pathlib import Path


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
