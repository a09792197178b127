"""Lines of a segment: where each begins, how long it is, and that no cut of the bytes changes that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit.archive import find_segments
from aegis_audit.entry import MAX_LINE
from aegis_audit.errors import AbsentSegment, EmptyDirectory, MovedSegment, UnreadableSegment
from aegis_audit.segment import Line, Segment, lines_of

sizes = st.sampled_from(
    [0, 1, 2, 100, MAX_LINE - 2, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE, 3 * MAX_LINE + 7]
)


def expected(data: bytes) -> list[Line]:
    """Cut the simple way, with all of it in memory."""
    lines: list[Line] = []
    offset = 0
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw + b"\n" if offset + len(raw) < len(data) else raw
        if line:
            lines.append(Line(number, offset, line[:MAX_LINE], len(line)))
        offset += len(line)
    return lines


def cut(data: bytes, steps: list[int]) -> Iterator[bytes]:
    """Cut the bytes into pieces of these sizes, again and again."""
    at = turn = 0
    while at < len(data):
        size = steps[turn % len(steps)]
        yield data[at : at + size]
        at, turn = at + size, turn + 1


@given(st.lists(sizes, max_size=6), st.booleans(), st.lists(st.integers(1, 4 * MAX_LINE), min_size=1, max_size=4))
def test_lines_are_the_same_however_the_bytes_come(lengths: list[int], is_torn: bool, steps: list[int]) -> None:
    steps = [max(step, 500) for step in steps]
    data = b"\n".join(b"x" * length for length in lengths) + (b"" if is_torn or not lengths else b"\n")
    assert list(lines_of(cut(data, steps))) == expected(data)


def test_only_a_line_with_its_lf_and_of_a_bearable_length_is_whole() -> None:
    data = b"x" * (MAX_LINE - 1) + b"\n" + b"y" * MAX_LINE + b"\n" + b"z"
    assert [line.is_whole for line in lines_of(cut(data, [MAX_LINE]))] == [True, False, False]


def test_a_live_segment_is_read_up_to_the_size_that_it_had(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"one\n" * 40_000)
    lines = Segment(str(path)).lines()
    first = next(lines)
    with path.open("ab") as log:
        log.write(b"more\n")
    assert 1 + sum(1 for _ in lines) == 40_000
    assert first.raw == b"one\n"


def test_a_segment_that_shrinks_while_it_is_read_has_moved(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"one\n" * 40_000)
    lines = Segment(str(path)).lines()
    next(lines)
    with path.open("r+b") as log:
        log.truncate(4)
    with pytest.raises(MovedSegment, match="shrank while it was read"):
        list(lines)


def test_a_segment_that_is_not_the_one_that_was_found_has_moved(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"one\n" * 10)
    (found,) = find_segments([str(tmp_path)])
    path.write_bytes(b"one\n")
    with pytest.raises(MovedSegment, match="the file shrank after it was found"):
        list(found.lines())
    path.rename(tmp_path / "audit.log.1")
    with pytest.raises(MovedSegment, match="the file went away after it was found"):
        list(found.lines())
    path.write_bytes(b"one\n" * 20)
    with pytest.raises(MovedSegment, match="another file has its name now"):
        list(found.lines())


def test_what_was_listed_and_is_not_there_has_moved(tmp_path: Path) -> None:
    (tmp_path / "audit.log.1").write_bytes(b"one\n")
    (tmp_path / "audit.log.2").symlink_to(tmp_path / "audit.log.3")  # to a reader like a file that went away
    kept, gone = find_segments([str(tmp_path)])
    assert [line.raw for line in kept.lines()] == [b"one\n"]
    with pytest.raises(MovedSegment, match="the file went away after it was found"):
        list(gone.lines())
    (named,) = find_segments([gone.path])
    with pytest.raises(AbsentSegment, match="there is no such file"):
        list(named.lines())


def test_what_is_not_there_and_what_is_no_segment_are_told_apart(tmp_path: Path) -> None:
    for path, error in (
        (tmp_path / "absent", AbsentSegment),
        (tmp_path, EmptyDirectory),
        (Path("/dev/null"), UnreadableSegment),
    ):
        with pytest.raises(UnreadableSegment) as caught:
            list(Segment(str(path)).lines())
        assert type(caught.value) is error
        assert caught.value.path == str(path)
