"""Files that are replaced as a whole: whoever reads one finds the old content or the new, never a part.

A file is made for its owner alone, and nothing is read or written through a symlink.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path
from typing import Final

_SAFELY: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_QUICKLY: Final = getattr(os, "O_NONBLOCK", 0)


def open_safely(path: str, flags: int) -> int:
    """Open a file for `open`, as its `opener`: not through a symlink, and not held up by a FIFO."""
    return os.open(path, flags | _SAFELY | _QUICKLY)


def replace(path: Path, content: bytes) -> None:
    """Put a file with this content in the place of whatever has that name; it is on the disk afterwards.

    Raises:
        OSError: it could not be done, and what was there is as it was.
    """
    # Mode 0600 from its first instant whatever the umask says, under a name that nobody can foresee (mkstemp).
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    _sync_directory(path.parent)


def remains(path: Path) -> list[Path]:
    """Return what processes have left beside a file that were killed while they replaced it; none may be at it now."""
    made = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}")
    return [each for each in path.parent.iterdir() if made.fullmatch(each.name)]


def _sync_directory(directory: Path) -> None:
    # The new name too must outlast a loss of power; not every platform and file system can be asked for that.
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
