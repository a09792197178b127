"""Pieces of one log that stand in one segment in another order than they were written in, each with what is found."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from aegis_audit.chain import Head
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.order import check_order
from aegis_audit.checks.scan import Inquiry, scan
from aegis_audit.segment import Segment
from aegis_audit.shape import Shapes
from aegis_audit.trust import Trust
from support.logs import LogBuilder, rotated_log, write

LOG: Final = [line for segment in rotated_log(2, 2, 2) for line in segment]
"""Segments begin with the entries 0, 5 and 10."""


def fork() -> list[bytes]:
    """Return entries 3 to 6 as somebody else would have them."""
    log = LogBuilder(Head(2, LOG[2][15:79].decode("ascii")), session_id="ab" * 16)
    for number in range(4):
        log.intent(number)
    return log.lines


Found = tuple[str, int, str, str]


@pytest.mark.parametrize(
    ("pieces", "found"),
    [
        (
            [LOG[10:11], LOG[6:9], LOG[10:11], LOG[0:6], LOG[9:10], LOG[11:15]],
            [
                ("AEG005", 5, "entries after 10", "entries 10 to 10 again"),
                ("AEG004", 2, "entry 11", "entry 6"),
                ("AEG004", 6, "entry 0 before entry 6", "it behind line 2"),
            ],
        ),
        (
            [LOG[4:13], LOG[0:3], LOG[13:15], LOG[3:4]],
            [
                ("AEG004", 15, "entry 15", "entry 3"),
                ("AEG004", 13, "entry 13 right behind entry 12", "other entries between them"),
            ],
        ),
        (
            [fork()[1:4], fork(), LOG[4:6]],
            [
                ("AEG005", 4, "entries after 6", "entries 3 to 6 again"),
                ("AEG003", 8, "one entry 5", "another one than behind line 4"),
            ],
        ),
        ([LOG[11:13], LOG[0:1], LOG[14:15], LOG[1:11]], [("AEG004", 5, "entry 15", "entry 1")]),
        ([LOG[10:15], LOG[0:5], LOG[5:10]], []),
    ],
    ids=["twice", "interrupted", "forked", "backwards", "put together"],
)
def test_what_is_out_of_order_is_found_once_and_where_it_is(
    tmp_path: Path, pieces: list[list[bytes]], found: list[Found]
) -> None:
    path = write(tmp_path / "audit.log", [line for piece in pieces for line in piece])
    findings = Findings()
    runs = scan(Segment(str(path)), Inquiry(findings, Shapes(), Ledgers(findings, Trust()))).runs
    assert findings.kept() == ()
    assert [(one.code.identifier, one.place.line, one.expected, one.found) for one in check_order(runs)] == found
