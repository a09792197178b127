"""`aegis-audit summarize`, run over small logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.auditor import Outcome, audit, audit_on_terminal
from support.logs import LogBuilder, rotated_log, small_log, trace_of, write

GOLDEN = Path(__file__).parents[1] / "vectors" / "chain-v1.jsonl"

TEXT = """\
5 entries in 1 session
from 2026-11-24T03:31:51.123450Z to 2026-11-24T03:31:51.123454Z

COUNT  TYPE
    2  security_event
    2  tool_invocation
    1  access_denied

COUNT  SECURITY EVENT
    1  gateway_stopped
    1  log_opened

COUNT  DECISION
    1  allow
    1  deny

COUNT  STATUS
    1  ok

COUNT  SERVER
    2  files

REQUESTS  DENIED  SERVER  TOOL
       1       0  files   read_text_file
       1       1  files   write_file

P50 MS  MAX MS  ANSWERS  SERVER  SLOWEST TOOL
 0.412   0.412        1  files   read_text_file

DENIED  RULE            REASON
     1  defaults.write  writes are denied unless a rule allows them

A request counts once, by its intent or its denial. P50 is an estimate to within 1/32, MAX is exact.
1,000 names are told apart in one table, and 5 reasons for a rule; (other) is the rest.
"""


def test_the_golden_log_is_counted_to_the_letter() -> None:
    assert audit("summarize", GOLDEN) == Outcome(0, TEXT, "")


def test_json_has_the_same_counts() -> None:
    shown = audit("summarize", GOLDEN, "--format", "json")
    assert (shown.status, shown.stderr) == (0, "")
    assert shown.json == {
        "entries": 5,
        "sessions": 1,
        "has_more_sessions": False,
        "first_time": "2026-11-24T03:31:51.123450Z",
        "last_time": "2026-11-24T03:31:51.123454Z",
        "types": {"security_event": 2, "tool_invocation": 2, "access_denied": 1},
        "kinds": {"log_opened": 1, "gateway_stopped": 1},
        "decisions": {"allow": 1, "deny": 1},
        "statuses": {"ok": 1},
        "servers": {"files": 2},
        "tools": [
            {
                "server": "files",
                "tool": "read_text_file",
                "requests": 1,
                "denied": 0,
                "answered": 1,
                "p50_us": 412,
                "max_us": 412,
            },
            {
                "server": "files",
                "tool": "write_file",
                "requests": 1,
                "denied": 1,
                "answered": 0,
                "p50_us": None,
                "max_us": None,
            },
        ],
        "denials": [
            {"rule": "defaults.write", "count": 1, "reasons": {"writes are denied unless a rule allows them": 1}}
        ],
        "unanswered": {"count": 0, "first": []},
        "repeated": 0,
        "attested": 0,
        "damaged": 0,
        "total": 5,
        "findings": [],
        "findings_left_off": 0,
        "exit_code": 0,
    }


def test_unanswered_requests_are_named(tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.call(0)
    builder.intent(1, tool="write_file")
    log = write(tmp_path / "audit.log", builder.lines)
    intent = {"seq": 2, "timestamp": "2026-11-24T03:31:51.126456Z", "server": "files", "name": "write_file"}
    assert audit("summarize", log, "--format", "json").json["unanswered"] == {"count": 1, "first": [intent]}
    shown = audit("summarize", log).stdout
    assert shown.splitlines()[2] == "1 request sent, answer unknown"
    table = shown.partition("SENT, ANSWER UNKNOWN\n")[2].splitlines()[0]
    assert table.split() == ["2", "2026-11-24T03:31:51.126456Z", "files", "write_file"]


def test_an_outcome_answers_the_oldest_intent_of_its_trace(tmp_path: Path) -> None:
    builder = LogBuilder()
    for phase in ("intent", "intent", "outcome"):
        builder.add("tool_invocation", {"phase": phase, "tool": "t"}, trace_of(0))
    log = write(tmp_path / "audit.log", builder.lines)
    unanswered = audit("summarize", log, "--format", "json").json["unanswered"]
    assert [intent["seq"] for intent in unanswered["first"]] == [1]


def test_medians_are_close_and_maxima_exact(tmp_path: Path) -> None:
    builder = LogBuilder()
    durations = [3, 10, 50_000, 1_000_000, 7_000_000_000]
    for duration in durations:
        outcome = {"duration_us": duration, "phase": "outcome", "server": "s", "status": "ok", "tool": "slow"}
        builder.add("tool_invocation", outcome, trace_of(duration))
    (tool,) = audit("summarize", write(tmp_path / "a.log", builder.lines), "--format", "json").json["tools"]
    assert tool["max_us"] == 7_000_000_000
    assert abs(tool["p50_us"] - 50_000) <= 50_000 / 32


def test_the_slowest_tools_come_first(tmp_path: Path) -> None:
    builder = LogBuilder()
    for number, tool in enumerate(["quick", "slow", "middle"]):
        duration = {"quick": 100, "slow": 9000, "middle": 500}[tool]
        outcome = {"duration_us": duration, "phase": "outcome", "server": "s", "status": "ok", "tool": tool}
        builder.add("tool_invocation", outcome, trace_of(number))
    shown = audit("summarize", write(tmp_path / "a.log", builder.lines)).stdout
    slowest = shown.partition("SLOWEST TOOL\n")[2].partition("\n\n")[0]
    assert [line.split()[-1] for line in slowest.splitlines()] == ["slow", "middle", "quick"]


def test_names_beyond_the_bound_are_counted_together(tmp_path: Path) -> None:
    builder = LogBuilder()
    for number in range(1100):
        denial = {"decision": "deny", "reason": f"reason {number}", "rule": "r", "server": f"s{number}", "tool": "t"}
        builder.add("access_denied", denial, trace_of(number))
    counted = audit("summarize", write(tmp_path / "audit.log", builder.lines), "--format", "json").json
    assert (len(counted["servers"]), counted["servers"]["(other)"]) == (1001, 100)
    assert (len(counted["tools"]), sum(tool["requests"] for tool in counted["tools"])) == (1001, 1100)
    (denials,) = counted["denials"]
    assert (denials["count"], len(denials["reasons"]), denials["reasons"]["(other)"]) == (1100, 6, 1095)
    shown = audit("summarize", tmp_path / "audit.log").stdout
    assert "and 901 more; --format json has them" in shown


def test_several_segments_are_one_log(tmp_path: Path) -> None:
    for number, lines in enumerate(rotated_log(2, 3)):
        write(tmp_path / f"audit.log.{number}", lines)
    counted = audit("summarize", tmp_path, "--format", "json").json
    assert (counted["entries"], counted["servers"], counted["repeated"]) == (12, {"files": 5}, 0)


OPENING, INTENT, OUTCOME = small_log()


@pytest.mark.parametrize(
    ("lines", "status", "identifier"),
    [
        ([OPENING, INTENT.replace(b"notes", b"votes"), OUTCOME], 1, "AEG001"),
        ([OPENING, INTENT, b"junk\n", OUTCOME], 3, "AEG102"),
        ([OPENING, INTENT, OUTCOME[:-1]], 4, "AEG202"),
        ([], 5, "AEG301"),
    ],
)
def test_damage_is_named_and_counts_for_nothing(
    tmp_path: Path, lines: list[bytes], status: int, identifier: str
) -> None:
    log = write(tmp_path / "audit.log", lines)
    shown = audit("summarize", log)
    assert shown.status == status
    assert shown.stderr.startswith(f"{identifier} {log}")
    counted = audit("summarize", log, "--format", "json")
    assert (counted.status, counted.json["exit_code"]) == (status, status)
    assert [finding["id"] for finding in counted.json["findings"]] == [identifier]
    assert counted.json["entries"] + counted.json["damaged"] == counted.json["total"]


def test_a_terminal_of_80_columns_is_enough() -> None:
    shown = audit_on_terminal("summarize", GOLDEN, env={"NO_COLOR": "1"})
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "\x1b" not in shown.stdout
