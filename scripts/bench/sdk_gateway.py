"""A gateway as the SDK makes it easy: its server before, its client behind, and typed models of each message between.

    python sdk_gateway.py COMMAND [ARGUMENT…]

It decides nothing and records nothing: what it costs is the way that a message takes through the models.
"""

from __future__ import annotations

import asyncio
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
)


async def _run(command: list[str]) -> None:
    upstream = StdioServerParameters(command=command[0], args=command[1:])
    async with stdio_client(upstream) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        gateway = _gateway(session)
        async with stdio_server() as (host_read, host_write):
            await gateway.run(host_read, host_write, gateway.create_initialization_options())


def _gateway(session: ClientSession) -> Server[object]:
    async def list_tools(_: ServerRequestContext[object], params: PaginatedRequestParams | None) -> ListToolsResult:
        return await session.list_tools(params=params)

    async def call_tool(
        _: ServerRequestContext[object], params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        return await session.call_tool(params.name, params.arguments)

    return Server("gateway", on_list_tools=list_tools, on_call_tool=call_tool)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1:]))
