"""A segment with all that its writer leaves there, changed in one or more places: what is found, and where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from aegis_audit.checks.findings import Findings
from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.scan import Inquiry, scan
from aegis_audit.segment import Segment
from aegis_audit.shape import Shapes
from aegis_audit.trust import Trust
from support.logs import LogBuilder, reseal, write
from support.tampering import with_field

Change: TypeAlias = "tuple[str, int, int] | tuple[str, int, str, bool]"
"""What is done to the line with this index: `copy` it to another place, `drop` so many, or give a field another value,
with the right hash or without."""


def segment() -> list[bytes]:
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


LINES: Final = segment()


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
    findings = Findings()
    inquiry = Inquiry(findings, Shapes(), Ledgers(findings, Trust()))
    result = scan(Segment(str(write(tmp_path / "audit.log", lines))), inquiry)
    ends = {line[15:79].decode("latin-1"): number for number, line in enumerate(lines, 1)}
    assert " ".join(f"{one.code.identifier}:{one.place.line}" for one in findings.kept()) == found
    assert runs == " ".join(
        f"{run.first_seq}-{run.last_seq}:{run.place.line}-{ends[run.last_hash]}" for run in result.runs
    )
