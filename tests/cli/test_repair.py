"""A plan for a damaged log: a step for each finding, commands that exist, and no byte that is changed."""

from __future__ import annotations

import gzip
import hashlib
import shlex
from pathlib import Path

import pytest

from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.repair import Remedy, plan_of
from aegis_audit.report import Report
from aegis_audit.verdict import Verdict
from support.auditor import Outcome, audit
from support.logs import rotated_log, small_log, write

CODES = [code for code in FindingCode if not code.is_note]


def planned(*paths: Path) -> Outcome:
    before = {path: path.read_bytes() for path in paths if path.is_file()}
    outcome = audit("repair", "--plan", "--format", "json", *paths)
    assert {path: path.read_bytes() for path in before} == before
    assert outcome.status == outcome.json["exit_code"] == audit("verify", "--quiet", *paths).status
    return outcome


def test_a_log_that_is_whole_needs_nothing(tmp_path: Path) -> None:
    log = write(tmp_path / "audit.log", small_log(2))
    assert planned(log).json == {"verdict": "valid", "exit_code": 0, "steps": []}
    assert audit("repair", "--plan", log).stdout == "VALID  0 steps; nothing was changed; exit status 0\n"


def test_a_missing_segment_is_to_be_brought_or_its_absence_to_be_recorded(tmp_path: Path) -> None:
    parts = rotated_log(2, 2, 2)
    paths = [write(tmp_path / name, parts[at]) for at, name in ((0, "audit.log.2"), (2, "audit.log"))]
    (step,) = planned(*paths).json["steps"]
    first, last = step["missing"]
    assert (first, last) == (len(parts[0]), len(parts[0]) + len(parts[1]) - 1)
    assert step["finding"]["id"] == "AEG201"
    assert (step["remedy"], step["command"]) == ("fetch", f"aegis-audit verify {paths[0]} {paths[1]} COPY")
    assert step["otherwise"] == f"aegis-mcp audit acknowledge --missing {first}-{last} --note 'WHAT HAPPENED'"
    shown = audit("repair", "--plan", *paths).stdout
    assert shown.startswith("INCOMPLETE  1 step; nothing was changed; exit status 4\n\n1. AEG201  entries are missing")
    assert f"   entries {first} to {last}\n" in shown
    assert f"   If there is none:  {step['otherwise']}\n" in shown


def test_a_segment_with_many_damaged_lines_is_to_be_brought_once(tmp_path: Path) -> None:
    lines = small_log(6)
    log = write(tmp_path / "audit.log", [lines[0], *(line.replace(b"{", b"{ ", 1) for line in lines[1:-1]), lines[-1]])
    steps = planned(log).json["steps"]
    assert [(one["remedy"], one["finding"]["line"]) for one in steps] == [("fetch", 2), ("fetch", 3)]
    assert steps[0]["missing"] == [1, len(lines) - 2]


def test_a_torn_end_is_attested_by_the_next_command(tmp_path: Path) -> None:
    (step,) = planned(write(tmp_path / "audit.log", [*small_log(1), b'{"torn'])).json["steps"]
    assert (step["remedy"], step["command"]) == ("run", "aegis-mcp audit checkpoint")


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_segment_that_was_cut_is_to_be_brought_and_what_is_missing_is_named(
    tmp_path: Path, is_compressed: bool
) -> None:
    older, newer = rotated_log(3, 1)
    cut = write(tmp_path / "audit.log.1", [*older[:2], older[2][:60]])
    if is_compressed:
        cut.write_bytes(gzip.compress(b"".join(older[:2]))[:-8])
    log = write(tmp_path / "audit.log", newer)
    (step,) = planned(cut, log).json["steps"]
    assert (step["remedy"], step["command"]) == ("fetch", f"aegis-audit verify {cut} {log} COPY")
    assert (step["finding"]["id"], step["missing"]) == ("AEG202", [2, len(older) - 1])
    assert step["finding"]["found"].endswith(f"; entries 2 to {len(older) - 1} cannot be read")
    torn = hashlib.sha256(older[2][:60]).hexdigest()
    acknowledging = f"aegis-mcp audit acknowledge --torn {torn} --missing 2-{len(older) - 1} --note 'WHAT HAPPENED'"
    assert step["otherwise"] == (None if is_compressed else acknowledging)


def test_what_contradicts_is_kept_and_compared(tmp_path: Path) -> None:
    lines = small_log(2)
    log = write(tmp_path / "audit.log", [lines[0], lines[1].replace(b"notes", b"votes"), *lines[2:]])
    (step,) = planned(log).json["steps"]
    assert (step["remedy"], step["command"]) == ("keep", f"aegis-audit compare COPY {log}")
    assert step["do"].startswith("Nothing mends this.")


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.identifier)
def test_every_finding_has_its_step(code: FindingCode) -> None:
    finding = Finding(code, Place("audit.log"), "this", "that", range(3, 9))
    report = Report(code.verdict, (finding,), {code: 1}, 0, 0, (), (), (), (), ())
    (step,) = plan_of(report, ["my logs"])
    is_evidence = code.verdict is Verdict.TAMPERED and code not in {FindingCode.ROLLED_BACK, FindingCode.REPLACED}
    assert (step.remedy is Remedy.KEEP) is is_evidence
    commands = [shlex.split(command) for command in (step.command, step.otherwise) if command]
    assert {command[0] for command in commands} <= {"aegis-audit", "aegis-mcp"}


def test_without_plan_nothing_happens(tmp_path: Path) -> None:
    outcome = audit("repair", write(tmp_path / "audit.log", small_log(1)))
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "A log is never edited in place: --plan says what it needs." in outcome.stderr
