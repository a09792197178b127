"""Files that hold private keys: 0600 in a directory that is 0700, ours, and no symlink; anything else is refused.

A file is replaced as a whole or not at all, and what it held before is overwritten.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from aegis_audit.errors import AbsentKey, UnusableKey

_MAX_SIZE: Final = 4096
_READ: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_HAS_OWNERS: Final = hasattr(os, "geteuid")


def read(path: Path) -> str:
    """Return what a private file holds, at most 4096 bytes of ASCII.

    Raises:
        AbsentKey: there is no such file.
        UnusableKey: the file, or its directory, is not private, or cannot be read.
    """
    try:
        for directory in (path.parent.parent, path.parent):
            _check(directory, directory.lstat(), is_directory=True)
        descriptor = os.open(path, _READ)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
            _check(path, os.fstat(descriptor), is_directory=False)
            raw = file.read(_MAX_SIZE + 1)
        if len(raw) > _MAX_SIZE:
            raise UnusableKey(str(path), f"longer than the {_MAX_SIZE} bytes that keys have")
        return raw.decode("ascii")
    except FileNotFoundError as exc:
        raise AbsentKey(str(path), "not there") from exc
    except OSError as exc:
        raise UnusableKey(str(path), _explain(path, exc)) from exc
    except UnicodeDecodeError as exc:
        raise UnusableKey(str(path), "not a key: it holds bytes beyond ASCII") from exc


def create(folder: Path, files: Mapping[str, str]) -> None:
    """Make a directory with these files, all of it or nothing; directories above it as needed.

    Raises:
        UnusableKey: there is something of that name already, or it cannot be made.
    """
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check(folder.parent, folder.parent.lstat(), is_directory=True)
        if os.path.lexists(folder):
            raise UnusableKey(str(folder), "there are keys already")
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            for name, text in files.items():
                _write(made / name, text)
            _sync_directory(made)
            made.rename(folder)
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
            raise
        _sync_directory(folder.parent)
    except OSError as exc:
        raise UnusableKey(str(folder), _explain(folder, exc)) from exc


def replace(path: Path, text: str) -> None:
    """Put another content into a private file, durably, and overwrite the old one.

    A copy that a file system keeps of its own accord, in a snapshot or in worn cells, is out of reach.

    Raises:
        UnusableKey: it cannot be replaced, and holds what it held.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        _write(new, text)
        with ExitStack() as closing:
            # Windows replaces no file that is open.
            old = closing.enter_context(path.open("r+b")) if _HAS_OWNERS else None
            new.replace(path)
            _sync_directory(path.parent)
            if old:
                old.write(bytes(os.fstat(old.fileno()).st_size))
                old.flush()
                os.fsync(old.fileno())
    except OSError as exc:
        raise UnusableKey(str(path), _explain(path, exc)) from exc


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    with open(descriptor, "w", encoding="ascii", newline="\n") as file:  # noqa: PTH123 - of a descriptor
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _check(path: Path, state: os.stat_result, *, is_directory: bool) -> None:
    if stat.S_ISLNK(state.st_mode):
        raise UnusableKey(str(path), "a symlink: name the directory itself")
    if not (stat.S_ISDIR if is_directory else stat.S_ISREG)(state.st_mode):
        raise UnusableKey(str(path), f"not a {'directory' if is_directory else 'regular file'}")
    if not _HAS_OWNERS:  # Windows: the profile's own access list keeps others out
        return
    if state.st_uid != os.geteuid():
        raise UnusableKey(str(path), f"belongs to user {state.st_uid}, not to user {os.geteuid()} who runs this")
    if state.st_mode & 0o077:
        wanted = "700" if is_directory else "600"
        mode = stat.S_IMODE(state.st_mode)
        raise UnusableKey(str(path), f"open to others (mode {mode:o}): chmod {wanted} it, and think about who read it")


def _sync_directory(path: Path) -> None:
    with suppress(PermissionError):  # Windows opens no directory
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explain(path: Path, exc: OSError) -> str:
    return "a symlink" if path.is_symlink() else exc.strerror or str(exc)
