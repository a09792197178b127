"""Published servers answer through the gateway with the bytes with which they answer without it, in both eras."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from support.conformance import EVERYTHING
from support.gateway import Stage
from support.host import INITIALIZE, RawHost
from support.published import LISTS, PUBLISHED, Call, Published
from support.tools import everything_server, inspector

pytestmark = [pytest.mark.node, pytest.mark.servers]

EVERYTHING_IS_ALLOWED: Final = """\
version: 1
defaults: {read: allow, write: allow, client_request: allow}
audit: {durability: flush}
"""
ENVELOPE: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw-host", "version": "1"},
}
MODERN: Final = [name for name, server in PUBLISHED.items() if server.is_modern]


def _requests(server: Published, directory: Path) -> Iterator[Call]:
    yield from ((method, {}) for method in LISTS)
    yield from (("tools/call", {"name": name, "arguments": arguments}) for name, arguments in server.calls(directory))
    yield from server.others


def _session(command: Sequence[str], stage: Stage, requests: Sequence[Call]) -> list[bytes]:
    """Send requests one after the other; return the line that answers each."""
    answers: list[bytes] = []
    with RawHost(command, stage.environment) as host:
        for number, (method, params) in enumerate(requests):
            host.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            host.answer_to(number)
            answers.append(host.lines[-1])
            if method == "initialize":
                host.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    return answers


def _compare(name: str, directory: Path, requests: Sequence[Call]) -> list[bytes]:
    """Return the answers with and without the gateway, which are the same."""
    stage = Stage(directory, policy=EVERYTHING_IS_ALLOWED)
    command = PUBLISHED[name].command(directory)
    alone = _session(command, stage, requests)
    through = _session(stage.command(*command, name=name), stage, requests)
    # What the gateway promises of its own: lists that change with policy and restarts, in the era of the handshake.
    promised = [line.replace(b'"listChanged":false', b'"listChanged":true') for line in alone[:1]]
    assert through == ([*promised, *alone[1:]] if requests[0][0] == "initialize" else alone)
    assert stage.verify().returncode == 0
    calls = [entry for entry in stage.requests() if entry["event"].get("phase") == "outcome"]
    assert len(calls) >= len(PUBLISHED[name].calls(directory))
    return alone


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_server_answers_every_request_with_the_same_bytes(name: str, tmp_path: Path) -> None:
    answers = _compare(name, tmp_path, [("initialize", INITIALIZE), *_requests(PUBLISHED[name], tmp_path)])
    listed = {tool["name"] for tool in json.loads(answers[1])["result"]["tools"]}
    assert listed == PUBLISHED[name].reads | PUBLISHED[name].writes


@pytest.mark.parametrize("name", MODERN)
def test_a_server_answers_every_request_of_the_era_without_sessions_with_the_same_bytes(
    name: str, tmp_path: Path
) -> None:
    requests: list[Call] = [("server/discover", {}), *_requests(PUBLISHED[name], tmp_path)]
    answers = _compare(name, tmp_path, [(method, {**params, "_meta": ENVELOPE}) for method, params in requests])
    assert all(json.loads(answer)["result"]["resultType"] == "complete" for answer in answers[: 1 + len(LISTS)])


@pytest.mark.parametrize(
    ("command", "era"),
    [(EVERYTHING, "legacy"), (EVERYTHING, "modern"), (everything_server(), "legacy")],
    ids=["ours-legacy", "ours-modern", "published-legacy"],
)
def test_the_inspector_prints_the_same_lists_byte_for_byte(command: Sequence[str], era: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=EVERYTHING_IS_ALLOWED)
    commands = {"alone": command, "through": stage.command(*command, name="everything")}
    servers = {name: {"command": line[0], "args": [*line[1:]]} for name, line in commands.items()}
    config = tmp_path / "servers.json"
    config.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")

    def printed(name: str, method: str) -> bytes:
        options = ("--config", str(config), "--server", name, "--method", method, "--protocol-era", era)
        line = (*inspector(), *options, "--format", "json", "--quiet")
        return subprocess.run(line, env=stage.environment, capture_output=True, timeout=60, check=True).stdout

    with ThreadPoolExecutor(2) as pool:
        alone, through = ([*pool.map(printed, [name] * len(LISTS), LISTS)] for name in commands)
    assert through == alone
    assert [next(iter(json.loads(text)["result"])) for text in alone] == [
        "tools",
        "resources",
        "resourceTemplates",
        "prompts",
    ]
    assert stage.verify().returncode == 0
