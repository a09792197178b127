"""A log that is still written to, followed over rotations.

A file that was renamed is read to its end before the one in its place is begun; a file that was cut is noticed by its
size or its first bytes, and read again from its start. A last line without its LF is waited for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from aegis_audit.entry import MAX_LINE
from aegis_audit.errors import AbsentSegment, UnreadableSegment
from aegis_audit.segment import Line, Segment, lines_of, open_file

_BEGINNING: Final = 96
"""Bytes that hold the hash of the first entry: a file that was cut and has grown again begins with another."""


@dataclass(frozen=True, slots=True)
class LiveSegment:
    """An open file that `path` named a moment ago; `pause` is called whenever there is nothing new in it."""

    path: str
    descriptor: int
    pause: Callable[[], None]

    def lines(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[Line]:
        """Yield the lines that are there and those that come, until the log goes on elsewhere.

        `progress` is called with the bytes of each step.

        Raises:
            UnreadableSegment: the bytes cannot be had.
        """
        return lines_of(self._pieces(progress))

    def _pieces(self, progress: Callable[[int], None]) -> Iterator[bytes]:
        position, beginning = 0, b""
        try:
            while not self._is_cut(position, beginning):
                is_over = self._is_replaced()
                if piece := os.read(self.descriptor, MAX_LINE):
                    position += len(piece)
                    progress(len(piece))
                    beginning = (beginning + piece)[:_BEGINNING]
                    yield piece
                elif is_over:
                    return
                else:
                    self.pause()
        except OSError as exc:
            raise UnreadableSegment(self.path, exc.strerror or str(exc)) from exc

    def _is_cut(self, position: int, beginning: bytes) -> bool:
        if os.fstat(self.descriptor).st_size < position:
            return True
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        is_same = os.read(self.descriptor, len(beginning)) == beginning
        os.lseek(self.descriptor, position, os.SEEK_SET)
        return not is_same

    def _is_replaced(self) -> bool:
        """Tell whether the path names another file that has been written to: nobody writes to this one any more."""
        try:
            now = os.stat(self.path)  # noqa: PTH116 - `Path` would refuse nothing that this does not
        except OSError:
            return False
        return now.st_size > 0 and not os.path.samestat(now, os.fstat(self.descriptor))


def follow(path: str, pause: Callable[[], None]) -> Iterator[LiveSegment | Segment]:
    """Yield the file at `path`, then the one that a rotation puts in its place, and so on.

    It ends when there is a path that cannot be read, or nothing at it from the start: reading what is yielded last
    says what is wrong.
    """
    is_first = True
    while True:
        try:
            descriptor = open_file(path)
        except AbsentSegment:
            if is_first:
                break
            pause()
            continue
        except UnreadableSegment:
            break
        is_first = False
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                break
            yield LiveSegment(path, descriptor, pause)
        finally:
            os.close(descriptor)
    yield Segment(path)
