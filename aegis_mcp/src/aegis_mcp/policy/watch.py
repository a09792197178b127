"""Notices when the policy file changes, and reads it again.

It is looked at from a thread of its own: a file system that hangs holds up nothing but the notice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from aegis_mcp import settings
from aegis_mcp.errors import ConfigError
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import Policy

_INTERVAL_SECONDS: Final = 0.4

_Look: TypeAlias = tuple[int, int, int, int] | None


class PolicyWatch:
    """Watches the file that `loader.chosen` reads; made before it is read, so that no change is missed."""

    def __init__(self, path: Path | None) -> None:
        self._path = (path or settings.default_policy()).expanduser()
        self._read = _look(self._path)

    def start(self, found: Callable[[Policy | ConfigError], None]) -> None:
        """Begin to watch; `found` gets, in the thread, each policy that the file then holds, or why it holds none."""
        threading.Thread(target=self._watch, args=(found,), daemon=True).start()

    def _watch(self, found: Callable[[Policy | ConfigError], None]) -> None:
        pause, before = threading.Event(), self._read
        while True:
            pause.wait(_INTERVAL_SECONDS)
            # A file that looks the same twice is not being written any more.
            now = _look(self._path)
            if now == before and now != self._read:
                self._read = now
                found(_load(self._path))
            before = now


def _load(path: Path) -> Policy | ConfigError:
    try:
        return loader.read(path)
    except ConfigError as exc:
        return exc


def _look(path: Path) -> _Look:
    """Return what changes with a file: where it is, when it was written and how long it is; None if it is not there."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
