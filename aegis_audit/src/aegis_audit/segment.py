"""One segment of a log: a file, or standard input, read once from its start in bounded memory.

Compression is told by the bytes and not by the name. A live file is read up to the size that it has when it is
opened. Nothing but a regular file is opened by name, and opening never waits.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from aegis_audit.entry import MAX_LINE, Entry
from aegis_audit.errors import AbsentSegment, EmptyDirectory, MalformedEntry, MovedSegment, UnreadableSegment
from aegis_audit.expand import MAX_PIECE, expand
from aegis_audit.finding import FindingCode

STANDARD_INPUT: Final = "-"

# O_NONBLOCK: opening a FIFO would wait for its writer. The flags beside O_RDONLY do not exist on every platform.
_OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_KEPT: Final = 8 << 20
"""Bytes that may be kept: more than all that is made of one block."""


class Line(NamedTuple):
    """One line: `number` from 1, `offset` in expanded bytes, `length` in bytes with its LF.

    `raw` ends with the LF if the line is complete, and is cut to `MAX_LINE` bytes if the line is longer than that.
    """

    number: int
    offset: int
    raw: bytes
    length: int

    @property
    def is_whole(self) -> bool:
        """Tell whether `raw` is the whole line, its LF included."""
        return self.length == len(self.raw) and self.raw.endswith(b"\n")

    @property
    def is_overlong(self) -> bool:
        """Tell whether the line is longer than an entry may be."""
        return self.length > MAX_LINE

    def parse(self) -> Entry:
        """Return the entry that stands in the line.

        Raises:
            MalformedEntry: there is none.
        """
        if self.is_whole:
            return Entry.parse(self.raw)
        if b"\x00" in self.raw:
            raise MalformedEntry(FindingCode.NUL_BYTES, "an entry", "NUL bytes")
        if self.is_overlong:
            raise MalformedEntry(FindingCode.OVERLONG_LINE, f"at most {MAX_LINE} bytes", f"{self.length} bytes")
        raise MalformedEntry(FindingCode.TORN_TAIL, "a line that ends in LF", "the end of the file")


class Block(NamedTuple):
    """Whole lines that follow each other; or one line that is too long, then cut, or that has no end.

    `data` are their bytes, `length` of them in the segment; `offset` is where they begin.
    """

    offset: int
    data: bytes
    length: int

    def line(self, number: int, at: int) -> Line:
        """Return the line that begins at `at` bytes in the block; its number is known from those before it."""
        raw = self.data[at : self.data.find(b"\n", at) + 1 or None]
        return Line(number, self.offset + at, raw, len(raw) + self.length - len(self.data))


class Identity(NamedTuple):
    """Which file it is, and how many bytes it had at least."""

    device: int
    inode: int
    size: int

    @classmethod
    def of(cls, path: str) -> Identity | None:
        """Return that of the file at a path; None if there is none, or that cannot be told."""
        try:
            status = os.stat(path)  # noqa: PTH116 - `Path` takes no NUL
        except (OSError, ValueError):
            return None
        return cls(status.st_dev, status.st_ino, status.st_size)

    def change(self, status: os.stat_result) -> str:
        """Say what has happened to the file since, by its status now; an empty text if it has at most grown."""
        if (status.st_dev, status.st_ino) != (self.device, self.inode):
            return "another file has its name now"
        return "" if status.st_size >= self.size else "the file shrank after it was found"


GONE: Final = Identity(device=-1, inode=-1, size=0)
"""Of a file that was listed, and gone before anybody looked at it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment by the path under which it was found; `-` is standard input.

    It is read from byte `start` on, where a line begins, behind so many lines. `found` is the file that was at the path
    when it was found, None if there was none or nobody looked.
    """

    path: str
    start: int = 0
    lines_before: int = 0
    found: Identity | None = None

    @property
    def can_be_read_again(self) -> bool:
        """Tell whether a second reading gives the same bytes; a stream is gone once it is read."""
        return self.path != STANDARD_INPUT

    @property
    def size(self) -> int:
        """Return the bytes on the disk, 0 if that cannot be told."""
        status = self.status()
        return status.st_size if status else 0

    def status(self) -> os.stat_result | None:
        """Return which file it is, and how it is now; None for a stream, and if that cannot be told."""
        try:
            return Path(self.path).stat() if self.can_be_read_again else None
        except (OSError, ValueError):
            return None

    def blocks(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[Block]:
        """Yield the lines in blocks; `progress` is called with the bytes of each step, as many as are on the disk.

        Raises:
            AbsentSegment: there is nothing at the path, or a directory that holds no segment.
            MovedSegment: it is gone, or shrank, since it was found.
            UnreadableSegment: it is no regular file, or may not be read.
            DamagedSegment: it is compressed, and does not expand to its end.
        """
        return blocks_of(expand(counted(self._pieces(), progress)), self.start)

    def lines(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[Line]:
        """Yield every line in order; calls `progress` and raises as `blocks` does."""
        return _one_by_one(self.blocks(progress), self.lines_before)

    def open(self) -> int:
        """Return a descriptor of the file; this never waits, whatever it is. Raises as `blocks` does."""
        try:
            descriptor = open_file(self.path)
        except AbsentSegment as exc:
            if self.found:
                raise MovedSegment(self.path, "the file went away after it was found") from exc
            raise
        if self.found and (change := self.found.change(os.fstat(descriptor))):
            os.close(descriptor)
            raise MovedSegment(self.path, change)
        return descriptor

    def _pieces(self) -> Iterator[bytes]:
        if not self.can_be_read_again:
            yield from _read_stream()
            return
        descriptor = self.open()
        try:
            yield from _read_file(self.path, descriptor, self.start)
        except OSError as exc:
            raise UnreadableSegment(self.path, exc.strerror or str(exc)) from exc
        finally:
            os.close(descriptor)


def keep_memory() -> None:
    """Have the C library keep the memory that a block leaves for the next one, where that can be told to it.

    What is free at the end of its heap glibc gives back to the system, and gets it again page by page, once that is
    more than twice the largest piece that it has mapped apart and freed (mallopt(3)). A piece that nobody touches takes
    no memory.
    """
    bytes(_KEPT // 2)


def lines_of(pieces: Iterator[bytes]) -> Iterator[Line]:
    """Yield the lines of plain bytes, each as soon as its LF is there."""
    return _one_by_one(blocks_of(pieces), 0)


def _one_by_one(blocks: Iterator[Block], number: int) -> Iterator[Line]:
    for block in blocks:
        at = 0
        while at < len(block.data):
            number += 1
            line = block.line(number, at)
            yield line
            at += len(line.raw)


def blocks_of(pieces: Iterator[bytes], offset: int = 0) -> Iterator[Block]:
    """Cut bytes that stand at `offset` behind the ends of lines; of a longer one than `MAX_LINE` no more is held."""
    data = b""
    for piece in pieces:
        data += piece
        while True:
            end = _end_of_lines(data)
            if end:
                yield Block(offset, data[:end], end)
                offset, data = offset + end, data[end:]
            if len(data) < MAX_LINE:
                break
            block, data = _take_overlong(data, pieces, offset)
            yield block
            offset += block.length
    if data:
        yield Block(offset, data, len(data))


def _end_of_lines(data: bytes) -> int:
    """Return the end of the last whole line in front of the first one that is too long."""
    end = 0
    while (found := data.rfind(b"\n", end, end + MAX_LINE)) >= 0:
        end = found + 1
    return end


def _take_overlong(data: bytes, pieces: Iterator[bytes], offset: int) -> tuple[Block, bytes]:
    """Read on to the end of a line that is too long; return it, and what stands behind it in the last piece."""
    begun, length = data[:MAX_LINE], 0
    while data:
        end = data.find(b"\n") + 1
        if end:
            return Block(offset, begun, length + end), data[end:]
        length += len(data)
        data = next(pieces, b"")
    return Block(offset, begun, length), b""


def counted(pieces: Iterator[bytes], progress: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the pieces, and call `progress` with the bytes of each."""
    for piece in pieces:
        progress(len(piece))
        yield piece


def open_file(path: str) -> int:
    """Return a descriptor of what is at `path`, to be read from; this never waits, whatever it is.

    Raises:
        AbsentSegment: there is nothing.
        UnreadableSegment: it may not be read.
    """
    try:
        return os.open(path, _OPEN_FLAGS)
    except FileNotFoundError as exc:
        raise AbsentSegment(path, "there is no such file") from exc
    except (OSError, ValueError) as exc:
        raise UnreadableSegment(path, getattr(exc, "strerror", None) or str(exc)) from exc


def _read_stream() -> Iterator[bytes]:
    try:
        while piece := os.read(sys.stdin.fileno(), MAX_PIECE):
            yield piece
    except (OSError, ValueError, AttributeError) as exc:  # closed, or absent altogether
        raise UnreadableSegment(STANDARD_INPUT, str(exc)) from exc


def _read_file(path: str, descriptor: int, start: int) -> Iterator[bytes]:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise EmptyDirectory(path, "a directory without a segment")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableSegment(path, "not a regular file")
    yield from read_range(path, descriptor, start, status.st_size)


def read_range(path: str, descriptor: int, start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes of a file from one place up to another, at most `MAX_PIECE` at a time.

    Raises:
        MovedSegment: it ends before that, or has done so while it was read.
        OSError: it cannot be read.
    """
    left = stop - os.lseek(descriptor, start, os.SEEK_SET)
    while left:
        piece = os.read(descriptor, min(max(0, left), MAX_PIECE))
        # What a rotation truncates under the reader is no evidence of anything.
        if not piece or os.fstat(descriptor).st_size < stop:
            raise MovedSegment(path, "the file shrank while it was read")
        left -= len(piece)
        yield piece
