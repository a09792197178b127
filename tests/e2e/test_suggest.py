"""What `aegis-mcp policy suggest` proposes for published servers lets their reads through the gateway, and no write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import run
from support.gateway import Stage
from support.tools import everything_server, filesystem_server

pytestmark = pytest.mark.node

# By hand, from what each server documents of its tools.
READS = {
    "files": {
        *("read_file", "read_text_file", "read_media_file", "read_multiple_files", "list_directory", "directory_tree"),
        *("list_directory_with_sizes", "search_files", "get_file_info", "list_allowed_directories"),
    },
    "everything": {
        *("echo", "get-annotated-message", "get-env", "get-resource-links", "get-resource-reference"),
        *("get-structured-content", "get-sum", "get-tiny-image", "trigger-long-running-operation"),
    },
}
WRITES = {
    "files": {"write_file", "edit_file", "create_directory", "move_file"},
    "everything": {
        *("gzip-file-as-resource", "toggle-simulated-logging", "toggle-subscriber-updates", "simulate-research-query"),
    },
}
SLOW = {"trigger-long-running-operation"}
COMMANDS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "files": filesystem_server,
    "everything": lambda _: everything_server(),
}


@pytest.fixture(params=READS)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of a server."""
    return str(request.param)


def _propose(directory: Path, name: str) -> tuple[Path, dict[str, set[str]]]:
    """Return the proposal for a server, and the names of its tools by their access."""
    output = directory / "proposal.yaml"
    options = ("--name", name, "--output", str(output), "--format", "json")
    answer = run(directory, "policy", "suggest", *options, "--", *COMMANDS[name](directory)).json
    (server,) = answer["servers"]
    by_access: dict[str, set[str]] = {"read": set(), "write": set()}
    for tool in server["tools"]:
        by_access[tool["access"]].add(tool["name"])
    return output, by_access


def test_the_proposal_classifies_every_tool_and_is_accepted(name: str, tmp_path: Path) -> None:
    policy, by_access = _propose(tmp_path, name)
    assert by_access == {"read": READS[name], "write": WRITES[name]}
    checked = run(tmp_path, "policy", "check", "--policy", str(policy), "--format", "json")
    assert (checked.status, checked.json["upstreams"], checked.json["rules"]) == (0, [name], 0)


def test_the_gateway_lets_every_read_through_and_no_write(name: str, tmp_path: Path) -> None:
    proposal, _ = _propose(tmp_path, name)
    stage = Stage(tmp_path, policy=proposal.read_text(encoding="utf-8"))
    with stage.wrap(*COMMANDS[name](tmp_path), name=name) as host:
        host.initialize()
        host.request("tools/list")
        for tool in (READS[name] | WRITES[name]) - SLOW:
            host.call(tool, {})
    judged = {one["event"]["tool"]: one["event"]["decision"] for one in stage.requests() if "decision" in one["event"]}
    assert {tool for tool, decision in judged.items() if decision == "allow"} == READS[name] - SLOW
    assert {tool for tool, decision in judged.items() if decision == "deny"} == WRITES[name]
