"""The lock file beside the policy, and the lock under which processes take turns to change it.

    <dir>/policy.pins.json   what is pinned and what waits to be approved; replaced as a whole, so that it is never torn
    <dir>/policy.pins.lock   guards one change at a time: each reads the file again, so that no other is lost

A symlink or anything else that is not a file is refused: to write would be to put a file in its place.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from aegis_mcp import swap
from aegis_mcp.errors import ConfigError
from aegis_mcp.lock import release, try_hold
from aegis_mcp.pins import book as books
from aegis_mcp.pins.book import Book

MAX_FILE: Final = 64 * 1024 * 1024
"""Bytes of the largest lock file."""

State: TypeAlias = tuple[int, ...]
"""What tells one version of the file from another."""

_FIRST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.02


class PinFile:
    """The lock file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_path = path.with_suffix(".lock")

    def state(self) -> State:
        """Return what tells the version that stands there now from another."""
        try:
            return _state_of(os.lstat(self.path))
        except OSError as exc:
            return (exc.errno or 0,)

    def read(self) -> Book:
        """Return what the file says, an empty book if there is none.

        Raises:
            ConfigError: the file cannot be read or is not such a file.
        """
        try:
            text = self._text()
        except FileNotFoundError:
            return Book()
        except OSError as exc:
            why = "it is a symlink; put the file itself there" if exc.errno == errno.ELOOP else exc.strerror
            raise ConfigError(f"the pins {str(self.path)!r} cannot be read: {why}") from exc
        try:
            return books.decode(text)
        except ValueError as exc:
            remedy = "restore it, or remove it to pin anew"
            raise ConfigError(f"the pins {str(self.path)!r} cannot be used: {exc}; {remedy}") from exc

    def update(self, change: Callable[[Book], Book], patience: float) -> Book:
        """Change the file while nobody else does, and return what it says now; `patience` in seconds is for the lock.

        Raises:
            ConfigError: the file cannot be read, locked or written; then it is as it was.
        """
        try:
            with self._locked(patience):
                book = self.read()
                changed = change(book)
                if changed != book:
                    self._replace(books.encode(changed))
                return changed
        except OSError as exc:
            remedy = "the gateway needs the right to write in the policy's directory, and room on its disk"
            raise ConfigError(f"the pins {str(self.path)!r} cannot be written: {exc.strerror}; {remedy}") from exc

    def _text(self) -> bytes:
        with open(self.path, "rb", opener=swap.open_safely) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"the pins {str(self.path)!r} are not a file")
            text = file.read(MAX_FILE + 1)
        if len(text) > MAX_FILE:
            raise ConfigError(f"the pins {str(self.path)!r} are larger than {MAX_FILE} bytes")
        return text

    def _replace(self, text: bytes) -> None:
        if len(text) > MAX_FILE:
            raise ConfigError(f"the pins {str(self.path)!r} would be larger than {MAX_FILE} bytes")
        swap.replace(self.path, text)

    @contextmanager
    def _locked(self, patience: float) -> Generator[None]:
        deadline = time.monotonic() + patience
        pause = _FIRST_PAUSE
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while (lock := try_hold(self._lock_path)) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ConfigError(f"another process has held the lock {str(self._lock_path)!r} for {patience:g} s")
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
        try:
            yield
        finally:
            release(lock)


def _state_of(found: os.stat_result) -> State:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
