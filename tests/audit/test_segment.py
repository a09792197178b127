"""Lines of a segment: where each begins, how long it is, and that no cut of the bytes changes that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aegis_audit.archive import find_segments
from aegis_audit.entry import MAX_LINE
from aegis_audit.errors import AbsentSegment, EmptyDirectory, MalformedEntry, MovedSegment, UnreadableSegment
from aegis_audit.finding import FindingCode
from aegis_audit.segment import Line, Segment, lines_of
from aegis_audit.verify import verify
from support.logs import small_log, write

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


@example([0, 2 * MAX_LINE], True, [5 * MAX_LINE])
@example([0, 0, MAX_LINE, 0, 3 * MAX_LINE + 7, 1], False, [MAX_LINE - 1, 3])
@example([MAX_LINE - 1, MAX_LINE, MAX_LINE - 1], True, [MAX_LINE])
@given(st.lists(sizes, max_size=6), st.booleans(), st.lists(st.integers(1, 4 * MAX_LINE), min_size=1, max_size=4))
def test_lines_are_the_same_however_the_bytes_come(lengths: list[int], is_torn: bool, steps: list[int]) -> None:
    steps = [max(step, 500) for step in steps]
    data = b"\n".join(b"x" * length for length in lengths) + (b"" if is_torn or not lengths else b"\n")
    assert list(lines_of(cut(data, steps))) == expected(data)


def test_only_a_line_with_its_lf_and_of_a_bearable_length_is_whole() -> None:
    data = b"x" * (MAX_LINE - 1) + b"\n" + b"y" * MAX_LINE + b"\n" + b"z"
    assert [line.is_whole for line in lines_of(cut(data, [MAX_LINE]))] == [True, False, False]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"x" * (MAX_LINE - 1) + b"\n", FindingCode.NOT_JSON),
        (b"x" * MAX_LINE + b"\n", FindingCode.OVERLONG_LINE),
        (b"x" * (3 * MAX_LINE), FindingCode.OVERLONG_LINE),
        (b"x" * (MAX_LINE + 1), FindingCode.OVERLONG_LINE),
        (b"x" * MAX_LINE, FindingCode.TORN_TAIL),
        (b"x", FindingCode.TORN_TAIL),
        (b"x\0", FindingCode.NUL_BYTES),
        (b"\0" * (2 * MAX_LINE), FindingCode.NUL_BYTES),
    ],
    ids=lambda value: value.name if isinstance(value, FindingCode) else str(len(value)),
)
def test_a_line_that_is_not_whole_is_torn_or_too_long(data: bytes, code: FindingCode) -> None:
    (line,) = lines_of(cut(data, [50_000]))
    with pytest.raises(MalformedEntry) as caught:
        line.parse()
    assert (caught.value.code, line.length) == (code, len(data))


def test_what_cannot_be_read_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"one\n")
    with pytest.raises(UnreadableSegment, match="Invalid argument"):
        list(Segment(str(path), start=-1).lines())
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UnreadableSegment, match="NoneType"):
        list(Segment("-").lines())


def test_a_segment_is_opened_so_that_nothing_waits_for_it_and_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"one\ntwo\n")
    segment = Segment(str(path))
    descriptor = segment.open()
    assert not os.get_blocking(descriptor)
    os.close(descriptor)
    assert list(segment.lines()) == [Line(1, 0, b"one\n", 4), Line(2, 4, b"two\n", 4)]


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


def test_a_directory_gives_what_is_named_or_begins_like_a_segment(tmp_path: Path) -> None:
    entry = small_log(1)[0]
    for name, content in (
        ("audit.log", b""),
        ("audit.log.1", b"junk\n"),
        ("audit.log-20261124.gz", b""),
        ("odd", entry),
        ("notes", b"# notes\n" + entry),
        ("empty", b""),
        (".audit.log", entry),
    ):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "gone").symlink_to(tmp_path / "absent")
    (tmp_path / "below.log").mkdir()
    (tmp_path / "audit.tlog").mkdir()
    found = [Path(segment.path).name for segment in find_segments([str(tmp_path), str(tmp_path / "audit.log")])]
    assert found == ["audit.log", "audit.log-20261124.gz", "audit.log.1", "odd"]
    assert find_segments([str(tmp_path / "audit.tlog")]) == []


def test_what_is_named_and_is_not_there_is_not_passed_over_beside_what_is(tmp_path: Path) -> None:
    path = str(write(tmp_path / "audit.log", small_log(1)))
    (tmp_path / "directory").mkdir()
    for absent in ("absent.log", "absent*.log", "directory", "x" * 5000, "[" * 5000):
        report = verify([path, str(tmp_path / absent)])
        assert (len(report.segments), report.entries, report.verdict.exit_code) in {(2, 3, 5), (2, 3, 6)}


def test_a_name_that_looks_like_a_pattern_is_that_of_the_file_if_there_is_one(tmp_path: Path) -> None:
    for name in ("audit[1].log", "audit1.log", "audit2.log"):
        (tmp_path / name).write_bytes(b"one\n")
    (named,) = find_segments([str(tmp_path / "audit[1].log")])
    assert named.path == str(tmp_path / "audit[1].log")
    found = [Path(segment.path).name for segment in find_segments([str(tmp_path / "audit[12].log")])]
    assert found == ["audit1.log", "audit2.log"]


def test_what_a_pattern_has_given_and_is_not_there_has_moved(tmp_path: Path) -> None:
    (tmp_path / "audit.log.1").symlink_to(tmp_path / "audit.log.2")
    (gone,) = find_segments([str(tmp_path / "audit*")])
    with pytest.raises(MovedSegment, match="the file went away after it was found"):
        list(gone.lines())
