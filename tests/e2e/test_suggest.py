"""What `aegis-mcp policy suggest` proposes for published servers lets their reads through the gateway, and no write."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.commands import run
from support.gateway import Stage
from support.published import PUBLISHED

pytestmark = [pytest.mark.node, pytest.mark.servers]

SLOW = {"trigger-long-running-operation"}


@pytest.fixture(params=PUBLISHED)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of a server."""
    return str(request.param)


def _propose(directory: Path, name: str) -> tuple[Path, dict[str, set[str]]]:
    """Return the proposal for a server, and the names of its tools by their access."""
    output = directory / "proposal.yaml"
    options = ("--name", name, "--output", str(output), "--format", "json")
    answer = run(directory, "policy", "suggest", *options, "--", *PUBLISHED[name].command(directory)).json
    (server,) = answer["servers"]
    by_access: dict[str, set[str]] = {"read": set(), "write": set()}
    for tool in server["tools"]:
        by_access[tool["access"]].add(tool["name"])
    return output, by_access


def test_the_proposal_classifies_every_tool_and_is_accepted(name: str, tmp_path: Path) -> None:
    policy, by_access = _propose(tmp_path, name)
    assert by_access == {"read": PUBLISHED[name].reads, "write": PUBLISHED[name].writes}
    checked = run(tmp_path, "policy", "check", "--policy", str(policy), "--format", "json")
    assert (checked.status, checked.json["upstreams"], checked.json["rules"]) == (0, [name], 0)


def test_the_gateway_lets_every_read_through_and_no_write(name: str, tmp_path: Path) -> None:
    proposal, _ = _propose(tmp_path, name)
    stage = Stage(tmp_path, policy=proposal.read_text(encoding="utf-8"))
    reads, writes = PUBLISHED[name].reads - SLOW, PUBLISHED[name].writes
    with stage.wrap(*PUBLISHED[name].command(tmp_path), name=name) as host:
        host.initialize()
        host.request("tools/list")
        for tool in reads | writes:
            host.call(tool, {})
    judged = {one["event"]["tool"]: one["event"]["decision"] for one in stage.requests() if "decision" in one["event"]}
    assert {tool for tool, decision in judged.items() if decision == "allow"} == reads
    assert {tool for tool, decision in judged.items() if decision == "deny"} == writes
