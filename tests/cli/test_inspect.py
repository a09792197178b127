"""`aegis-audit inspect`, run over small logs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from aegis_mcp.decision import Effect
from support.auditor import COMMAND, Outcome, audit, audit_on_terminal, run_on_terminal
from support.logs import LogBuilder, rotated_log, small_log, trace_of, write
from support.signed import signed_log

GOLDEN = Path(__file__).parents[1] / "vectors" / "chain-v1.jsonl"
GOLDEN_TABLE = GOLDEN.with_suffix(".inspect.txt").read_text(encoding="utf-8")
HEADS = ["SEQ", "TIME", "TYPE", "SERVER", "NAME", "RESULT", "RULE", "ACCESS", "MS", "TRACE"]


def rows(shown: Outcome) -> list[list[str]]:
    """Return the cells of a table without its heads, cut at two spaces or more."""
    lines = [line.split("  ") for line in shown.stdout.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert not cells or cells[0] == HEADS
    return cells[1:]


def numbers(shown: Outcome) -> list[int]:
    """Return the sequence numbers of a table."""
    return [int(row[0]) for row in rows(shown)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log with calls of two tools, a denial, and an intent without an answer (entry 6)."""
    builder = LogBuilder()
    builder.open_log()
    builder.call(0)
    builder.call(1, tool="list_directory")
    builder.add("access_denied", DENIAL, trace_of(7))
    builder.intent(2)
    builder.call(3)
    return write(tmp_path / "audit.log", builder.lines)


DENIAL: dict[str, Any] = {
    "access": "write",
    "access_from": "default",
    "decision": "deny",
    "forwarded": False,
    "method": "tools/call",
    "reason": "writes are denied",
    "request_id": 9,
    "rule": "defaults.write",
    "server": "disk",
    "tool": "write_file",
}


def test_the_golden_log_is_shown_to_the_letter() -> None:
    assert audit("inspect", GOLDEN) == Outcome(0, GOLDEN_TABLE, "5 shown + 0 filtered + 0 damaged = 5 lines\n")


def test_json_lines_are_the_entries_of_the_log() -> None:
    shown = audit("inspect", GOLDEN, "--format", "jsonl")
    assert (shown.status, shown.stderr) == (0, "5 shown + 0 filtered + 0 damaged = 5 lines\n")
    assert shown.stdout.isascii()
    assert "\x7f" not in shown.stdout
    assert [json.loads(line) for line in shown.stdout.splitlines()] == entries(GOLDEN)


def entries(log: Path) -> list[dict[str, Any]]:
    """Return the entries of a log as they stand there."""
    return [json.loads(line) for line in log.read_bytes().splitlines()]


def test_a_json_document_holds_the_entries_and_the_account() -> None:
    shown = audit("inspect", GOLDEN, "--format", "json", "--decision", "deny")
    assert (shown.status, shown.stderr) == (0, "")
    assert shown.json == {
        "entries": [entries(GOLDEN)[3]],
        "shown": 1,
        "filtered": 4,
        "is_cut_short": False,
        "unanswered": {"count": 0, "first": []},
        "repeated": 0,
        "attested": 0,
        "damaged": 0,
        "total": 5,
        "findings": [],
        "findings_left_off": 0,
        "exit_code": 0,
    }


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("--type access_denied", [5]),
        ("--type access_denied --type security_event", [0, 5]),
        ("--server disk", [5]),
        ("--server [df]i*", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("--tool list_*", [3, 4]),
        ("--tool LIST_*", []),
        ("--tool list_* --tool write_file", [3, 4, 5]),
        ("--decision allow", [1, 3, 6, 7]),
        ("--decision deny", [5]),
        ("--decision allow --tool read*", [1, 6, 7]),
        ("--session 5e5e", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("--session 5E", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("--session 00", []),
        (f"--trace {trace_of(1)}", [3, 4]),
        ("--trace 0", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("--since 2026-11-24T03:31:51.128456Z", [4, 5, 6, 7, 8]),
        ("--since 2026-11-24T04:31:51.128456+01:00", [4, 5, 6, 7, 8]),
        ("--since 2026-11-24T03:31:51.128456", [4, 5, 6, 7, 8]),
        ("--until 2026-11-24T03:31:51.128456Z", [0, 1, 2, 3]),
        ("--since 2026-11-24 --until 2026-11-25", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("--since 2026-11-25", []),
        ("--until 52000w", []),
        ("--since 52000w --until 2026-11-24T03:31Z", []),
        ("--limit 2", [0, 1]),
        ("--limit 1 --decision deny", [5]),
        ("--last 2", [7, 8]),
        ("--last 1 --tool list_*", [4]),
    ],
)
def test_filters_narrow_each_other_down(log: Path, filters: str, shown: list[int]) -> None:
    result = audit("inspect", log, *filters.split())
    assert (result.status, numbers(result)) == (0, shown)


def test_what_is_shown_and_filtered_adds_up(log: Path) -> None:
    shown = audit("inspect", log, "--tool", "list_*")
    assert shown.stderr.splitlines() == [
        "sent, answer unknown: 1 request (seq 6)",
        "2 shown + 7 filtered + 0 damaged = 9 lines",
    ]


def test_a_limit_says_that_the_rest_was_not_read(log: Path) -> None:
    shown = audit("inspect", log, "--limit", "2")
    assert shown.stderr.endswith("; stopped at the limit, the rest was not read\n")
    assert audit("inspect", log, "--limit", "2", "--format", "json").json["is_cut_short"] is True


def test_an_intent_without_an_outcome_says_so(log: Path) -> None:
    results = {row[0]: row[5] for row in rows(audit("inspect", log))}
    assert results["6"] == "sent, answer unknown"
    assert [number for number, result in results.items() if result == "allow"] == ["1", "3", "7"]
    unanswered = audit("inspect", log, "--format", "json").json["unanswered"]
    intent = {"seq": 6, "timestamp": entries(log)[6]["timestamp"], "server": "files", "name": "read_text_file"}
    assert unanswered == {"count": 1, "first": [intent]}


def test_an_answer_far_behind_its_intent_is_found(tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.intent(100_000)
    builder.intent(100_001)
    for number in range(5000):
        builder.call(number)
    builder.outcome(100_001)
    assert sum(map(len, builder.lines)) > 5 << 20
    log = write(tmp_path / "audit.log", builder.lines)
    shown = audit("inspect", log, "--limit", "2")
    assert [row[5] for row in rows(shown)] == ["sent, answer unknown", "allow"]


# Damage.


def test_a_wrong_hash_is_named_and_status_1(log: Path) -> None:
    lines = log.read_bytes().replace(b'"request_id":0', b'"request_id":5', 1).splitlines(keepends=True)
    shown = audit("inspect", write(log, lines))
    assert (shown.status, numbers(shown)) == (1, [0, 2, 3, 4, 5, 6, 7, 8])
    first, *_, last = shown.stderr.splitlines()
    assert first.startswith(
        f"AEG001 {log}, line 2, byte {len(lines[0])}, seq 1: the entry's bytes do not have the hash"
    )
    assert last == "8 shown + 0 filtered + 1 damaged = 9 lines"


@pytest.mark.parametrize("effect", Effect)
def test_entries_are_found_by_each_decision_that_a_gateway_records(tmp_path: Path, effect: Effect) -> None:
    builder = LogBuilder()
    for one in Effect:
        builder.add("access_denied", DENIAL | {"decision": one.value})
    log = write(tmp_path / "audit.log", builder.lines)
    assert numbers(audit("inspect", "--decision", effect.value, log)) == [list(Effect).index(effect)]


def test_damaged_lines_are_named_and_status_3(log: Path) -> None:
    write(log, [b"\x1b[31mnot json\n", *log.read_bytes().splitlines(keepends=True), b"[1]\n"])
    shown = audit("inspect", log, "--decision", "deny")
    assert (shown.status, numbers(shown)) == (3, [5])
    assert shown.stderr.isascii()
    assert [line.split(":")[0] for line in shown.stderr.splitlines() if line.startswith("AEG")] == [
        f"AEG102 {log}, line 1, byte 0",
        f"AEG102 {log}, line 11, byte {log.stat().st_size - 4}",
    ]
    assert shown.stderr.endswith("1 shown + 8 filtered + 2 damaged = 11 lines\n")


def test_json_accounts_for_damage(log: Path) -> None:
    write(log, [*log.read_bytes().splitlines(keepends=True), b"\n", b'{"torn'])
    shown = audit("inspect", log, "--format", "json", "--type", "security_event")
    assert shown.status == 3
    account = shown.json
    assert [finding["id"] for finding in account["findings"]] == ["AEG108", "AEG202"]
    assert [finding["line"] for finding in account["findings"]] == [10, 11]
    keys = ("shown", "filtered", "damaged", "total", "exit_code")
    assert [account[key] for key in keys] == [1, 8, 2, 11, 3]


def test_a_torn_end_alone_is_status_4(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-1])
    shown = audit("inspect", log)
    assert (shown.status, numbers(shown)) == (4, list(range(8)))


def test_a_torn_line_that_the_writer_attests_is_no_damage(tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.open_log()
    torn = b'{"entry_hash":"00'
    offset = sum(map(len, builder.lines))
    builder.recover((offset, torn))
    log = write(tmp_path / "audit.log", [builder.lines[0], torn + b"\n", builder.lines[1]])
    shown = audit("inspect", log)
    assert (shown.status, numbers(shown)) == (0, [0, 1])
    assert shown.stderr == "2 shown + 0 filtered + 0 damaged + 1 torn and attested = 3 lines\n"


def test_nothing_is_never_a_success(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.log", [])
    (tmp_path / "folder").mkdir()
    statuses = [audit("inspect", path).status for path in (empty, tmp_path / "absent.log", tmp_path / "folder")]
    assert statuses == [5, 5, 5]
    assert "there is no such file" in audit("inspect", tmp_path / "absent.log").stderr
    assert audit("inspect", empty, "--format", "json").json["entries"] == []


# Segments.


def test_segments_are_shown_in_the_order_of_their_content(tmp_path: Path) -> None:
    first, second, third = rotated_log(1, 1, 1)
    write(tmp_path / "a.log", third)
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(b"".join(first)))
    write(tmp_path / "c.log", second)
    shown = audit("inspect", tmp_path)
    assert (shown.status, numbers(shown)) == (0, list(range(9)))


def test_entries_that_a_rotation_left_twice_come_once(tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.open_log()
    builder.call(0)
    write(tmp_path / "audit.log.1", builder.lines)
    replayed, builder.lines = builder.lines, []
    opened = builder.open_segment("truncated", replay=[0, 2])
    builder.call(1)
    write(tmp_path / "audit.log", [opened, *replayed, *builder.lines[1:]])
    shown = audit("inspect", tmp_path)
    assert (shown.status, numbers(shown)) == (0, [0, 1, 2, 3, 4, 5])
    assert shown.stderr == "6 shown + 0 filtered + 0 damaged + 3 repeated = 9 lines\n"


def test_an_entry_that_stands_twice_in_one_segment_is_shown_twice(tmp_path: Path) -> None:
    lines = small_log()
    assert numbers(audit("inspect", write(tmp_path / "audit.log", [*lines, lines[2]]))) == [0, 1, 2, 2]


def test_entries_are_shown_in_the_order_in_which_they_stand(tmp_path: Path) -> None:
    first, second, third = small_log()
    assert numbers(audit("inspect", write(tmp_path / "audit.log", [second, first, third]))) == [1, 0, 2]


def test_standard_input_is_read_once() -> None:
    shown = audit("inspect", "-", stdin=gzip.compress(GOLDEN.read_bytes()))
    assert shown == Outcome(0, GOLDEN_TABLE, "5 shown + 0 filtered + 0 damaged = 5 lines\n")


# Terminals and pipes.


@pytest.mark.parametrize(
    ("columns", "heads"),
    [
        (40, "SEQ TIME SERVER NAME RESULT RULE"),
        (80, "SEQ TIME SERVER NAME RESULT RULE"),
        (110, "SEQ TIME TYPE SERVER NAME RESULT RULE MS"),
        (200, "SEQ TIME TYPE SERVER NAME RESULT RULE ACCESS MS TRACE"),
    ],
)
def test_a_terminal_shows_the_columns_that_fit(log: Path, columns: int, heads: str) -> None:
    shown = audit_on_terminal("inspect", log, columns=columns, env={"NO_COLOR": "1"})
    table = shown.stdout.splitlines()[:10]
    assert shown.status == 0
    assert table[0].split() == heads.split()
    assert max(map(len, table)) <= max(columns, 80)
    assert "\x1b" not in shown.stdout


def test_a_checkpoint_is_told_where_there_is_no_room_for_types(tmp_path: Path) -> None:
    log = write(tmp_path / "audit.log", signed_log(1).lines)
    shown = audit_on_terminal("inspect", log, "--type", "checkpoint", columns=80, env={"NO_COLOR": "1"})
    assert shown.stdout.splitlines()[1].split()[-4:] == ["-", "-", "checkpoint", "-"]


def test_a_terminal_shows_colours_and_cuts_long_names(tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.call(0, tool="漢字" * 50)
    shown = audit_on_terminal("inspect", write(tmp_path / "audit.log", builder.lines))
    assert "\x1b[32mok" in shown.stdout
    assert "漢字漢字漢字…" in shown.stdout


@pytest.mark.parametrize("columns", ["0", "-1", "1", "many", ""])
def test_an_odd_width_hides_no_entry(columns: str) -> None:
    shown = audit_on_terminal("inspect", GOLDEN, env={"NO_COLOR": "1", "COLUMNS": columns})
    assert [line.split()[0] for line in shown.stdout.splitlines()[:6]] == ["SEQ", "0", "1", "2", "3", "4"]


def test_a_dumb_terminal_gets_no_escape_sequence() -> None:
    assert "\x1b" not in audit_on_terminal("inspect", GOLDEN, env={"TERM": "dumb"}).stdout


def test_a_pipe_gets_neither_colours_nor_cuts(tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.call(0, tool="x" * 500)
    shown = audit("inspect", write(tmp_path / "audit.log", builder.lines), env={"FORCE_COLOR": "1", "COLUMNS": "40"})
    assert "\x1b" not in shown.stdout
    assert rows(shown)[1] == [
        "1",
        "2026-11-24T03:31:51.125456Z",
        "tool_invocation",
        "files",
        "x" * 500,
        "ok",
        "-",
        "-",
        "1.200",
        "00000000",
    ]


def test_progress_does_not_get_into_an_output_beside_the_terminal(tmp_path: Path) -> None:
    log = write(tmp_path / "audit.log", small_log(20))
    with log.open("ab") as sparse:
        sparse.truncate(64 << 20)
    into = tmp_path / "entries.jsonl"
    shown = run_on_terminal("sh", "-c", 'exec "$@" >"$0"', into, *COMMAND, "inspect", log, "--format", "jsonl")
    assert shown.status == 3
    assert "━" in shown.stdout
    assert [json.loads(line)["seq"] for line in into.read_bytes().splitlines()] == list(range(41))
