"""The headers that go with a message over HTTP: what is in the body, where proxies on the way can read it.

In the era of the handshake that is the revision that was agreed on; from 2026-07-28 on the method, the name, and the
arguments that a tool's schema marks with `x-mcp-header` (MCP 2026-07-28, transports, HTTP headers).
"""

from __future__ import annotations

from typing import Any, Final, cast

from mcp.shared import inbound

from aegis_mcp.frame import Frame, FrameKind

_META_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
_MAX_TOOLS: Final = 10_000


def revision_of(frame: Frame) -> str | None:
    """Return the revision that a message of the era without handshake names in itself, None for another message."""
    meta = frame.params.get("_meta")
    version = cast("dict[str, Any]", meta).get(_META_VERSION) if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None


class Stamp:
    """What one upstream has to be told beside the body, learned from what it has answered."""

    def __init__(self) -> None:
        self.revision: str | None = None
        """The revision that the last request named, or the handshake has agreed on."""
        self.is_modern = False
        """Whether the last request was one of the era without handshake."""
        self._marked: dict[str, dict[tuple[str, ...], str]] = {}

    def headers(self, frame: Frame) -> dict[str, str]:
        """Return the headers of a message from the host."""
        revision = revision_of(frame)
        if frame.method == "initialize":
            self.revision = None  # it is what is to be agreed on
        elif revision:
            self.revision = revision
        if frame.kind is FrameKind.REQUEST:
            self.is_modern = revision is not None
        headers = self.session_headers()
        if revision and frame.kind is FrameKind.REQUEST:
            headers |= {inbound.MCP_METHOD_HEADER: inbound.encode_header_value(frame.method), **self._of_params(frame)}
        return headers

    def session_headers(self) -> dict[str, str]:
        """Return the headers of a request that carries no message."""
        if not self.revision:
            return {}
        return {inbound.MCP_PROTOCOL_VERSION_HEADER: inbound.encode_header_value(self.revision)}

    def learn(self, asked: Frame, result: dict[str, Any]) -> None:
        """Keep what an answer says of how to ask from now on."""
        if asked.method == "initialize" and isinstance(result.get("protocolVersion"), str):
            self.revision = result["protocolVersion"]
        elif asked.method == "tools/list" and isinstance(result.get("tools"), list):
            if "cursor" not in asked.params:
                self._marked.clear()
            for tool in cast("list[Any]", result["tools"]):
                self._mark(tool)

    def _mark(self, tool: Any) -> None:
        if not isinstance(tool, dict) or len(self._marked) >= _MAX_TOOLS:
            return
        members = cast("dict[str, Any]", tool)
        schema = members.get("inputSchema")
        if isinstance(members.get("name"), str) and inbound.find_invalid_x_mcp_header(schema) is None:
            self._marked[members["name"]] = inbound.x_mcp_header_map(schema)

    def _of_params(self, frame: Frame) -> dict[str, str]:
        name = frame.params.get(inbound.NAME_BEARING_METHODS.get(frame.method, ""))
        if not isinstance(name, str):
            return {}
        headers = {inbound.MCP_NAME_HEADER: inbound.encode_header_value(name)}
        if frame.method == "tools/call":
            headers |= inbound.mcp_param_headers(self._marked.get(name, {}), frame.params.get("arguments") or {})
        return headers
