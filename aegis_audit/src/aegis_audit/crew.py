"""Processes that digest the parts of segments, so that several cores verify one log.

They are told parts and give digests; everything that is decided is decided by the one who asks, who digests parts as
well instead of waiting. A process that is lost costs time: what it should have digested is read by the one who asks.
None outlives the other end of its pipe.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from aegis_audit.checks.digest import UNREAD, Digested, digest
from aegis_audit.checks.scan import Parts
from aegis_audit.part import Divided, Part, divide
from aegis_audit.segment import Segment, keep_memory
from aegis_audit.shape import Shapes

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

MAX_JOBS: Final = 64

_WORTHWHILE: Final = 64 << 20
"""Bytes from which on several processes are quicker than one, their start included."""

_AHEAD: Final = 2
"""Parts that another process is given at one time: while one is judged it digests the next."""
_KEPT: Final = 8
"""Parts that are digested here while others are waited for: as many as are read while a process starts."""

_SECONDS_TO_END: Final = 5.0


def jobs_for(size: int) -> int:
    """Return how many processes so many bytes are worth: as many as there are cores for this one, or one."""
    if size < _WORTHWHILE:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_JOBS)


class _Task(NamedTuple):
    """A part that a process was given, or that was digested here."""

    divided: Divided
    part: Part
    made: Connection | Digested

    @property
    def is_waited_for(self) -> bool:
        """Tell whether a process has still to answer; one that is lost has nothing to say."""
        try:
            return not (isinstance(self.made, Digested) or self.made.poll())
        except OSError:
            return False


class Crew:
    """Digests the parts of `segments`, which are asked for in this order, with the hashes of the entries `watched`."""

    def __init__(
        self, connections: Sequence[Connection], segments: Iterable[Segment], watched: frozenset[int] = frozenset()
    ) -> None:
        """Begin, with the processes at the other ends of these pipes."""
        self._watched = watched
        self._shapes = Shapes()
        self._most = _AHEAD * len(connections) + _KEPT
        self._divided: dict[Segment, Divided | None] = {}
        self._tasks: deque[_Task] = deque()
        self._source = self._divide(segments)
        for connection in (*connections,) * _AHEAD:
            self._give(connection)

    def parts_of(self, segment: Segment) -> Parts | None:
        """Return the parts of a segment; None if it has to be read as a whole."""
        divided = self._divided.pop(segment, None)
        return Parts(divided, self._digested(divided)) if divided else None

    def close(self) -> None:
        """Close what is still open."""
        for divided in filter(None, self._divided.values()):
            divided.close()

    def _divide(self, segments: Iterable[Segment]) -> Iterator[tuple[Divided, Part]]:
        for segment in segments:
            divided = divide(segment)
            self._divided[segment] = divided
            if divided:
                for part in divided.parts():
                    yield divided, part

    def _digested(self, divided: Divided) -> Generator[tuple[Part, Digested]]:
        try:
            while self._tasks and self._tasks[0].divided is divided:
                yield self._receive()
        finally:
            while self._tasks and self._tasks[0].divided is divided:
                self._receive()
            divided.close()

    def _give(self, connection: Connection) -> None:
        """Give a process the next part, if there is one more."""
        following = next(self._source, None)
        if following:
            self._tasks.append(_Task(*following, connection))
            with suppress(OSError):  # it is lost, and gives no answer
                connection.send((following[1], self._watched))

    def _receive(self) -> tuple[Part, Digested]:
        while self._tasks[0].is_waited_for and len(self._tasks) < self._most:
            following = next(self._source, None)
            if not following:
                break
            self._tasks.append(_Task(*following, digest(following[1], self._watched, self._shapes)))
        _, part, made = self._tasks.popleft()
        if isinstance(made, Digested):
            return part, made
        try:
            digested = made.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            digested = UNREAD
        self._give(made)
        return part, digested


@contextmanager
def hire(jobs: int, segments: Iterable[Segment], watched: frozenset[int]) -> Generator[Crew | None]:
    """Start processes for what a `Crew` does, so many with this one, and end them; None if there is only one job."""
    workers: list[tuple[SpawnProcess, Connection]] = []
    try:
        with suppress(OSError):  # as many as the system gives
            workers.extend(_start() for _ in range(jobs - 1))
        crew = Crew([connection for _, connection in workers], segments, watched) if workers else None
        yield crew
        if crew:
            crew.close()
    finally:
        for process, connection in workers:
            connection.close()
            process.terminate()
        for process, _ in workers:
            process.join(_SECONDS_TO_END)


def _start() -> tuple[SpawnProcess, Connection]:
    import multiprocessing  # noqa: PLC0415 - one process alone starts sooner without it

    # Not a fork: what this process has started, and every other platform, would make that another thing.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    with _uninterrupted():
        process.start()
    theirs.close()
    return process, ours


@contextmanager
def _uninterrupted() -> Generator[None]:
    """Hold back Ctrl-C, also from the process that is started meanwhile, which would have something to say about it."""
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker  # noqa: PLC0415

    resource_tracker.ensure_running()  # which would lift the mask when it is started with the first process
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_memory()
    shapes = Shapes()
    with suppress(EOFError, OSError):  # the one who asks has gone
        while True:
            part, watched = connection.recv()
            connection.send(digest(part, watched, shapes))
