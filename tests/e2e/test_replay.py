"""`aegis-mcp policy replay` over the log that a real gateway has written: exactly the calls whose decision changes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from support.commands import Done, run
from support.gateway import Stage

CALLS: Final = 1_200
IN_FLIGHT: Final = 32

OLD: Final = """\
version: 1
upstreams: {recording: {access: {read: [echo], write: ["*"]}}}
rules:
  - {id: notes, match: {tool: write, arguments: {path: {within: [/srv/notes]}}}, effect: allow}
  - {id: watched, match: {tool: write, arguments: {path: {within: [/srv/work]}}}, effect: monitor}
audit: {durability: flush}
"""
NEW: Final = """\
version: 1
upstreams: {recording: {access: {read: [echo], write: ["*"]}}}
rules:
  - {id: no-nines, match: {tool: echo, arguments: {text: {glob: "*9"}}}, effect: deny, reason: no nines}
  - {id: key, match: {tool: echo, arguments: {text: {glob: "*8"}, api_key: {glob: "a*"}}}, effect: deny}
  - {id: some-notes, match: {tool: write, arguments: {path: {within: [/srv/notes/0, /srv/notes/1]}}}, effect: allow}
  - {id: ask, match: {tool: write, arguments: {path: {within: [/srv/notes]}}}, effect: ask}
  - {id: other, match: {tool: write, arguments: {path: {within: [/srv/work, /srv/new]}}}, effect: allow}
"""


def _asked(number: int) -> tuple[str, dict[str, Any]]:
    match number % 6:
        case 0:
            return "echo", {"text": f"text {number // 6}"}
        case 1:
            return "echo", {"text": f"text {number - 1}", "api_key": f"a{number}"}
        case 2:
            return "write", {"path": f"/srv/notes/{number % 7}/{number}"}
        case 3:
            return "write", {"path": f"/srv/work/{number}"}
        case 4:
            return "write", {"path": f"/srv/new/{number}"}
        case _:
            return "no_such_tool", {}


def _expected(tool: str, arguments: dict[str, Any]) -> tuple[str, str] | None:
    """Return how a call changes, from one effect to another, None if it does not."""
    if tool == "echo" and arguments["text"].endswith("9"):
        return "allow", "deny"
    if tool == "echo" and "api_key" in arguments and arguments["text"].endswith("8"):
        return "allow", "cannot tell"
    folder = arguments.get("path", "").split("/")[2:4]
    match folder:
        case ["notes", number] if number not in "01":
            return "allow", "ask"
        case ["work", _]:
            return "monitor", "allow"
        case ["new", _]:
            return "deny", "allow"
        case _:
            return None


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return _called(tmp_path_factory.mktemp("replay"))


def _called(directory: Path) -> Stage:
    """Have a gateway take all calls, in an order of which nothing is known."""
    stage = Stage(directory, policy=OLD)
    with stage.wrap() as host:
        host.initialize()
        host.request("tools/list")
        for first in range(0, CALLS, IN_FLIGHT):
            numbers = range(first, min(first + IN_FLIGHT, CALLS))
            for number in numbers:
                tool, arguments = _asked(number)
                params = {"name": tool, "arguments": arguments}
                host.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
            assert {host.receive_message()["id"] for _ in numbers} == {*numbers}
    return stage


def _replay(stage: Stage, policy: str, *options: str, log: Path | None = None) -> Done:
    draft = stage.directory / "draft.yaml"
    draft.write_text(policy, encoding="utf-8")
    return run(stage.directory, "policy", "replay", "--policy", str(draft), str(log or stage.log), *options)


def _judged(stage: Stage) -> Iterator[dict[str, Any]]:
    return (entry for entry in stage.requests() if "decision" in entry["event"])


def test_exactly_the_calls_whose_decision_changes_are_listed(stage: Stage) -> None:
    _compare(stage)


@pytest.mark.usefixtures("over_http")
def test_exactly_the_calls_of_a_remote_server_whose_decision_changes_are_listed(tmp_path: Path) -> None:
    _compare(_called(tmp_path))


def _compare(stage: Stage) -> None:
    expected: dict[int, tuple[str, str]] = {}
    for entry in _judged(stage):
        if change := _expected(*_asked(entry["event"]["request_id"])):
            expected[entry["seq"]] = change
    answer = _replay(stage, NEW, "--format", "json").json
    changes = {one["seq"]: (one["was"], one["now"]) for one in answer["changes"]}
    unknown = {one["seq"]: (one["was"], "cannot tell") for one in answer["unknown"]["first"]}
    assert changes | unknown == expected
    assert len(answer["changes"]) == len(changes) > 500
    assert answer["unknown"]["count"] == len(unknown) > 10
    assert answer["requests"] == CALLS == answer["same"] + len(changes) + len(unknown)


def test_each_change_names_number_time_tool_and_both_rules(stage: Stage) -> None:
    events = {entry["seq"]: entry for entry in _judged(stage)}
    rules: set[tuple[str, str]] = set()
    for change in _replay(stage, NEW, "--format", "json").json["changes"]:
        entry = events[change["seq"]]
        assert (change["timestamp"], change["name"]) == (entry["timestamp"], entry["event"]["tool"])
        assert change["was_by"] == entry["event"]["rule"]
        rules.update((change["was_by"], rule) for rule in change["now_by"])
    assert rules == {
        ("defaults.read", "no-nines"),
        ("notes", "ask"),
        ("watched", "other"),
        ("defaults.write", "other"),
    }


def test_the_policy_that_decided_changes_nothing(stage: Stage) -> None:
    done = _replay(stage, OLD)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == f"1,200 requests by {stage.directory}/draft.yaml: 1,200 the same\n"


def test_a_rotated_and_compressed_log_gives_the_same(stage: Stage, tmp_path: Path) -> None:
    lines = stage.log.read_bytes().splitlines(keepends=True)
    middle = len(lines) // 2
    (tmp_path / "audit.log.1.gz").write_bytes(gzip.compress(b"".join(lines[:middle])))
    (tmp_path / "audit.log").write_bytes(b"".join(lines[middle:]))
    whole, rotated = (_replay(stage, NEW, "--format", "json", log=log) for log in (None, tmp_path))
    assert json.loads(rotated.stdout) == json.loads(whole.stdout)
