"""`compare`: two copies of a log, and how they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from aegis_audit.comparison import MAX_RANGES, Ranges
from support.auditor import Outcome, audit
from support.logs import LogBuilder, reseal, rotated_log, small_log, write

LINES: Final = small_log(5)


def rewritten(at: int) -> list[bytes]:
    """Return the log as somebody would write it anew from an entry on."""
    log = LogBuilder()
    log.open_log()
    for number in range(5):
        log.call(number, tool="other" if len(log.lines) >= at else "read_text_file")
    return log.lines


def compared(tmp_path: Path, a: Sequence[bytes], b: Sequence[bytes]) -> Outcome:
    return audit("compare", write(tmp_path / "a", a), write(tmp_path / "b", b), "--format", "json")


def hash_of(line: bytes) -> str:
    return line[15:79].decode("ascii")


@dataclass(frozen=True)
class Case:
    """Two copies, and what is to be said of them: how many entries are the same, and the ranges that one alone has."""

    a: Sequence[bytes]
    b: Sequence[bytes]
    status: int
    likeness: str
    same: int
    only_a: Sequence[Sequence[int]] = ()
    only_b: Sequence[Sequence[int]] = ()


@pytest.mark.parametrize(
    "case",
    [
        Case(LINES, LINES, 0, "identical", 11),
        Case(LINES, LINES[:7], 4, "truncated", 7, [[7, 10]]),
        Case(LINES[:7], LINES, 4, "truncated", 7, (), [[7, 10]]),
        Case(LINES, LINES[3:], 0, "overlap", 8, [[0, 2]]),
        Case(LINES[:8], LINES[3:], 0, "overlap", 5, [[0, 2]], [[8, 10]]),
        Case(LINES, LINES[3:8], 0, "overlap", 5, [[0, 2], [8, 10]]),
        Case(LINES, [*LINES[:4], *LINES[6:]], 1, "edited", 9, [[4, 5]]),
        Case(LINES[3:], LINES, 0, "overlap", 8, (), [[0, 2]]),
        Case(LINES, [*LINES[:4], LINES[3], *LINES[4:]], 0, "identical", 11),
        Case(LINES, [*LINES[3:], *LINES[:3]], 5, "overlap", 8, [[0, 2]]),
        Case(LINES[1:], LINES[3:], 0, "overlap", 8, [[1, 2]]),
        Case(LINES, [*LINES[3:5], *LINES[6:]], 1, "edited", 7, [[0, 2], [5, 5]]),
        Case(LINES, [LINES[0], *LINES[5:]], 1, "edited", 7, [[1, 4]]),
        Case(LINES[:7], [*LINES[:5], *LINES[7:9]], 0, "overlap", 5, [[5, 6]], [[7, 8]]),
        Case(LINES, [*LINES[:5], b"junk\n", *LINES[5:]], 3, "identical", 11),
        Case(LINES[:4], LINES[6:], 5, "unrelated", 0, [[0, 3]], [[6, 10]]),
        Case(LINES, small_log(5, origin="other.example/log"), 5, "unrelated", 0),
    ],
)
def test_copies_are_told_apart(tmp_path: Path, case: Case) -> None:
    outcome = compared(tmp_path, case.a, case.b)
    found = outcome.json
    assert (outcome.status, found["exit_code"]) == (case.status, case.status)
    assert (found["class"], found["same"]) == (case.likeness, case.same)
    assert (found["a"]["ranges"], found["b"]["ranges"]) == (list(case.only_a), list(case.only_b))


def test_a_history_that_goes_on_differently_is_a_fork(tmp_path: Path) -> None:
    other = rewritten(5)
    outcome = compared(tmp_path, LINES, other)
    assert outcome.status == 1
    assert (outcome.json["class"], outcome.json["same"]) == ("forked", 5)
    assert outcome.json["first_divergence"] == {"seq": 5, "a": hash_of(LINES[5]), "b": hash_of(other[5])}


def edit(line: bytes) -> bytes:
    return line.replace(b"read_text_file", b"read_some_file")


def edit_and_seal(line: bytes) -> bytes:
    return reseal(edit(line))


def damage(line: bytes) -> bytes:
    return line[:50] + b"\n"


def drop(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    ("harm", "in_the_middle", "at_the_end"),
    [
        (edit, "edited", "edited"),
        (edit_and_seal, "edited", "forked"),  # at the end nothing shows that the copies are the same again
        (damage, "edited", "edited"),
        (drop, "edited", "truncated"),
    ],
)
def test_an_entry_that_was_changed_is_an_edit(
    tmp_path: Path, harm: Callable[[bytes], bytes], in_the_middle: str, at_the_end: str
) -> None:
    for at, likeness in ((5, in_the_middle), (10, at_the_end)):
        outcome = compared(tmp_path, LINES, [*LINES[:at], harm(LINES[at]), *LINES[at + 1 :]])
        assert (outcome.json["class"], outcome.status) == (likeness, 4 if likeness == "truncated" else 1)
        parted = outcome.json["first_divergence"]
        assert (parted and parted["seq"]) == (at if harm is edit_and_seal else None)


@pytest.mark.parametrize("at", [4, len(LINES)])
def test_a_copy_that_holds_two_entries_of_one_number_is_not_the_same(tmp_path: Path, at: int) -> None:
    second = rewritten(at - 2)[at - 1]
    both = [*LINES[:at], second, *LINES[at:]]
    for copies, hashes in (((LINES, both), (LINES[at - 1], second)), ((both, LINES), (second, LINES[at - 1]))):
        outcome = compared(tmp_path, *copies)
        parted = {"seq": at - 1, "a": hash_of(hashes[0]), "b": hash_of(hashes[1])}
        assert (outcome.status, outcome.json["same"], outcome.json["first_divergence"]) == (1, 11, parted)


def test_segments_and_compression_make_no_difference(tmp_path: Path) -> None:
    segments = rotated_log(2, 3, 1)
    (tmp_path / "cut").mkdir()
    for number, segment in enumerate(segments):
        write(tmp_path / "cut" / f"{9 - number}.log", segment)
    whole = write(tmp_path / "whole.log", [line for segment in segments for line in segment])
    outcome = audit("compare", tmp_path / "cut", whole)
    assert (outcome.status, outcome.stdout) == (
        0,
        "IDENTICAL  both hold the same entries; exit status 0\nthe same: 15 entries\n",
    )


@pytest.mark.parametrize("kept", [0, 1, 4, 7], ids=["nothing", "one entry", "some", "all"])
@pytest.mark.parametrize("calls", [0, 1])
def test_lines_that_a_rotation_lost_and_the_gateway_wrote_again_are_in_their_place(
    tmp_path: Path, kept: int, calls: int
) -> None:
    log = LogBuilder()
    log.open_log()
    for number in range(3):
        log.call(number)
    first, log.lines = log.lines, []
    opening = log.open_segment("truncated", replay=[min(kept, 5), 6])
    for number in range(3, 3 + calls):
        log.call(number)
    (tmp_path / "cut").mkdir()
    if kept:
        write(tmp_path / "cut" / "audit.log.1", first[:kept])
    write(tmp_path / "cut" / "audit.log", [opening, *first[min(kept, 5) :], *log.lines[1:]])
    whole = write(tmp_path / "whole.log", [*first, *log.lines])
    for pair in ((tmp_path / "cut", whole), (whole, tmp_path / "cut")):
        outcome = audit("compare", *pair)
        count = 8 + 2 * calls
        assert (outcome.status, outcome.stdout) == (
            0,
            f"IDENTICAL  both hold the same entries; exit status 0\nthe same: {count} entries\n",
        )
    heads = [audit("head", path) for path in (tmp_path / "cut", whole)]
    assert [(one.status, one.stdout) for one in heads] == [(0, heads[1].stdout)] * 2


@pytest.mark.parametrize("is_edited", [True, False])
def test_entries_that_stand_behind_later_ones_are_counted_and_not_said_to_be_the_same(
    tmp_path: Path, is_edited: bool
) -> None:
    old = rewritten(3)[:-1] if is_edited else small_log(6)
    whole, both = write(tmp_path / "whole", LINES), tmp_path / "both"
    both.mkdir()
    for number, lines in enumerate((LINES, old)):
        write(both / f"audit.log.{number}", lines)
    for at, pair in enumerate(((both, whole), (whole, both))):
        outcome = audit("compare", *pair, "--format", "json")
        sides = [outcome.json[name]["misplaced"] for name in "ab"]
        assert (outcome.status, sides[1 - at]) == (5 if is_edited else 4, 0)
        assert (sides[at] > 0) == is_edited
    shown = audit("compare", both, whole).stdout
    assert ("not compared: 7 entries of A that stand behind later ones" in shown) == is_edited


def test_one_entry_is_not_called_entries(tmp_path: Path) -> None:
    shown = audit("compare", *(write(tmp_path / name, LINES[:count]) for name, count in (("a", 1), ("b", 2)))).stdout
    assert shown.splitlines()[1:] == ["the same: 1 entry", "only in B: 1 entry, 1"]


def test_lines_that_are_announced_and_do_not_come_are_not_waited_for(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(0)
    log.open_segment("truncated", replay=[1, 2])
    lines = list(log.lines)
    for path, more in ((tmp_path / "end", []), (tmp_path / "next", [log.intent(1)])):
        outcome = audit("compare", write(path, [*lines, *more]), write(tmp_path / "whole", log.lines[: 4 + len(more)]))
        assert (outcome.status, outcome.stderr) == (0, "")
        assert outcome.stdout.startswith("IDENTICAL  ")


def test_a_copy_of_a_log_that_is_being_written_is_no_edit(tmp_path: Path) -> None:
    outcome = compared(tmp_path, LINES, [*LINES[:9], LINES[9][:70]])
    assert (outcome.status, outcome.json["class"]) == (4, "truncated")


def test_text_names_what_only_one_copy_has(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", LINES[:8]), write(tmp_path / "b", LINES[3:])
    outcome = audit("compare", a, b)
    assert outcome.stdout == (
        "OVERLAP  they are the same where both have entries, and begin or end elsewhere; exit status 0\n"
        "the same: 5 entries\n"
        "only in A: 3 entries, 0 to 2\n"
        "only in B: 3 entries, 8 to 10\n"
    )


def test_entries_that_stand_in_two_segments_of_a_copy_are_counted_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number, lines in enumerate((LINES[:7], LINES[4:])):
        write(tmp_path / "a" / f"{number}.log", lines)
    found = audit("compare", tmp_path / "a", write(tmp_path / "b", LINES), "--format", "json").json
    assert (found["class"], found["same"], found["a"]["entries"], found["b"]["entries"]) == ("identical", 11, 11, 11)


def test_ranges_keep_the_first_ones_and_count_all() -> None:
    ranges = Ranges()
    for seq in (0, 1, 2, *range(4, 4 + 2 * (MAX_RANGES - 1), 2), 1000, 1001):
        ranges.add(seq)
    assert (ranges.first, ranges.last, ranges.count) == (0, 1001, MAX_RANGES + 4)
    assert ranges.kept == [(0, 2), *((seq, seq) for seq in range(4, 4 + 2 * (MAX_RANGES - 1), 2))]


def test_many_holes_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    lines = small_log(200)
    found = compared(tmp_path, lines, lines[::2]).json
    assert (found["class"], found["a"]["only"], len(found["a"]["ranges"])) == ("edited", 200, 100)
    text = audit("compare", tmp_path / "a", tmp_path / "b").stdout
    assert text.endswith(", 197, 199, … 399\n")


def test_what_is_not_there_is_no_copy(tmp_path: Path) -> None:
    outcome = audit("compare", write(tmp_path / "a", LINES), tmp_path / "absent")
    assert outcome.status == 5
    assert outcome.stdout.startswith("UNRELATED")
