"""How a verification reads: on a terminal, in a pipe, with findings, and while it takes time."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.auditor import Outcome, audit, audit_on_terminal
from support.logs import LogBuilder, small_log, write
from support.signed import LOG_KEY, SignedBuilder

GOLDEN = Path(__file__).parents[1] / "vectors" / "chain-v1.jsonl"

NO_END_KNOWN = """\
Nothing beside the log says where it ends. On the host that writes it, its sidecar does (the
directory that is named like the log and ends in .tlog): copy it along with the log. A head that was
kept elsewhere does, with --expect-head, and the last verification, with --state.

"""
NOT_COVERED = """\
Not covered by any signature that counts: {}. A0 shows accidents and careless edits only: it
cannot see a log that was rewritten from some entry on with all hashes recomputed, nor a tail that
was cut off.
"""


def test_a_valid_log_reads_well() -> None:
    shown = audit("verify", GOLDEN)
    assert (shown.status, shown.stderr) == (0, "")
    assert shown.stdout == (
        "VALID  5 entries in 1 segment, level A0 consistent; exit status 0\n"
        "\n"
        "ENTRIES  FIRST  LAST  BYTES  SEGMENT\n"
        f"      5      0     4  2,509  {GOLDEN}\n"
        "\n"
        "Log aegis.example/host/7f3a: 5 entries, 0 to 4, 1 session\n"
        "  head 2c8441a0dd3417c3b15ab26f5833f4821928afa68395c7e44776ecddf9f13790\n"
        "  no signature covers an entry\n"
        "\n" + NO_END_KNOWN + NOT_COVERED.format("5 entries")
    )


def test_findings_say_where_what_was_expected_and_what_was_found(tmp_path: Path) -> None:
    opening, intent, outcome = small_log()
    edited = intent.replace(b"notes", b"votes")
    log = write(tmp_path / "audit.log", [opening, edited, outcome, b"\x1b[31m\n"])
    shown = audit("verify", log)
    lines = shown.stdout.splitlines()
    assert shown.status == 1
    assert lines[0] == "TAMPERED  3 entries in 1 segment; exit status 1"
    at = lines.index("AEG001  the entry's bytes do not have the hash that the entry states")
    assert lines[at + 1] == f"  at        {log}, line 2, byte {len(opening)}, seq 1"
    assert lines[at + 2].startswith("  expected  ")
    assert lines[at + 3] == f"  found     {intent[15:79].decode()}"
    assert any(line.startswith("AEG102  ") for line in lines)
    assert "\x1b" not in shown.stdout


def test_what_is_wrong_with_a_log_leads_to_the_plan_and_what_was_demanded_of_it_does_not(tmp_path: Path) -> None:
    lines = small_log(2)
    hint = "What to do about it: `aegis-audit repair --plan`, with the same paths and keys.\n"
    assert hint in audit("verify", write(tmp_path / "holed.log", [lines[0], *lines[2:]])).stdout
    whole = write(tmp_path / "whole.log", lines)
    demanding = audit("verify", "--min-records", "9", "--require", "a1", "--max-age", "1s", whole)
    assert (demanding.status, hint in demanding.stdout) == (4, False)
    assert hint not in audit("verify", whole).stdout


def test_a_key_that_counts_is_not_asked_for_where_nothing_is_signed_yet(tmp_path: Path) -> None:
    log = SignedBuilder()
    log.open_log()
    log.call(0)
    path = write(tmp_path / "audit.log", log.lines)
    key = str(LOG_KEY.verifier)
    asked = "Give one of them with --key"
    lacking = audit("verify", path).stdout
    assert (key in lacking, asked in lacking, "aegis-audit keygen --public ORIGIN" in lacking) == (True, True, True)
    shown = audit("verify", "--key", key, path).stdout
    assert asked not in shown
    assert "A key counts for this log, and no checkpoint that it has signed covers" in shown


def test_many_findings_are_counted_beyond_those_that_are_shown(tmp_path: Path) -> None:
    log = write(tmp_path / "audit.log", [*small_log(), *[b"junk\n"] * 250])
    shown = audit("verify", log)
    assert shown.status == 3
    assert shown.stdout.count("AEG102") == 100
    assert "and 150 more findings; --format json has more\n" in shown.stdout


def test_notes_come_after_the_findings_on_one_line_each(tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.open_log()
    builder.intent(0)
    log = write(tmp_path / "audit.log", [*builder.lines, b"junk\n"])
    lines = audit("verify", log).stdout.splitlines()
    notes = [line for line in lines if line.startswith("AEG5")]
    title = "a call was sent and its answer is not recorded"
    assert [note.partition(" (expected ")[0] for note in notes] == [f"AEG505 {log}, line 2, seq 1: {title}"]
    assert lines.index(notes[0]) > max(index for index, line in enumerate(lines) if line.startswith("AEG102"))


@pytest.mark.parametrize("paths", [("empty.log",), ("absent.log",)])
def test_nothing_to_judge_is_said_first(tmp_path: Path, paths: tuple[str, ...]) -> None:
    write(tmp_path / "empty.log", [])
    shown = audit("verify", *(tmp_path / path for path in paths))
    assert shown.status == 5
    assert shown.stdout.startswith("UNVERIFIABLE  0 entries in 1 segment; exit status 5\n")


@pytest.mark.parametrize(
    ("env", "first"),
    [
        ({}, "\x1b[1;32mVALID\x1b[0m  5 entries"),
        ({"NO_COLOR": "1"}, "VALID  5 entries"),
        ({"TERM": "dumb"}, "VALID  5"),
    ],
)
def test_the_verdict_has_a_colour_on_a_terminal_that_wants_it(env: dict[str, str], first: str) -> None:
    assert audit_on_terminal("verify", GOLDEN, env=env).stdout.startswith(first)


def test_sentences_fit_the_terminal() -> None:
    shown = audit_on_terminal("verify", GOLDEN, columns=60, env={"NO_COLOR": "1"})
    sentences = shown.stdout[shown.stdout.index("Not covered") :].splitlines()
    assert max(map(len, sentences)) <= 60


def test_a_forced_colour_does_not_reach_a_pipe() -> None:
    assert "\x1b" not in audit("verify", GOLDEN, env={"FORCE_COLOR": "1", "TERM": "xterm-256color"}).stdout


@pytest.mark.parametrize("command", ["verify", "summarize"])
def test_a_large_input_shows_progress_on_a_terminal_alone(command: str, tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.open_log()
    log = write(tmp_path / "audit.log", builder.lines)
    with log.open("ab") as sparse:
        sparse.truncate(64 << 20)
    piped: Outcome = audit(command, log)
    shown = audit_on_terminal(command, log)
    assert (piped.status, shown.status) == (3, 3)
    assert ("━" in piped.stdout + piped.stderr, "━" in shown.stdout) == (False, True)
