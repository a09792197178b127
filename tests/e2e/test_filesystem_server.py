"""The official filesystem server behind the gateway, driven by raw frames and by the SDK's own client."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from mcp import StdioServerParameters
from mcp.client.session import ClientSession
from mcp.client.stdio import stdio_client
from mcp.types import TextContent

from support.gateway import Stage
from support.host import RawHost
from support.tools import filesystem_server

pytestmark = pytest.mark.node

WITHIN = """\
version: 1
upstreams:
  files:
    access: {{read: ["read_*", "list_*"], write: ["*"]}}
rules:
  - id: drafts
    match: {{server: files, tool: write_file, arguments: {{path: {{within: ["{folder}"]}}}}}}
    effect: allow
"""

READ = {"jsonrpc": "2.0", "id": 9, "method": "tools/call"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    (folder / "drafts").mkdir(parents=True)
    (folder / "note.txt").write_text("grüße, \u2603\n", encoding="utf-8")
    return folder


def _read(host: RawHost, path: Path) -> bytes:
    host.initialize()
    host.request("tools/list")
    host.send(READ | {"params": {"name": "read_text_file", "arguments": {"path": str(path)}}})
    while True:
        line = host.receive()
        assert line is not None
        if json.loads(line).get("id") == 9:
            return line


@pytest.mark.usefixtures("either_way")
def test_a_read_answers_the_same_bytes_as_the_server_alone(folder: Path, tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=WITHIN.format(folder=folder / "drafts"))
    command = filesystem_server(folder)
    with RawHost(command, stage.environment) as direct:
        alone = _read(direct, folder / "note.txt")
    with stage.wrap(*command, name="files") as host:
        through = _read(host, folder / "note.txt")
    assert through == alone
    assert "grüße" in json.loads(through)["result"]["content"][0]["text"]


@pytest.mark.usefixtures("either_way")
def test_a_write_is_refused_with_rule_and_reason_and_leaves_no_file(folder: Path, tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=WITHIN.format(folder=folder / "drafts"))
    with stage.wrap(*filesystem_server(folder), name="files") as host:
        host.initialize()
        answer = host.call("write_file", {"path": str(folder / "new.txt"), "content": "x"})["result"]
    assert answer["isError"] is True
    assert "defaults.write" in answer["content"][0]["text"]
    assert "write_file" in answer["content"][0]["text"]
    assert not (folder / "new.txt").exists()
    assert [entry["event_type"] for entry in stage.requests()] == ["access_denied"]


@pytest.mark.parametrize("path", ["drafts/../new.txt", "drafts/../../new.txt", "drafts/link/new.txt", "drafts/link2"])
def test_within_refuses_what_leads_out_of_the_folder(folder: Path, tmp_path: Path, path: str) -> None:
    (folder / "drafts" / "link").symlink_to(folder)
    (folder / "drafts" / "link2").symlink_to(folder / "new.txt")
    stage = Stage(tmp_path, policy=WITHIN.format(folder=folder / "drafts"))
    with stage.wrap(*filesystem_server(folder), name="files") as host:
        host.initialize()
        answer = host.call("write_file", {"path": f"{folder}/{path}", "content": "x"})["result"]
    assert answer["isError"] is True
    assert not (folder / "new.txt").exists()
    assert not (tmp_path / "new.txt").exists()


def test_within_lets_one_folder_be_written(folder: Path, tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=WITHIN.format(folder=folder / "drafts"))
    with stage.wrap(*filesystem_server(folder), name="files") as host:
        host.initialize()
        answer = host.call("write_file", {"path": str(folder / "drafts" / "new.txt"), "content": "x"})["result"]
    assert answer.get("isError") is not True
    assert (folder / "drafts" / "new.txt").read_text() == "x"
    assert [entry["event"].get("rule") for entry in stage.requests()] == ["drafts", None]


def test_the_shipped_policy_knows_the_filesystem_server_by_its_name(folder: Path, tmp_path: Path) -> None:
    shipped = (Path(__file__).parents[2] / "policy.yaml").read_text(encoding="utf-8")
    stage = Stage(tmp_path, policy=shipped)
    with stage.wrap(*filesystem_server(folder), name="files") as host:
        host.initialize()
        read = host.call("read_text_file", {"path": str(folder / "note.txt")})["result"]
        write = host.call("write_file", {"path": str(folder / "new.txt"), "content": "x"})["result"]
    assert read.get("isError") is not True
    assert write["isError"] is True


@pytest.mark.usefixtures("either_way")
def test_the_client_of_the_sdk_works_through_the_gateway(folder: Path, tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=WITHIN.format(folder=folder / "drafts"))
    command, *arguments = stage.command(*filesystem_server(folder), name="files")

    async def drive() -> tuple[str, bool]:
        parameters = StdioServerParameters(command=command, args=arguments, env=stage.environment)
        async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
            await session.initialize()
            await session.list_tools()
            read = await session.call_tool("read_text_file", {"path": str(folder / "note.txt")})
            write = await session.call_tool("write_file", {"path": str(folder / "new.txt"), "content": "x"})
            (content,) = read.content
            assert isinstance(content, TextContent)
            return content.text, bool(write.is_error)

    text, is_refused = asyncio.run(asyncio.wait_for(drive(), 60))
    assert text == "grüße, \u2603\n"
    assert is_refused
    assert stage.verify().returncode == 0
