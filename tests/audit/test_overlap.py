"""Two runs with the same numbers: whether they are the same is asked of their segments where it is not known."""

from __future__ import annotations

from pathlib import Path

from aegis_audit.chain import Head
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.overlap import Likeness, compare
from aegis_audit.checks.run import Run
from aegis_audit.checks.scan import Inquiry, scan
from aegis_audit.segment import Segment
from aegis_audit.shape import Shapes
from aegis_audit.trust import Trust
from support.logs import LogBuilder, small_log, write

LINES = small_log(4)


def runs(path: Path, *pieces: list[bytes]) -> list[Run]:
    write(path, [line for piece in pieces for line in piece])
    found = Findings()
    return scan(Segment(str(path)), Inquiry(found, Shapes(), Ledgers(found, Trust()))).runs


def test_the_hash_of_an_entry_is_read_in_its_own_run_behind_other_entries_and_lines_that_are_none(
    tmp_path: Path,
) -> None:
    fork = LogBuilder(Head(2, LINES[2][15:79].decode("ascii")), session_id="ab" * 16)
    fork.call(8)
    short, _ = runs(tmp_path / "1.log", LINES[1:5], LINES[:1])
    forked, whole = runs(tmp_path / "2.log", [*fork.lines, *LINES[7:8]], [*LINES[2:4], b"none\n", *LINES[4:7]])[::2]
    assert compare(short, whole) == (Likeness.EQUAL, 4)
    assert compare(short, forked) == (Likeness.UNEQUAL, 4)
