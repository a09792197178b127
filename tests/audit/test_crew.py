"""What is asked of several processes, and how each segment gets the parts that are its own."""

from __future__ import annotations

import gzip
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from aegis_audit.checks.digest import UNREAD, digest
from aegis_audit.crew import MAX_JOBS, Crew, hire, jobs_for
from aegis_audit.part import PART
from aegis_audit.segment import Segment
from aegis_audit.shape import Shapes
from support.logs import LogBuilder, small_log, write

NOBODY: frozenset[int] = frozenset()


def work(connection: Connection) -> None:
    """Do what a process of a crew does."""
    with suppress(EOFError, OSError):
        while True:
            part, watched = connection.recv()
            connection.send(digest(part, watched, Shapes()))


def read_nothing(connection: Connection) -> None:
    """Answer as a process that can read none of its parts."""
    with suppress(EOFError, OSError):
        while True:
            connection.recv()
            connection.send(UNREAD)


@contextmanager
def crew_of(count: int, segments: list[Segment]) -> Generator[Crew]:
    pipes = [Pipe() for _ in range(count)]
    workers = [threading.Thread(target=work, args=(theirs,)) for _, theirs in pipes]
    for worker in workers:
        worker.start()
    yield Crew([ours for ours, _ in pipes], segments)
    for ours, _ in pipes:
        ours.close()
    for worker in workers:
        worker.join(30)


@pytest.fixture
def segments(tmp_path: Path) -> list[Segment]:
    """Return segments of several parts, of one, of none, and what has to be read as a whole."""
    contents = (b"junk\n" * 2_000_000, b"".join(small_log(2)), b"", gzip.compress(b"".join(small_log(1))))
    paths = [write(tmp_path / f"{number}.log", [data]) for number, data in enumerate(contents)]
    return [Segment(str(path)) for path in (*paths[:2], tmp_path / "absent", *paths[2:])]


def starts(crew: Crew, segment: Segment) -> list[tuple[str, int]] | None:
    parts = crew.parts_of(segment)
    return parts and [(Path(part.path).name, part.start) for part, _ in parts.digested]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_segment_gets_all_of_its_parts_and_no_others(segments: list[Segment], count: int) -> None:
    with crew_of(count, segments) as crew:
        found = [starts(crew, segment) for segment in segments]
    size = 4 << 20
    first = [("0.log", size * n // 5 * 5 + (5 if size * n % 5 else 0)) for n in range(3)]
    assert found == [first, [("1.log", 0)], None, [], [("3.log", 0)]]


def test_a_segment_that_is_left_in_the_middle_takes_nothing_from_the_next_one(segments: list[Segment]) -> None:
    with crew_of(1, segments) as crew:
        parts = crew.parts_of(segments[0])
        assert parts
        assert next(parts.digested)[0].start == 0
        parts.digested.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(parts.divided.descriptor)
        assert starts(crew, segments[1]) == [("1.log", 0)]


def test_what_a_process_that_is_lost_should_have_digested_is_unread(segments: list[Segment]) -> None:
    ours, theirs = Pipe()
    theirs.close()
    parts = Crew([ours], segments[1:]).parts_of(segments[1])
    assert parts
    assert [digested for _, digested in parts.digested] == [((), False)]


def test_parts_are_digested_here_while_others_are_waited_for_up_to_a_bound(tmp_path: Path) -> None:
    line = LogBuilder().add("security_event", {"kind": "policy_loaded", "note": "x" * 60_000})
    segment = Segment(str(write(tmp_path / "audit.log", [line] * (PART // len(line) + 1) * 14)))
    ours, theirs = Pipe()
    ours.poll = lambda timeout=0.0: False  # noqa: ARG005 - no answer is there before somebody waits for it
    worker = threading.Thread(target=read_nothing, args=(theirs,))
    worker.start()
    parts = Crew([ours], [segment]).parts_of(segment)
    assert parts
    found = [(part.start, digested.is_whole) for part, digested in parts.digested]
    ours.close()
    worker.join(30)
    assert found == sorted(found)
    assert [is_whole for _, is_whole in found] == [*[False] * 2, *[True] * 8, *[False] * 2, *[True] * 2]


def test_several_processes_are_started_for_a_large_log_and_none_for_a_small_one() -> None:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    assert [jobs_for(size) for size in (0, (64 << 20) - 1, 64 << 20)] == [1, 1, min(cores, MAX_JOBS)]
    with hire(1, [], NOBODY) as crew:
        assert crew is None
