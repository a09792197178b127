"""Whatever stands in a log: every line is accounted for, and no estimate is further off than it says."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median_low
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit.chain import Head
from aegis_audit.listing import Listing, unanswered_in
from aegis_audit.query import Query
from aegis_audit.reading import Reading, in_order
from aegis_audit.row import ANSWER_UNKNOWN, row_of
from aegis_audit.segment import Line, Segment, lines_of
from aegis_audit.summary import Durations, Summary
from support.logs import LogBuilder, rotated_log, small_log, trace_of, write

ODD_VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.sampled_from(["", "intent", "outcome", "deny"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["omitted", "a"]), inner, max_size=2),
    max_leaves=4,
)
REQUEST_KEYS: Final = ["phase", "decision", "status", "tool", "uri", "prompt", "method", "server", "rule", "reason"]
OTHER_KEYS: Final = ["access", "duration_us", "kind", "origin", "fragments", "count"]
EVENTS: Final = st.dictionaries(st.sampled_from(REQUEST_KEYS + OTHER_KEYS), ODD_VALUES, max_size=8)
TYPES: Final = st.sampled_from(["tool_invocation", "access_denied", "security_event", "unheard_of"])
ENTRIES: Final = st.lists(st.tuples(TYPES, EVENTS, st.none() | st.integers(0, 2)), max_size=12)
SPOILS: Final = st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 300), st.binary(max_size=4)), max_size=3)


@dataclass(frozen=True)
class Pieces:
    """A log that is read in small pieces."""

    data: bytes
    path: str = "audit.log"

    def lines(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[Line]:
        """Return its lines."""
        pieces = [self.data[at : at + 700] for at in range(0, len(self.data), 700)]
        progress(len(self.data))
        return lines_of(iter(pieces))


@given(ENTRIES, SPOILS, st.sampled_from([0, 600, 1 << 20]))
def test_every_line_is_accounted_for(
    entries: list[tuple[str, dict[str, Any], int | None]], spoils: list[tuple[int, int, bytes]], hold: int
) -> None:
    builder = LogBuilder()
    for event_type, event, trace in entries:
        builder.add(event_type, event, None if trace is None else trace_of(trace))
    data = b"".join(builder.lines)
    for at, length, instead in spoils:
        data = data[:at] + instead + data[at + length :]
    source = Pieces(data)
    listing, summed = Listing(Query(tools=("*",)), hold=hold), Summary()
    for one in listing.entries([source], partial(unanswered_in, [source])):
        summed.add(one.found.entry)
        row = row_of(one.found.entry, is_unanswered=one.is_unanswered)
        assert (row.result == ANSWER_UNKNOWN) == one.is_unanswered
    reading = listing.reading
    assert listing.shown + listing.filtered + reading.damaged + reading.repeated + reading.attested == reading.total
    assert reading.total == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    assert summed.entries == listing.shown
    assert (reading.verdict.exit_code == 0) == (reading.damaged == 0 and reading.total > 0)


@given(st.lists(st.integers(0, 2**53 - 1), min_size=1))
def test_a_median_is_within_its_bound(values: list[int]) -> None:
    durations = Durations()
    for value in values:
        durations.add(value)
    exact = median_low(values)
    assert durations.median is not None
    assert abs(durations.median - exact) <= exact / 32
    assert durations.maximum == max(values)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_segments_of_two_logs_are_read_log_by_log(tmp_path: Path, order: tuple[int, ...]) -> None:
    first, second = rotated_log(1, 1)
    other = small_log(origin="attic.example/aegis")
    paths = [write(tmp_path / f"{number}.log", lines) for number, lines in enumerate((first, second, other))]
    segments = in_order([Segment(str(paths[number])) for number in order])
    assert [Path(segment.path).stem for segment in segments] == ["2", "0", "1"]


def test_a_segment_whose_start_is_damaged_has_its_place(tmp_path: Path) -> None:
    first, second, third = rotated_log(1, 1, 1)
    names = {"c": first, "b": [b"junk\n", *second[1:]], "a": third}
    segments = [Segment(str(write(tmp_path / name, lines))) for name, lines in names.items()]
    assert [Path(segment.path).name for segment in in_order(segments[::-1])] == ["c", "b", "a"]


def test_standard_input_is_read_last(tmp_path: Path) -> None:
    segment = Segment(str(write(tmp_path / "audit.log", small_log())))
    assert in_order([Segment("-"), segment]) == [segment, Segment("-")]


def test_a_segment_has_its_place_by_what_its_opening_says_and_nothing_else(tmp_path: Path) -> None:
    first, second = rotated_log(1, 1)
    log = LogBuilder(Head(1, first[1][15:79].decode("ascii")))
    log.security("policy_loaded", origin="attic.example/aegis")
    segments = [Segment(str(write(tmp_path / name, lines))) for name, lines in (("b", second), ("a", log.lines))]
    begun = Segment(str(write(tmp_path / "c", first)))
    assert [Path(segment.path).name for segment in in_order([*segments, begun])] == ["c", "a", "b"]


def test_what_is_no_intact_entry_is_counted_and_named(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(0)
    at = sum(map(len, log.lines))
    log.lines.append(b"torn\n")
    log.recover((at, b"torn"))
    log.lines += [b"junk\n", small_log(3)[-1].replace(b'"ok"', b'"no"')]
    again = [*log.lines[:3], log.lines[2], *log.lines[:3]]  # the second one stands twice, and all behind an opening
    compressed = gzip.compress(b"".join(log.lines[:3]))[:-20]
    paths = [
        write(tmp_path / "1.log", log.lines),
        write(tmp_path / "2.log", log.lines[1:3]),
        write(tmp_path / "3.log", again),
        write(tmp_path / "4.log", [compressed]),
        tmp_path / "absent",
        Path("/dev/null"),
    ]
    reading = Reading()
    found = [one.entry.seq for one in reading.read([Segment(str(path)) for path in paths])]
    account = reading.to_json()
    findings = [(one["id"], Path(one["path"]).name, one["line"]) for one in account.pop("findings")]
    assert found == [0, 1, 2, 3]
    assert sorted(findings) == [
        ("AEG001", "1.log", 7),
        ("AEG102", "1.log", 6),
        ("AEG202", "4.log", None),
        ("AEG301", "absent", None),
        ("AEG401", "null", None),
    ]
    assert account == {
        "repeated": reading.entries - 4,
        "attested": 1,
        "damaged": 2,
        "total": reading.entries + 3,
        "findings_left_off": 0,
        "exit_code": 1,
    }


@pytest.mark.parametrize(("name", "code"), [("absent", 5), ("/dev/null", 6), ("empty", 5)])
def test_what_is_not_there_or_cannot_be_read_is_named_once(tmp_path: Path, name: str, code: int) -> None:
    write(tmp_path / "empty", [])
    reading = Reading()
    assert list(reading.read([Segment(str(tmp_path / name))])) == []
    account = reading.to_json()
    assert (len(account["findings"]), account["exit_code"], account["repeated"]) == (1, code, 0)


def test_an_entry_is_a_repeated_one_only_behind_a_new_beginning(tmp_path: Path) -> None:
    lines = small_log(1)
    for content, repeated in (([lines, lines], 3), ([[*lines, *lines]], 3), ([[*lines, lines[2]]], 0)):
        reading = Reading()
        paths = [write(tmp_path / f"{number}.log", part) for number, part in enumerate(content)]
        entries = list(reading.read([Segment(str(path)) for path in paths]))
        assert (reading.repeated, reading.entries - len(entries)) == (repeated, repeated)
    parts = [write(tmp_path / f"{number}.log", lines[1:]) for number in range(2)]
    reading = Reading()
    assert len(list(reading.read([Segment(str(path)) for path in parts]))) == reading.repeated == 2
