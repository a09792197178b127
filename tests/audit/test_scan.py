"""One segment by itself, as its writer leaves it or changed: what is found and where, and which runs it holds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import pytest

from aegis_audit.chain import Head
from aegis_audit.checks import scan as scanning
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.scan import Inquiry, Scan, scan
from aegis_audit.entry import Entry
from aegis_audit.segment import Segment
from aegis_audit.shape import Shapes
from aegis_audit.trust import Trust
from support.logs import LogBuilder, reseal, write
from support.tampering import with_field

JUNK: Final = b"junk\n"
BULK: Final = 3
"""Calls that are taken together where their shape is known."""
Change: TypeAlias = "tuple[str, int, int] | tuple[str, int, str, bool]"
"""What is done to the line with this index: `copy` it to another place, `drop` so many, or give a field another value,
with the right hash or without."""


class Scanned(NamedTuple):
    """What came of a scan: findings by their ids, and runs by their first and last numbers; `*` marks a replay."""

    found: list[tuple[str, int | None, str, str]]
    runs: list[str]
    result: Scan


def scanned(
    directory: Path, lines: Iterable[bytes], watched: frozenset[int] = frozenset(), shapes: Shapes | None = None
) -> Scanned:
    """Scan a segment, with the shapes of calls known or with those that are given."""
    found = Findings()
    inquiry = Inquiry(found, shapes or _shapes(), Ledgers(found, Trust()), watched)
    result = scan(Segment(str(write(directory / "audit.log", lines))), inquiry)
    return Scanned(
        [(one.code.identifier, one.place.line, one.expected, one.found) for one in found.kept()],
        [f"{run.first_seq}-{run.last_seq}{'*' * run.is_replay}" for run in result.runs],
        result,
    )


def _shapes() -> Shapes:
    shapes, log = Shapes(), LogBuilder()
    for line in (log.intent(0), log.outcome(0)):
        for _ in range(512):
            shapes.learn(Entry.parse(line))
    return shapes


def begun(calls: int = 2) -> LogBuilder:
    """Return a log with its first entry and as many calls."""
    log = LogBuilder()
    log.open_log()
    for number in range(calls):
        log.call(number)
    return log


def rotated(replay: list[int] | None = None, **details: Any) -> tuple[list[bytes], LogBuilder]:
    """Return the lines of a first segment, and the log that goes on in the second one."""
    log = begun(BULK)
    first, log.lines = log.lines, []
    log.open_segment(**({"replay": replay} if replay else {}), **details)
    return first, log


def unsealed(line: bytes, old: bytes, new: bytes) -> bytes:
    """Return a line in which something was exchanged, and that states the hash that it had."""
    assert old in line
    return line.replace(old, new)


def false_opening() -> list[bytes]:
    log = begun(0)
    log.security("segment_opened", first_seq=7, prev_hash="1" * 64, origin="desk.example/aegis", reason="rotated")
    return log.lines


def unsealed_opening() -> list[bytes]:
    _, log = rotated()
    return [unsealed(log.lines[0], b'"first_seq":7', b'"first_seq":8')]


def edited_and_jumping() -> list[bytes]:
    log = begun()
    return [*log.lines[:2], unsealed(reseal(log.lines[4]), b'"seq":4', b'"seq":9')]


def opened_twice() -> list[bytes]:
    _, log = rotated()
    return [log.lines[0], log.lines[0]]


def put_together() -> list[bytes]:
    """Return the beginning of one log, and a later segment of another."""
    other = LogBuilder(Head(4, "2" * 64), origin="other.example/aegis")
    other.open_segment()
    return [*begun().lines, *other.lines]


def forked() -> list[bytes]:
    log = begun()
    fork = LogBuilder(Head(3, log.lines[3][15:79].decode()))
    fork.now = log.now
    fork.outcome(1, "other")
    fork.call(2)
    return [*log.lines, *fork.lines]


def damaged_before_a_duplicate() -> list[bytes]:
    log = begun(1)
    log.security("policy_loaded")
    return [*log.lines[:3], JUNK, log.lines[2], log.lines[3], JUNK, log.lines[3]]


def gone_on_without_what_was_announced() -> list[bytes]:
    first, log = rotated([1, 2])
    for number in range(BULK, 2 * BULK):
        log.call(number)
    log.security("policy_loaded")
    return [*log.lines, *first[1:3]]


def replayed() -> list[bytes]:
    first, log = rotated([1, 6])
    log.call(BULK)
    return [log.lines[0], *first[1:], *log.lines[1:]]


def replayed_in_parts() -> list[bytes]:
    first, log = rotated([1, 6])
    log.call(BULK)
    return [log.lines[0], *first[1:3], *first[4:], *log.lines[1:]]


def replay_with_an_edit() -> list[bytes]:
    first, log = rotated([1, 4])
    log.call(BULK)
    return [log.lines[0], *first[1:4], unsealed(first[4], b'"seq":4', b'"seq":5'), *log.lines[1:]]


def torn_before_an_opening() -> list[bytes]:
    torn = b'{"entry_hash":"0'
    first, log = rotated()
    log.lines, log.head = [], Head(6, first[-1][15:79].decode())
    log.security("segment_opened", fragments=_fragments(len(b"".join(first)), torn), origin=log.origin, reason="cut")
    return [*first, torn + b"\n", *log.lines]


def _fragments(offset: int, fragment: bytes) -> list[dict[str, object]]:
    log = LogBuilder()
    event = Entry.parse(log.recover((offset, fragment))).event
    return event["fragments"]


def attested_elsewhere() -> list[bytes]:
    """Return the end of a segment, whose writer attests what stood before it."""
    log = begun()
    log.recover((0, b"torn"))
    return log.lines[2:]


def attested_and_unsealed() -> list[bytes]:
    log = begun(0)
    log.recover((0, b"torn"))
    return [log.lines[0], unsealed(log.lines[1], b"a line was torn", b"A line was torn")]


def acknowledged() -> LogBuilder:
    log = begun(0)
    for number in range(2):
        log.security("break_acknowledged", missing=[[number, number]], by="Ada", note="seen")
    return log


def left_by_its_writer() -> list[bytes]:
    """Return three segments in one: a torn line that is attested, a replay, and a loss that is recorded."""
    log = LogBuilder()
    log.open_log()
    log.call(0)
    log.intent(1)
    log.lines.append(b'{"torn\n')
    log.recover((0, b'{"torn'))
    log.call(2)
    replayed = log.lines[-2:]
    log.open_segment("truncated", replay=[5, 6])
    log.lines += replayed
    log.call(3)
    log.open_segment()
    log.session_id = "ab" * 16
    log.call(4)
    log.security("entries_lost", missing=[2, 3])
    log.call(5)
    return log.lines


LINES: Final = left_by_its_writer()


def changed(changes: Sequence[Change]) -> list[bytes]:
    lines = LINES[:]
    for change in changes:
        match change:
            case ("copy", at, int() as to):
                lines.insert(to, lines[at])
            case (_, at, int() as count):
                del lines[at : at + count]
            case (field, at, value, is_sealed):
                line = with_field(lines[at], field, value.encode("ascii"))
                lines[at] = reseal(line) if is_sealed else line
    return lines


CASES: Final[dict[str, tuple[list[bytes], list[tuple[str, int]], list[str]]]] = {
    "an opening that says what is not so": (false_opening(), [("AEG007", 2), ("AEG007", 2)], ["0-1"]),
    "an opening that was changed": (unsealed_opening(), [("AEG001", 1)], ["7-7"]),
    "an entry that was changed and has another number": (edited_and_jumping(), [("AEG001", 3)], ["0-1", "9-9"]),
    "an opening twice": (opened_twice(), [("AEG005", 2)], ["7-7"]),
    "a segment of another log": (put_together(), [], ["0-4", "5-5"]),
    "a fork": (forked(), [("AEG003", 6)], ["0-6"]),
    "damage before an entry that stands twice": (
        damaged_before_a_duplicate(),
        [("AEG102", 4), ("AEG005", 5), ("AEG102", 7), ("AEG005", 8)],
        ["0-3"],
    ),
    "a replay that did not come, and then did": (gone_on_without_what_was_announced(), [], ["7-14", "1-2"]),
    "a replay": (replayed(), [], ["7-9", "1-6*"]),
    "a replay with a gap": (replayed_in_parts(), [], ["7-9", "1-2*", "4-6*"]),
    "a replay with an edit": (replay_with_an_edit(), [("AEG001", 5)], ["7-9", "1-4*"]),
    "a torn line before an opening": (torn_before_an_opening(), [("AEG503", 8)], ["0-7"]),
    "an attestation of what is not in this part": (attested_elsewhere(), [], ["2-5"]),
    "an attestation that was changed": (attested_and_unsealed(), [("AEG001", 2)], ["0-1"]),
}


@pytest.mark.parametrize(("lines", "found", "runs"), CASES.values(), ids=CASES)
def test_a_segment_is_judged_by_itself(
    tmp_path: Path, lines: list[bytes], found: list[tuple[str, int]], runs: list[str]
) -> None:
    scan = scanned(tmp_path, lines)
    assert ([one[:2] for one in scan.found], scan.runs) == (found, runs)
    assert not any(run.has_damage_after for run in scan.result.runs)


@pytest.mark.parametrize(
    ("changes", "found", "runs"),
    [
        ([], "AEG204:17 AEG503:5", "0-15:1-19 5-6:10-11"),
        (
            [("copy", 6, 7), ("seq", 14, "14", True)],
            "AEG005:8 AEG002:15 AEG007:15 AEG002:16 AEG204:18 AEG503:5",
            "0-15:1-20 5-6:11-12",
        ),
        (
            [("session_id", 2, f'"{"cd" * 16}"', False), ("copy", 2, 3)],
            "AEG001:3 AEG001:4 AEG005:4 AEG204:18 AEG503:6",
            "0-15:1-20 5-6:11-12",
        ),
        ([("seq", 11, "3", False)], "AEG001:12 AEG204:17 AEG503:5", "0-7:1-9 5-6:10-11 8-15:12-19"),
        ([("seq", 2, "3", True)], "AEG002:3 AEG003:4 AEG204:17 AEG503:5", "0-15:1-19 5-6:10-11"),
        (
            [("prev_hash", 11, f'"{LINES[10][15:79].decode("ascii")}"', False), ("drop", 14, 1)],
            "AEG001:12 AEG204:16 AEG503:5",
            "0-7:1-9 5-7:10-12 9-10:13-14 12-15:15-18",
        ),
        (
            [("copy", 5, 6), ("session_id", 0, f'"{"cd" * 16}"', False)],
            "AEG001:1 AEG005:7 AEG204:18 AEG503:5",
            "0-15:1-20 5-6:11-12",
        ),
        (
            [("copy", 2, 9), ("seq", 13, "40", True)],
            "AEG002:14 AEG204:18 AEG503:5",
            "0-7:1-9 2-2:10-10 5-6:11-12 8-9:13-14 10-15:15-20",
        ),
        (
            [("prev_hash", 16, f'"{"e" * 64}"', False)],
            "AEG001:17 AEG204:17 AEG503:5",
            "0-15:1-19 5-6:10-11",
        ),
        (
            [("prev_hash", 6, f'"{"0" * 64}"', True)],
            "AEG002:7 AEG006:7 AEG002:8 AEG204:17 AEG503:5",
            "0-15:1-19 5-6:10-11",
        ),
        ([("copy", 8, 7)], "AEG005:10 AEG204:18 AEG503:5", "0-5:1-11 7-15:8-20 6-6:9-12 5-6:11-12"),
        (
            [("session_id", 5, f'"{"cd" * 16}"', False), ("copy", 5, 15)],
            "AEG001:6 AEG001:16 AEG204:18 AEG503:5",
            "0-11:1-15 5-6:10-11 4-4:16-16 12-15:17-20",
        ),
    ],
)
def test_each_change_is_found_in_its_line_and_all_behind_it_is_judged_in_full(
    tmp_path: Path, changes: list[Change], found: str, runs: str
) -> None:
    lines = changed(changes)
    scan = scanned(tmp_path, lines, shapes=Shapes())
    ends = {line[15:79].decode("latin-1"): number for number, line in enumerate(lines, 1)}
    assert " ".join(f"{code}:{line}" for code, line, *_ in scan.found) == found
    assert runs == " ".join(
        f"{run.first_seq}-{run.last_seq}:{run.place.line}-{ends[run.last_hash]}" for run in scan.result.runs
    )


def test_what_was_read_is_counted(tmp_path: Path) -> None:
    lines = [*begun().lines, JUNK]
    result, size = scanned(tmp_path, lines).result, sum(map(len, lines))
    assert (result.entries, result.lines, result.size, result.stored) == (5, 6, size, size)


def test_what_is_not_there_or_cannot_be_read_is_said(tmp_path: Path) -> None:
    found = Findings()
    inquiry = Inquiry(found, Shapes(), Ledgers(found, Trust()))
    os.mkfifo(tmp_path / "pipe")
    missing, pipe = (scan(Segment(str(tmp_path / name)), inquiry) for name in ("missing", "pipe"))
    assert (missing.absence is None, pipe.absence is None) == (False, True)
    assert [one.code.identifier for one in found.kept()] == ["AEG401"]


def test_all_hashes_of_a_replay_are_known_and_of_others_the_watched_ones(tmp_path: Path) -> None:
    result = scanned(tmp_path, replayed(), watched=frozenset({7, 9})).result
    log, replay = (run.known_hashes for run in result.runs)
    assert (sorted(log), sorted(replay)) == ([7, 9], [1, 2, 3, 4, 5, 6])


def test_what_the_writer_has_recorded_as_lost_is_said(tmp_path: Path) -> None:
    log = begun()
    log.security("entries_lost", missing=[1, 2])
    log.security("entries_lost", count=3)
    assert scanned(tmp_path, log.lines).found == [
        ("AEG204", 6, "every entry", "entries 1 to 2 recorded as lost"),
        ("AEG204", 7, "every entry", "3 entries recorded as lost"),
    ]


@pytest.mark.parametrize(
    ("origins", "origin"), [(["a", "b"], "a"), ([5, "b"], "b"), ([None, 5], None)], ids=["first", "second", "none"]
)
def test_a_run_has_the_first_name_that_is_one(tmp_path: Path, origins: list[object], origin: str | None) -> None:
    log = LogBuilder()
    for name in origins:
        log.security("log_opened", origin=name)
    assert [run.origin for run in scanned(tmp_path, log.lines).result.runs] == [origin]


def test_what_an_entry_says_that_was_changed_does_not_count(tmp_path: Path) -> None:
    log = acknowledged()
    opening, claim, _ = log.lines
    lines = [unsealed(opening, b"desk.example", b"DESK.example"), unsealed(claim, b'"Ada"', b'"Eve"')]
    result = scanned(tmp_path, lines).result
    assert ([run.origin for run in result.runs], result.claims) == ([None], [])


def test_no_more_is_kept_than_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = acknowledged()
    for number in range(2):
        log.security("entries_lost", missing=[number, number])
    assert [(len(one.claims), len(one.lost)) for one in [scanned(tmp_path, log.lines).result]] == [(2, 2)]
    monkeypatch.setattr(scanning, "MAX_CLAIMS", 1)
    monkeypatch.setattr(scanning, "MAX_FINDINGS", 1)
    assert [(len(one.claims), len(one.lost)) for one in [scanned(tmp_path, log.lines).result]] == [(1, 1)]


def test_where_no_more_runs_are_kept_a_gap_is_judged_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "MAX_RUNS", 2)
    lines = begun(6).lines
    pieces = [*lines[:1], *lines[2:3], JUNK, *lines[4:6], *lines[8:9], *lines[1:2], *lines[2:3], JUNK, *lines[6:7]]
    scan = scanned(tmp_path, pieces)
    assert [one[:2] + one[3:] for one in scan.found] == [
        ("AEG102", 3, "Expecting value at character 0, in a line of 5 bytes"),
        ("AEG201", 4, "entry 4"),
        ("AEG201", 6, "entry 8"),
        ("AEG004", 7, "entry 1"),
        ("AEG102", 9, "Expecting value at character 0, in a line of 5 bytes"),
        ("AEG201", 10, "entry 6"),
    ]
    assert scan.runs == ["0-0", "2-6"]
    assert not any(run.has_damage_after for run in scan.result.runs)
