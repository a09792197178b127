"""Published servers answer through the gateway with the bytes with which they answer without it, in both eras."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from support.conformance import EVERYTHING
from support.gateway import Stage
from support.host import INITIALIZE, RawHost
from support.loaded import program
from support.published import LISTS, PUBLISHED, Call, Published
from support.remote import listening
from support.tools import everything_server, inspector, remote_everything_server

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


def _compare(name: str, directory: Path, requests: Sequence[Call], url: str | None = None) -> list[bytes]:
    """Return the answers with and without the gateway, by a command or by a URL, which are the same."""
    stage = Stage(directory, policy=EVERYTHING_IS_ALLOWED)
    command = PUBLISHED[name].command(directory)
    alone = _session(command, stage, requests)
    through = stage.command_at(name, "--url", url) if url else stage.command(*command, name=name)
    through = _session(through, stage, requests)
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


def test_a_server_behind_http_answers_with_the_bytes_of_the_same_one_on_pipes(tmp_path: Path) -> None:
    requests = [("initialize", INITIALIZE), *_requests(PUBLISHED["everything"], tmp_path)]
    with remote_everything_server() as url:
        _compare("everything", tmp_path, requests, url)


@pytest.mark.parametrize("name", MODERN)
def test_a_server_answers_every_request_of_the_era_without_sessions_with_the_same_bytes(
    name: str, tmp_path: Path
) -> None:
    requests: list[Call] = [("server/discover", {}), *_requests(PUBLISHED[name], tmp_path)]
    answers = _compare(name, tmp_path, [(method, {**params, "_meta": ENVELOPE}) for method, params in requests])
    assert all(json.loads(answer)["result"]["resultType"] == "complete" for answer in answers[: 1 + len(LISTS)])


def _everything_behind_http() -> AbstractContextManager[str]:
    return listening(*program(EVERYTHING), "--http")


@pytest.mark.parametrize(
    ("command", "behind_http", "era"),
    [
        (partial(program, EVERYTHING), _everything_behind_http, "legacy"),
        (partial(program, EVERYTHING), _everything_behind_http, "modern"),
        (everything_server, remote_everything_server, "legacy"),
    ],
    ids=["ours-legacy", "ours-modern", "published-legacy"],
)
def test_the_inspector_prints_the_same_lists_byte_for_byte(
    command: Callable[[], Sequence[str]],
    behind_http: Callable[[], AbstractContextManager[str]],
    era: str,
    tmp_path: Path,
) -> None:
    with behind_http() as url:
        _compare_lists(command(), url, era, tmp_path)


def _compare_lists(command: Sequence[str], url: str, era: str, tmp_path: Path) -> None:
    # Each with pins of its own: a server that is somewhere else under the same name is another one.
    stages = [Stage(tmp_path / way, policy=EVERYTHING_IS_ALLOWED) for way in ("command", "url")]
    for stage in stages:
        stage.directory.mkdir()
    through = (stages[0].command(*command, name="everything"), stages[1].command_at("everything", "--url", url))
    commands = {"alone": command, "command": through[0], "url": through[1]}
    servers = {name: {"command": line[0], "args": [*line[1:]]} for name, line in commands.items()}
    config = tmp_path / "servers.json"
    config.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")

    def printed(name: str, method: str) -> bytes:
        options = ("--config", str(config), "--server", name, "--method", method, "--protocol-era", era)
        line = (*inspector(), *options, "--format", "json", "--quiet")
        return subprocess.run(line, env=stages[0].environment, capture_output=True, timeout=60, check=True).stdout

    with ThreadPoolExecutor(2) as pool:
        alone, *through = ([*pool.map(printed, [name] * len(LISTS), LISTS)] for name in commands)
    assert through == [alone, alone]
    assert [next(iter(json.loads(text)["result"])) for text in alone] == [
        "tools",
        "resources",
        "resourceTemplates",
        "prompts",
    ]
    assert [stage.verify().returncode for stage in stages] == [0, 0]
