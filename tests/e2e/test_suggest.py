"""What `aegis-mcp policy suggest` proposes for published servers lets their reads through the gateway, and no write."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import run
from support.gateway import Stage
from support.host import RawHost
from support.published import PUBLISHED
from support.tools import remote_everything_server

pytestmark = [pytest.mark.node, pytest.mark.servers]

SLOW = {"trigger-long-running-operation"}


@dataclass(frozen=True)
class Server:
    """A published server, and what says on a command line where it is."""

    name: str
    target: tuple[str, ...]


@pytest.fixture(name="server", params=[*PUBLISHED, "everything behind http"])
def _server(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Server]:
    name, _, is_remote = str(request.param).partition(" ")
    if is_remote:
        with remote_everything_server() as url:
            yield Server(name, ("--url", url))
    else:
        yield Server(name, ("--", *PUBLISHED[name].command(tmp_path)))


def _propose(directory: Path, server: Server) -> tuple[Path, dict[str, set[str]]]:
    """Return the proposal for a server, and the names of its tools by their access."""
    output = directory / "proposal.yaml"
    options = ("--name", server.name, "--output", str(output), "--format", "json")
    answer = run(directory, "policy", "suggest", *options, *server.target).json
    (found,) = answer["servers"]
    by_access: dict[str, set[str]] = {"read": set(), "write": set()}
    for tool in found["tools"]:
        by_access[tool["access"]].add(tool["name"])
    return output, by_access


def test_the_proposal_classifies_every_tool_and_is_accepted(server: Server, tmp_path: Path) -> None:
    policy, by_access = _propose(tmp_path, server)
    assert by_access == {"read": PUBLISHED[server.name].reads, "write": PUBLISHED[server.name].writes}
    checked = run(tmp_path, "policy", "check", "--policy", str(policy), "--format", "json")
    assert (checked.status, checked.json["upstreams"], checked.json["rules"]) == (0, [server.name], 0)


def test_the_gateway_lets_every_read_through_and_no_write(server: Server, tmp_path: Path) -> None:
    proposal, _ = _propose(tmp_path, server)
    stage = Stage(tmp_path, policy=proposal.read_text(encoding="utf-8"))
    reads, writes = PUBLISHED[server.name].reads - SLOW, PUBLISHED[server.name].writes
    with RawHost(stage.command_at(server.name, *server.target), stage.environment) as host:
        host.initialize()
        host.request("tools/list")
        for tool in reads | writes:
            host.call(tool, {})
    judged = {one["event"]["tool"]: one["event"]["decision"] for one in stage.requests() if "decision" in one["event"]}
    assert {tool for tool, decision in judged.items() if decision == "allow"} == reads
    assert {tool for tool, decision in judged.items() if decision == "deny"} == writes
