"""Lines that are no entries: what they stand for is not missed beside them, and they hide nothing else."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from aegis_audit.report import MAX_FINDINGS
from aegis_audit.verify import verify
from support.logs import LogBuilder, rotated_log, small_log, write

BAD = b"no entry\n"


def found(*paths: Path) -> list[tuple[str, int | None, str]]:
    """Return what is found: the id, the line and what stands there."""
    report = verify(map(str, paths))
    return [(one.code.identifier, one.place.line, one.found) for one in report.findings if not one.code.is_note]


def test_entries_whose_lines_are_damaged_are_named_once_however_many_lines_that_are(tmp_path: Path) -> None:
    lines = small_log(4)
    lines[3:6] = [BAD, b"\n"]
    assert found(write(tmp_path / "audit.log", lines)) == [
        (
            "AEG102",
            4,
            "Expecting value at character 0, in a line of 9 bytes; entries 3 to 5 cannot be read",
        ),
        ("AEG108", 5, "an empty line, in a line of 1 bytes"),
    ]


def test_entries_whose_lines_are_damaged_at_the_border_of_two_segments_are_not_missed_beside_it(tmp_path: Path) -> None:
    first, second = rotated_log(2, 2)
    for one, other in (([*first[:-1], BAD], second), (first, [BAD, *second[1:]])):
        paths = write(tmp_path / "first.log", one), write(tmp_path / "second.log", other)
        assert [(code, line) for code, line, _ in found(*paths)] == [("AEG102", len(first) if one[-1] == BAD else 1)]


def test_entries_behind_the_end_of_a_compressed_segment_that_was_cut_off_are_not_missed_beside_it(
    tmp_path: Path,
) -> None:
    first, second = rotated_log(20, 2)
    data = gzip.compress(b"".join(first))
    (tmp_path / "first.log").write_bytes(data[: len(data) // 2])
    codes = [code for code, _, _ in found(tmp_path / "first.log", write(tmp_path / "second.log", second))]
    assert codes == ["AEG202"]


def test_damage_excuses_nothing_that_is_missing_further_on(tmp_path: Path) -> None:
    first, second = rotated_log(2, 40)  # the first one teaches the shapes by which lines are taken in a row
    second[20:20] = [BAD]
    del second[60:62]
    paths = write(tmp_path / "first.log", first), write(tmp_path / "second.log", second)
    assert [(code, line) for code, line, _ in found(*paths)] == [("AEG102", 21), ("AEG201", 61)]


def test_damage_in_front_of_an_entry_that_stands_twice_excuses_nothing_behind_it(tmp_path: Path) -> None:
    lines = small_log(3)
    path = write(tmp_path / "audit.log", [*lines[:2], b"none\n", lines[1], *lines[4:]])
    findings = [one.code.identifier for one in verify([str(path)]).findings if not one.code.is_note]
    assert findings == ["AEG102", "AEG005", "AEG201"]


def test_damage_excuses_nothing_behind_lines_that_were_taken_in_a_row(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    for number in range(200):
        log.call(number)
    first = log.rotate()
    for number in range(200, 220):
        log.call(number)
    second = [log.lines[0], BAD, *log.lines[1:-2]]
    log.lines = []
    log.security("gateway_stopped")  # no line in a row, so that the gap stands between two rows
    log.call(220)
    paths = write(tmp_path / "first.log", first), write(tmp_path / "second.log", [*second, *log.lines])
    assert [(code, line) for code, line, _ in found(*paths)] == [("AEG102", 2), ("AEG201", len(second) + 1)]


@pytest.mark.parametrize(("length", "sha256"), [(True, hashlib.sha256(b"x").hexdigest()), (1, ["x"]), (1, None)])
def test_an_attestation_of_another_form_attests_nothing(tmp_path: Path, length: object, sha256: object) -> None:
    log = LogBuilder()
    log.open_log()
    attested = {"length": length, "offset": len(log.lines[0]), "sha256": sha256}
    log.lines.append(b"x\n")
    log.security("recovered", fragments=[attested, "x"], origin=log.origin, reason="a line was torn")
    path = write(tmp_path / "audit.log", log.lines)
    assert [(code, line) for code, line, _ in found(path)] == [("AEG102", 2), ("AEG007", 3)]


def test_an_attestation_that_may_be_one_of_a_line_that_was_only_counted_is_not_called_false(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    torn = [b"%d" % number for number in range(MAX_FINDINGS + 1)]
    log.lines += [one + b"\n" for one in torn]
    for at in range(0, len(torn), 100):
        log.recover(*((0, one) for one in torn[at : at + 100]))
    report = verify([str(write(tmp_path / "audit.log", log.lines))])
    assert {code.identifier: count for code, count in report.counts.items()} == {"AEG102": 1, "AEG503": MAX_FINDINGS}


def test_entries_whose_lines_are_damaged_are_not_missed_beside_them_however_many_there_are(tmp_path: Path) -> None:
    lines = small_log(MAX_FINDINGS + 100)
    lines[2::2] = [BAD] * (MAX_FINDINGS + 100)
    report = verify([str(write(tmp_path / "audit.log", lines))])
    assert {code.identifier: count for code, count in report.counts.items() if not code.is_note} == {"AEG102": 1100}
