"""The SDK's own client, talking to a server over real pipes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, TextContent


@asynccontextmanager
async def session(command: Sequence[str], env: Mapping[str, str]) -> AsyncGenerator[ClientSession]:
    """Start a server and do the handshake with it."""
    program, *arguments = command
    parameters = StdioServerParameters(command=program, args=arguments, env=dict(env))
    async with stdio_client(parameters) as streams, ClientSession(*streams) as connected:
        await connected.initialize()
        yield connected


def text(result: CallToolResult) -> str:
    """Return the text of a result."""
    return "".join(part.text for part in result.content if isinstance(part, TextContent))
