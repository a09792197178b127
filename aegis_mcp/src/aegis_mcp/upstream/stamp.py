"""The headers that go with a message over HTTP: what is in the body, where proxies on the way can read it.

In the era of the handshake that is the revision that was agreed on; from 2026-07-28 on the method, the name, and the
arguments that a tool's schema marks with `x-mcp-header` (MCP 2026-07-28, transports, HTTP headers).
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from aegis_mcp.frame import Frame, FrameKind

VERSION: Final = "mcp-protocol-version"
METHOD: Final = "mcp-method"
NAME: Final = "mcp-name"
NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""The methods whose subject is in a header, and the parameter that it is."""
MARK: Final = "x-mcp-header"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:-]+")
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
            headers |= {METHOD: _encode(frame.method), **self._of_params(frame)}
        return headers

    def session_headers(self) -> dict[str, str]:
        """Return the headers of a request that carries no message."""
        if not self.revision:
            return {}
        return {VERSION: _encode(self.revision)}

    def learn(self, asked: Frame, answer: Frame) -> None:
        """Keep what an answer says of how to ask from now on."""
        found = answer.message.get("result")
        result = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        if asked.method == "initialize" and isinstance(result.get("protocolVersion"), str):
            self.revision = result["protocolVersion"]
        elif asked.method == "tools/list" and isinstance(result.get("tools"), list):
            if "cursor" not in asked.params:
                self._marked.clear()
            if MARK.encode("ascii") in answer.raw:
                for tool in cast("list[Any]", result["tools"]):
                    self._mark(tool)

    def _mark(self, tool: Any) -> None:
        from mcp.shared import inbound  # noqa: PLC0415 - it takes half a second, and few servers mark anything

        if not isinstance(tool, dict) or len(self._marked) >= _MAX_TOOLS:
            return
        members = cast("dict[str, Any]", tool)
        schema = members.get("inputSchema")
        if isinstance(members.get("name"), str) and inbound.find_invalid_x_mcp_header(schema) is None:
            self._marked[members["name"]] = inbound.x_mcp_header_map(schema)

    def _of_params(self, frame: Frame) -> dict[str, str]:
        name = frame.params.get(NAMED.get(frame.method, ""))
        if not isinstance(name, str):
            return {}
        headers = {NAME: _encode(name)}
        if frame.method == "tools/call" and (marked := self._marked.get(name)):
            from mcp.shared import inbound  # noqa: PLC0415 - loaded with the mark

            headers |= inbound.mcp_param_headers(marked, frame.params.get("arguments") or {})
        return headers


def _encode(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    from mcp.shared import inbound  # noqa: PLC0415 - see above

    return inbound.encode_header_value(value)
