"""`head`: one line that a log can be held against later."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_audit.errors import MalformedNote
from aegis_audit.headline import Headline
from aegis_audit.tree import EMPTY
from support.auditor import audit
from support.logs import ORIGIN, LogBuilder, reseal, rotated_log, small_log, write


def test_the_head_is_one_line_that_reads_back(tmp_path: Path) -> None:
    lines = small_log(5)
    outcome = audit("head", write(tmp_path / "audit.log", lines))
    hashes = [bytes.fromhex(line[15:79].decode()) for line in lines]
    expected = Headline(ORIGIN, 11, EMPTY.extend(hashes).root(), hashes[-1].hex())
    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, f"{expected}\n", "")
    assert Headline.parse(outcome.stdout.rstrip("\n")) == expected
    document = audit("head", tmp_path / "audit.log", "--format", "json").json
    assert document == {
        "origin": ORIGIN,
        "size": 11,
        "root": str(expected).split(" ")[2],
        "entry_hash": hashes[-1].hex(),
        "line": str(expected),
        "exit_code": 0,
    }


def test_the_head_is_the_same_however_the_log_was_cut_into_segments(tmp_path: Path) -> None:
    segments = rotated_log(2, 3, 1)
    for number, segment in enumerate(segments):
        write(tmp_path / f"{9 - number}.log", segment)
    whole = write(tmp_path / "whole", [line for segment in segments for line in segment])
    assert audit("head", tmp_path).stdout == audit("head", whole).stdout


def test_a_log_whose_first_entries_are_not_there_has_a_head_and_no_root(tmp_path: Path) -> None:
    segment = rotated_log(2, 3)[1]
    outcome = audit("head", write(tmp_path / "audit.log.1", segment))
    assert (outcome.status, outcome.stdout) == (0, f"{ORIGIN} 12 - {segment[-1][15:79].decode()}\n")


def test_a_log_is_named_by_its_openings_alone(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.security("policy_loaded", origin="other.example/aegis")
    log.add("tool_invocation", {"kind": "segment_opened", "origin": "other.example/aegis"})
    assert audit("head", write(tmp_path / "audit.log", log.lines)).stdout.startswith(f"{ORIGIN} 3 ")


def test_a_log_that_does_not_say_which_it_is_has_no_head_to_keep(tmp_path: Path) -> None:
    outcome = audit("head", write(tmp_path / "audit.log", small_log(2)[1:]))
    assert (outcome.status, outcome.stdout) == (5, "")
    assert outcome.stderr.startswith("aegis-audit: the log does not say which it is")


def test_a_torn_end_is_left_out(tmp_path: Path) -> None:
    lines = small_log(2)
    whole = audit("head", write(tmp_path / "whole.log", lines[:-1])).stdout
    assert audit("head", write(tmp_path / "torn.log", [*lines[:-1], lines[-1][:-9]])).stdout == whole


@pytest.mark.parametrize("harm", ["gap", "edit", "last", "number", "empty", "absent", "two"])
def test_a_log_that_is_not_whole_has_no_head_to_keep(tmp_path: Path, harm: str) -> None:
    lines = small_log(2)
    changed = {
        "gap": [*lines[:2], *lines[3:]],
        "edit": [*lines[:2], lines[2].replace(b"ok", b"no"), *lines[3:]],
        "last": [*lines[:-1], lines[-1].replace(b"ok", b"no")],
        "number": [*lines[:-1], reseal(lines[-1].replace(b'"seq":4', b'"seq":5'))],
        "empty": [],
        "two": [*lines, *small_log(1, origin="other.example/log")],
    }
    path = tmp_path / "audit.log"
    if harm != "absent":
        write(path, changed[harm])
    outcome = audit("head", path)
    assert (outcome.status, outcome.stdout) == (5, "")
    assert outcome.stderr.startswith("aegis-audit: ")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "log 5",
        f"log 5 - {'0' * 63}",
        f"log 5 - {'0' * 64} ",
        f"log  5 - {'0' * 64}",
        f"log 05 - {'0' * 64}",
        f"log 0 - {'0' * 64}",
        f"log +5 - {'0' * 64}",
        f"log 5 AAAA {'0' * 64}",
        f"log 5 {'A' * 42}B= {'0' * 64}",
        f"log 5 - {'A' * 64}",
        f"lo+g 5 - {'0' * 64}",
        f"log\t5\t-\t{'0' * 64}",
    ],
)
def test_what_is_not_exactly_a_head_is_refused(line: str) -> None:
    with pytest.raises(MalformedNote):
        Headline.parse(line)
