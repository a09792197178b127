"""The files of one log: the log itself, and beside it the head and the tail, behind the lock that guards them.

    <dir>/<stem>.log          the entries, only ever appended to
    <dir>/<stem>.tlog/head    what was written last: two slots, so that a torn write of one leaves the other
    <dir>/<stem>.tlog/tail    a ring of the latest lines, written before the log: what completes or repeats them
    <dir>/<stem>.tlog/checkpoint    the latest checkpoint that is on the disk, with everything that it covers

The directory is made 0700, the files 0600; a symlink and what belongs to somebody else are refused.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aegis_audit.entry import MAX_LINE
from aegis_audit.mark import SLOT_SIZE, SLOTS_SIZE, Mark, newest
from aegis_mcp.audit.sidecar import is_at, open_own, sidecar_of
from aegis_mcp.audit.stretch import Stretch
from aegis_mcp.audit.turn import Turn
from aegis_mcp.errors import AuditUnavailable

RING_SIZE: Final = 8 * 1024 * 1024
"""Bytes of the tail: how far back a line that a rotation has lost can be written again."""

MOST_READ: Final = 64 * 1024 * 1024
"""Bytes of the log that are read at once at the most."""

_PIECE: Final = 1024 * 1024


class Overtaken(OSError):
    """Something happened to the log, or to its lock, since it was looked at; nothing is written yet."""

    def __init__(self) -> None:
        super().__init__(errno.ESTALE, os.strerror(errno.ESTALE))


class _Section:
    """A `with` block that has the lock of the log; it is given back at the end, unless it is kept."""

    __slots__ = ("_storage", "keeps")

    def __init__(self, storage: Storage, *, keeps: bool) -> None:
        self._storage = storage
        self.keeps = keeps

    def __enter__(self) -> None:
        pass

    def __exit__(self, error: object, *_: object) -> None:
        if error:
            self._storage.abandon()
        elif not self.keeps:
            self._storage.leave()


class Storage:
    """The files of the log at `path`, opened when they are first needed and again when they have gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._path = str(path)
        self._sidecar = sidecar = sidecar_of(path)
        self._head_path, self._tail_path = str(sidecar / "head"), str(sidecar / "tail")
        self._log: int | None = None
        self._inode = 0
        self._turn = Turn(path)
        self._slots: bytearray = bytearray()
        self._mark: Mark | None = None
        self._is_owed = False
        self._stretch: Stretch | None = None
        self._head: int | None = None
        self._tail: int | None = None

    def locked(self, patience: float, *, keeps: bool = False) -> _Section:
        """Take the lock of the log and hold it in a `with` block; wait for it at most `patience` seconds.

        With `keeps` it stays held behind the block, unless another process waits for it or there was an error: until
        `leave`, or the end of a block without.

        Raises:
            LogLocked: somebody else holds it for longer.
            AuditUnavailable: the files cannot be used.
        """
        if not self._is_still_ours():
            self._turn.take(patience)
            try:
                self._put_back()
                keeps = keeps and not self._turn.is_awaited()
            except (AuditUnavailable, OSError):
                self.abandon()
                raise
        return _Section(self, keeps=keeps)

    def leave(self) -> None:
        """Store the mark that is owed, and give the lock back, if it is held."""
        if not self._is_still_ours():
            return
        try:
            mark = self._newest()
            if mark and self._is_owed:
                self.store(mark)
        finally:
            self._turn.end()

    def abandon(self) -> None:
        """Give the lock back, if it is held, and forget the mark that is owed.

        What was written behind the mark that is stored is looked for in the log and in the tail, as after a kill.
        """
        self._slots, self._mark, self._is_owed, self._stretch = bytearray(), None, False, None
        self._turn.end()

    def _put_back(self) -> None:
        """Put back the head and the tail if somebody has taken them away: whoever comes next needs them."""
        for name, path, most, reopen in (
            ("_head", self._head_path, SLOTS_SIZE, self._open_head),
            ("_tail", self._tail_path, RING_SIZE, self._open_tail),
        ):
            old: int | None = getattr(self, name)
            if old is not None and not is_at(path, old):
                setattr(self, name, None)
                try:
                    new = reopen()
                    if not os.fstat(new).st_size:
                        _write_all_at(new, _read_at(old, most, 0), 0)
                finally:
                    os.close(old)

    def _is_still_ours(self) -> bool:
        if self._turn.is_ours and self._turn.is_lost():
            self.abandon()
        return self._turn.is_ours

    def close(self) -> None:
        """Close every file; the next use opens them again."""
        self.leave()
        self._turn.close()
        for name in ("_log", "_head", "_tail"):
            descriptor = getattr(self, name)
            if descriptor is not None:
                os.close(descriptor)
                setattr(self, name, None)

    def mark(self) -> Mark | None:
        """Return the newest mark that is whole, None if there is none."""
        slots = bytearray(_read_at(self._open_head(), SLOTS_SIZE, 0).ljust(SLOTS_SIZE, b"\0"))
        # Nearly always this process has written last, and knows what it has written.
        if slots != self._slots:
            self._slots, self._mark, self._is_owed, self._stretch = slots, newest(bytes(slots)), False, None
        return self._newest()

    def as_left(self) -> Stretch | None:
        """Return what to go on with if the lock was kept since the newest mark and the log ends where it was left.

        What is added to it is owed, as the mark that `owe` takes is.
        """
        mark, stretch = self._mark, self._stretch
        if not self._turn.is_ours or mark is None or self._log is None or mark.inode != self._inode:
            return None
        if stretch is None:
            stretch = self._stretch = Stretch(mark)
        return stretch if os.lseek(self._log, 0, os.SEEK_END) == stretch.offset else None

    def _newest(self) -> Mark | None:
        stretch, self._stretch = self._stretch, None
        return self.owe(stretch.mark()) if stretch and stretch.count else self._mark

    def store(self, mark: Mark) -> Mark:
        """Write a mark that succeeds the newest over the older of the two; return it, as it was stored."""
        mark = mark._replace(generation=mark.generation + 1)
        slot, at = mark.encode(), mark.place
        _write_at(self._open_head(), slot, at)
        self._slots[at : at + SLOT_SIZE] = slot
        self._mark, self._is_owed, self._stretch = mark, False, None
        return mark

    def owe(self, mark: Mark) -> Mark:
        """Take a mark that `leave` stores, and return it: until then others find the log longer than its mark."""
        self._mark, self._is_owed, self._stretch = mark, True, None
        return mark

    def remember(self, ring: int, lines: bytes) -> None:
        """Write lines to the tail, where `ring` bytes were written before."""
        excess = len(lines) - RING_SIZE
        if excess > 0:
            lines, ring = lines[excess:], ring + excess
        tail, at = self._open_tail(), ring % RING_SIZE
        room = RING_SIZE - at
        _write_all_at(tail, lines[:room], at)
        if len(lines) > room:
            _write_all_at(tail, lines[room:], 0)

    def recall(self, ring: int, size: int) -> bytes:
        """Return at most `size` bytes of the tail, from the one before which `ring` bytes were written."""
        tail = self._open_tail()
        at = ring % RING_SIZE
        first = _read_at(tail, min(size, RING_SIZE - at), at)
        return first + _read_at(tail, min(size, RING_SIZE) - len(first), 0)

    def append(self, inode: int, ring: int, data: bytes, *, is_synced: bool) -> None:
        """Append bytes to the log that has this inode, but first to the tail, where `ring` bytes were written before.

        Nothing is written by a process that has lost its turn since it has looked at the log.

        Raises:
            Overtaken: that is so, or the log was renamed meanwhile.
            OSError: it cannot be written. What is whole of it counts.
        """
        if self._turn.is_lost():
            raise Overtaken
        log = self._open_log(inode)
        self.remember(ring, data)
        written = 0
        try:
            while written < len(data):
                written += os.write(log, memoryview(data)[written:] if written else data)
        except OSError:
            # These lines are not acknowledged: nobody may complete what is torn of them. Those that are whole count.
            self.remember(ring + written, bytes(len(data) - written))
            raise
        if is_synced:
            _sync(log)

    def log_state(self) -> os.stat_result | None:
        """Return what stands at the log's path now, None for nothing."""
        try:
            return os.lstat(self._path)
        except FileNotFoundError:
            return None

    def create_log(self) -> tuple[int, int]:
        """Open the file that stands at the log's path now, or make it; return its inode and its size."""
        self.drop_log()
        self._log = open_own(self.path, os.O_RDWR | os.O_APPEND)
        _sync_directory(self.path.parent)
        state = os.fstat(self._log)
        self._inode = state.st_ino
        return state.st_ino, state.st_size

    def set_aside(self, name: str) -> Path:
        """Give the log another name, which nothing has yet; return its path."""
        path = self.path.with_name(name)
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        self.path.rename(path)
        _sync_directory(path.parent)
        return path

    def remove(self, path: Path) -> None:
        """Remove a segment that is not kept any longer."""
        path.unlink()
        _sync_directory(path.parent)

    def read(self, inode: int, offset: int, size: int = MOST_READ) -> bytes:
        """Return the bytes of the log from `offset` on, at most `size` and never more than `MOST_READ`."""
        log = self._open_log(inode)
        size = min(size, MOST_READ)
        parts: list[bytes] = []
        while size and (part := _read_at(log, size, offset)):
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    def lines(self, inode: int) -> Iterator[bytes]:
        """Yield every line of the log from its start on; the last one may lack its LF."""
        offset, data = 0, b""
        while piece := self.read(inode, offset, _PIECE):
            offset += len(piece)
            *whole, data = (data + piece).split(b"\n")
            yield from (line + b"\n" for line in whole)
            data = data[: MAX_LINE + 1]  # what is longer is no line of ours
        yield data

    def publish(self, note: bytes) -> None:
        """Put a checkpoint beside the log, whole: readers see this one or the one before."""
        new = self._sidecar / "checkpoint.new"
        descriptor = open_own(new, os.O_RDWR | os.O_TRUNC)
        try:
            _write_all(descriptor, note)
        finally:
            os.close(descriptor)
        new.replace(self._sidecar / "checkpoint")

    def changed_at(self, mark: Mark) -> int:
        """Return when the log was changed last, in nanoseconds since the epoch."""
        return os.fstat(self._open_log(mark.inode)).st_mtime_ns

    def drop_log(self) -> None:
        """Close the log after an error: what the error left behind is read again before anything is written."""
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _open_log(self, inode: int) -> int:
        """Return a descriptor of the log that has this inode."""
        if self._log is None or self._inode != inode:
            self.create_log()
            if self._inode != inode:
                # Rotated since the look at the path: the next look finds it, and opens the new segment properly.
                raise Overtaken
        assert self._log is not None  # noqa: S101 - create_log has opened it
        return self._log

    def _open_head(self) -> int:
        if self._head is None:
            self._head = open_own(self._head_path, os.O_RDWR)
        return self._head

    def _open_tail(self) -> int:
        if self._tail is None:
            self._tail = open_own(self._tail_path, os.O_RDWR)
        return self._tail


def explain(error: OSError) -> str:
    """Say for a person why the log cannot be written, and what to do."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            remedy = "make room on its disk"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            remedy = "give the gateway's user the right to write there"
        case errno.ELOOP | errno.EISDIR | errno.ENOTDIR | errno.EEXIST:
            remedy = "its path must lead to a plain file, not through a symlink"
        case _:
            remedy = "look at its disk"
    return f"the audit log cannot be written ({error.strerror}); {remedy}"


def _write_all_at(descriptor: int, data: bytes, offset: int) -> None:
    # On a disk that is nearly full a part is written, and only the rest is refused.
    written = _write_at(descriptor, data, offset)
    while written < len(data):
        written += _write_at(descriptor, data[written:], offset + written)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def _sync(descriptor: int) -> None:
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _sync_directory(directory: Path) -> None:
    # The name of a new file is durable only with its directory; Windows cannot open one.
    if sys.platform != "win32":
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


if sys.platform == "win32":

    def _read_at(descriptor: int, size: int, offset: int) -> bytes:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size)

    def _write_at(descriptor: int, data: bytes, offset: int) -> int:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)
else:
    _read_at = os.pread
    _write_at = os.pwrite
