"""Parts of a segment, which can be read apart from each other and at the same time.

A file is divided at ends of lines; one that is compressed is a single part. It stays open until all of it is judged,
so that every part is of the same file whatever a rotation does to its name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from aegis_audit.entry import MAX_LINE
from aegis_audit.errors import AuditError, UnreadableSegment
from aegis_audit.expand import expand, is_compressed
from aegis_audit.segment import Block, Segment, blocks_of, counted, open_file, read_range

PART: Final = 4 << 20
"""Bytes of a part, up to the end of a line."""

_MAGIC: Final = 6
"""Bytes that tell how a file is compressed."""

MAX_COMPRESSED: Final = 256 << 20
"""Bytes of the largest compressed file that is a part; a larger one takes so long that nothing is gained."""


class Part(NamedTuple):
    """The bytes from `start` to `stop` of a file: whole lines, or all of a file that is compressed."""

    path: str
    device: int
    inode: int
    start: int
    stop: int
    is_compressed: bool

    def blocks(self) -> Iterator[Block]:
        """Yield its lines in blocks.

        Raises:
            UnreadableSegment: the file is no longer there, or cannot be read.
            DamagedSegment: it is compressed, and does not expand to its end.
        """
        descriptor = open_file(self.path)
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != (self.device, self.inode):
                raise UnreadableSegment(self.path, "another file has its name now")
            yield from self.blocks_in(descriptor)
        finally:
            os.close(descriptor)

    def blocks_in(
        self, descriptor: int, at: int = 0, progress: Callable[[int], None] = lambda _: None
    ) -> Iterator[Block]:
        """Yield the lines behind the first `at` bytes of lines, as `blocks` does, from a file that is open."""
        start = self.start if self.is_compressed else self.start + at
        try:
            pieces = counted(read_range(self.path, descriptor, start, self.stop), progress)
            if self.is_compressed:
                yield from _behind(at, blocks_of(expand(pieces)))
            else:
                yield from blocks_of(pieces, start)
        except OSError as exc:
            raise UnreadableSegment(self.path, exc.strerror or str(exc)) from exc


class Divided:
    """A segment that is open, to be read in parts; `status` is that of the file before it was read."""

    def __init__(self, segment: Segment, descriptor: int) -> None:
        self.segment = segment
        self.descriptor = descriptor
        self.status = os.fstat(descriptor)
        self._is_compressed = not segment.start and is_compressed(self._look_at(0, _MAGIC))

    @property
    def is_divisible(self) -> bool:
        """Tell whether there is anything to gain from parts."""
        is_huge = self._is_compressed and self.status.st_size > MAX_COMPRESSED
        return stat.S_ISREG(self.status.st_mode) and not is_huge

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            os.close(self.descriptor)

    def parts(self, size: int = PART) -> Iterator[Part]:
        """Yield the parts in their order, of about so many bytes each."""
        start, end = self.segment.start, self.status.st_size
        while start < end:
            stop = end if self._is_compressed else self._line_end(start + size, size, end)
            status, path = self.status, self.segment.path
            yield Part(path, status.st_dev, status.st_ino, start, stop, self._is_compressed)
            start = stop

    def _line_end(self, at: int, step: int, end: int) -> int:
        """Return the first place behind the end of a line, from `at` on, that is not far from a multiple of `step`."""
        while at < end:
            found = self._look_at(at - 1, MAX_LINE).find(b"\n")
            if found >= 0:
                return min(at + found, end)
            at += max(step, MAX_LINE)
        return end

    def _look_at(self, at: int, most: int) -> bytes:
        try:
            os.lseek(self.descriptor, at, os.SEEK_SET)
            return os.read(self.descriptor, most)
        except OSError:
            return b""  # reading it in earnest says what is wrong


def divide(segment: Segment) -> Divided | None:
    """Open a segment to be read in parts; None if it has to be read as a whole, which says what is wrong with it."""
    if not segment.can_be_read_again:
        return None
    try:
        divided = Divided(segment, segment.open())
    except (AuditError, OSError):
        return None
    if not divided.is_divisible:
        divided.close()
        return None
    return divided


def _behind(at: int, blocks: Iterator[Block]) -> Iterator[Block]:
    for block in blocks:
        skipped = at - block.offset
        if skipped <= 0:
            yield block
        elif skipped < block.length:
            yield Block(at, block.data[skipped:], block.length - skipped)
