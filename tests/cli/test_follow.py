"""`aegis-audit inspect --follow` over a log that is really written to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.auditor import Watched, audit
from support.logs import LogBuilder, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be renamed there")


@pytest.fixture
def builder() -> LogBuilder:
    """Return a builder whose log has three entries."""
    builder = LogBuilder()
    builder.open_log()
    builder.call(0)
    return builder


@pytest.fixture
def log(tmp_path: Path, builder: LogBuilder) -> Path:
    """Return the log of `builder`."""
    return write(tmp_path / "audit.log", builder.lines)


@pytest.fixture
def watched(log: Path) -> Iterator[Watched]:
    """Return the command following the log, once it has shown the three entries."""
    with Watched("inspect", log, "--follow", "--format", "jsonl") as watched:
        watched.shows(3)
        yield watched


def append(log: Path, data: bytes) -> None:
    """Append to a log as the writer does: in one write."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def numbers(lines: list[str]) -> list[int]:
    """Return the sequence numbers of JSON lines."""
    return [json.loads(line)["seq"] for line in lines]


def test_what_is_appended_is_shown(log: Path, builder: LogBuilder, watched: Watched) -> None:
    append(log, builder.intent(1))
    assert numbers(watched.shows(4)) == [0, 1, 2, 3]
    append(log, builder.outcome(1))
    assert numbers(watched.shows(5)) == [0, 1, 2, 3, 4]


def test_a_line_is_shown_when_it_is_whole(log: Path, builder: LogBuilder, watched: Watched) -> None:
    first, second = builder.intent(1), builder.outcome(1)
    append(log, first + second[:100])
    assert numbers(watched.shows(4)) == [0, 1, 2, 3]
    append(log, second[100:])
    assert numbers(watched.shows(5)) == [0, 1, 2, 3, 4]


def test_a_renamed_log_is_read_to_its_end_and_the_next_one_begun(
    log: Path, builder: LogBuilder, watched: Watched
) -> None:
    old = log.rename(log.with_suffix(".log.1"))
    append(old, builder.intent(1))
    assert numbers(watched.shows(4)) == [0, 1, 2, 3]
    log.touch()
    append(old, builder.outcome(1))
    append(log, builder.open_segment())
    append(log, builder.intent(2))
    assert numbers(watched.shows(7)) == [0, 1, 2, 3, 4, 5, 6]
    log.rename(log.with_suffix(".log.2"))
    append(log, builder.open_segment())
    assert numbers(watched.shows(8)) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_log_that_was_copied_and_cut_goes_on_without_repetition(
    log: Path, builder: LogBuilder, watched: Watched
) -> None:
    shutil.copy(log, log.with_suffix(".log.1"))
    replayed = builder.lines[1:]
    os.truncate(log, 0)
    append(log, builder.open_segment("truncated", replay=[1, 2]) + b"".join(replayed))
    assert numbers(watched.shows(4)) == [0, 1, 2, 3]
    append(log, builder.intent(1))
    assert numbers(watched.shows(5)) == [0, 1, 2, 3, 4]
    ended = watched.end(signal.SIGINT)
    assert (ended.status, ended.stderr) == (130, "")


def test_a_cut_log_that_has_grown_beyond_its_old_size_is_noticed(
    log: Path, builder: LogBuilder, watched: Watched
) -> None:
    size = log.stat().st_size
    lines = [builder.open_segment("truncated"), *(builder.intent(number) for number in range(1, 9))]
    assert sum(map(len, lines)) > size
    # In one step, as far as a reader can tell: the file is the same, its content is another.
    descriptor = os.open(log, os.O_WRONLY)
    os.pwrite(descriptor, b"".join(lines), 0)
    os.close(descriptor)
    assert numbers(watched.shows(12)) == list(range(12))


def test_ctrl_c_is_quiet(watched: Watched) -> None:
    ended = watched.end(signal.SIGINT)
    assert (ended.status, ended.stderr) == (130, "")


def test_damage_is_named_at_the_end(log: Path, builder: LogBuilder, watched: Watched) -> None:
    append(log, b"junk\n" + builder.intent(1))
    watched.shows(4)
    ended = watched.end(signal.SIGINT)
    assert ended.status == 130
    assert ended.stderr.startswith(f"AEG102 {log}, line 4, byte ")
    assert ended.stderr.endswith("4 shown + 0 filtered + 1 damaged = 5 lines\n")


def test_the_last_entries_come_first_and_then_the_new_ones(log: Path, builder: LogBuilder) -> None:
    with Watched("inspect", log, "--follow", "--format", "jsonl", "--last", "1") as watched:
        assert numbers(watched.shows(1)) == [2]
        append(log, builder.intent(1))
        append(log, builder.outcome(1))
        assert numbers(watched.shows(3)) == [2, 3, 4]


def test_a_limit_ends_it(log: Path, builder: LogBuilder) -> None:
    with Watched("inspect", log, "--follow", "--limit", "4") as watched:
        watched.shows(4)
        append(log, builder.intent(1) + builder.outcome(1))
        ended = watched.end()
    assert ended.status == 0
    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["SEQ", "0", "1", "2", "3"]


def test_filters_apply(log: Path, builder: LogBuilder) -> None:
    with Watched("inspect", log, "--follow", "--tool", "write_*", "--format", "jsonl") as watched:
        append(log, builder.intent(1) + builder.intent(2, tool="write_file"))
        assert numbers(watched.shows(1)) == [4]


def test_there_must_be_something_to_follow(tmp_path: Path) -> None:
    shown = audit("inspect", tmp_path / "absent.log", "--follow")
    assert shown.status == 5
    assert "there is no such file" in shown.stderr


def test_a_pipe_is_not_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    shown = audit("inspect", tmp_path / "fifo", "--follow")
    assert shown.status == 6
    assert "not a regular file" in shown.stderr
