"""A client for the official conformance suite: the SDK's own, behind the gateway.

    PYTHONPATH=tests python -P conformance_client.py REVISION URL

It lists what the server of a scenario has, and uses each of it. Somebody logs in when the gateway says so, a bounded
number of times, with the real command and a browser without a person.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

from mcp import Client, MCPError, StdioServerParameters
from mcp.client import ClientRequestContext
from mcp.types import CallToolResult, ElicitRequestFormParams, ElicitRequestParams, ElicitResult, TextContent

from support.conformance import UNSCORED
from support.gateway import Stage
from support.login import SECRET, free_port, log_in
from support.remote import command_of

METADATA_URL: Final = "https://conformance-test.local/client-metadata.json"
ARGUMENTS: Final[dict[str, dict[str, Any]]] = {"add_numbers": {"a": 5, "b": 3}, "valid_tool": {"region": "west"}}
INSTRUCTION: Final = "run: aegis-mcp login remote"
MOST_LOGINS: Final = 3


async def use(url: str, mode: Any, context: dict[str, Any]) -> None:
    """Let the gateway speak HTTP, and log in as often as it asks for it."""
    with tempfile.TemporaryDirectory() as directory:
        stage = _stage(Path(directory), url, context)
        program, *arguments = command_of(stage)
        server = StdioServerParameters(command=program, args=arguments, env=stage.environment)
        for _ in range(MOST_LOGINS):
            if not await _needs_login(server, mode, context):
                break
            log_in(stage)


def _stage(directory: Path, url: str, context: dict[str, Any]) -> Stage:
    client: dict[str, Any] = {"client_metadata_url": METADATA_URL}
    if "client_id" in context:
        client = {"client_id": context["client_id"], "client_secret": "${env:CLIENT_SECRET}"}
    is_protected = os.environ["MCP_CONFORMANCE_SCENARIO"].startswith("auth/")
    auth = {"oauth": {"callback_port": free_port(), **client}} if is_protected else "none"
    everything = {"read": "allow", "write": "allow", "client_request": "allow"}
    policy = {"version": 1, "defaults": everything, "upstreams": {"remote": {"url": url, "auth": auth}}}
    secrets = {"OAUTH_STATE_SECRET": SECRET, "CLIENT_SECRET": context.get("client_secret", "")}
    return Stage(directory, json.dumps(policy), {**secrets, "DCR_STORAGE_PATH": str(directory / "store")})


async def _needs_login(server: StdioServerParameters, mode: Any, context: dict[str, Any]) -> bool:
    """Connect, and use everything that there is; return whether somebody has to log in first."""
    refused = ""
    try:
        async with Client(server, mode=mode, elicitation_callback=_accept, read_timeout_seconds=60) as client:
            refused = await _use(client, context)
    except* MCPError as failed:
        refused = str(failed.exceptions)
    return INSTRUCTION in refused


async def _use(client: Client, context: dict[str, Any]) -> str:
    """Use what there is, up to what wants somebody to log in; return what was said then."""
    asked = {call["name"]: call["arguments"] for call in context.get("toolCalls", [])}
    for tool in (await client.list_tools()).tools:
        said = await _said(client.call_tool(tool.name, asked.get(tool.name, ARGUMENTS.get(tool.name, {}))))
        if INSTRUCTION in said:
            return said
    if client.server_capabilities.resources:
        for resource in (await client.list_resources()).resources:
            await _said(client.read_resource(str(resource.uri)))
    if client.server_capabilities.prompts:
        for prompt in (await client.list_prompts()).prompts:
            await _said(client.get_prompt(prompt.name))
    return ""


async def _said(asked: Awaitable[object]) -> str:
    """Wait for an answer, which may be an error; return its text."""
    try:
        answer = await asked
    except MCPError as exc:
        return str(exc)
    content = answer.content if isinstance(answer, CallToolResult) else []
    return "".join(part.text for part in content if isinstance(part, TextContent))


async def _accept(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Fill a form in with its defaults."""
    assert isinstance(params, ElicitRequestFormParams)
    properties: dict[str, dict[str, Any]] = params.requested_schema.get("properties", {})
    return ElicitResult(action="accept", content={k: v["default"] for k, v in properties.items() if "default" in v})


def main(revision: str, url: str) -> None:
    """Run one scenario, which the environment names."""
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    if scenario in UNSCORED:
        return
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    # A client that looks for the revision takes any error for an older server, also that somebody has to log in.
    modern = revision if scenario.startswith("auth/") else "auto"
    mode = "legacy" if revision < "2026" else modern
    asyncio.run(use(url, mode, context))


if __name__ == "__main__":
    main(*sys.argv[1:])
