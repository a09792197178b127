"""What a request is, read off its frame: whom it concerns, who asks, and which trace it belongs to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Final, cast

from aegis_mcp.audit.record import Client
from aegis_mcp.decision import Request
from aegis_mcp.frame import Frame
from aegis_mcp.upstream.catalog import Catalog

_META_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
_META_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
_META_CLIENT: Final = "io.modelcontextprotocol/clientInfo"
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def asked_of_upstream(frame: Frame, server: str, catalog: Catalog) -> Request:
    """Return what a host asks, with what the upstream's own listing says of the tool."""
    params = frame.params
    if frame.method == "tools/call":
        # Where there is no name, or the arguments are no object, there is no frame.
        tool: str = params["name"]
        arguments: dict[str, Any] = params.get("arguments") or {}
        definition = catalog.tool(tool)
        hint = definition.read_only_hint if definition else None
        listed = definition is not None or catalog.is_listed(tool)
        return Request(server, frame.method, tool, None, None, arguments, hint, listed)
    name, uri, arguments = _text(params, "name"), _text(params, "uri"), _object(params, "arguments")
    if frame.method == "completion/complete":
        reference = _object(params, "ref")
        name, uri = _text(reference, "name"), _text(reference, "uri")
        arguments = _object(params, "argument")
    if frame.method == "prompts/get":
        uri = None  # a server goes by the name, whatever stands beside it
    return Request(server, frame.method, uri=uri, prompt=None if uri else name, arguments=arguments)


def asked_of_host(frame: Frame, server: str) -> Request:
    """Return what an upstream asks of the host: sampling, elicitation, roots, or anything else."""
    return Request(server, frame.method, arguments=frame.params, is_from_upstream=True)


def client_of(frame: Frame) -> Client | None:
    """Return who the host says it is, if this frame says so: `initialize`, or from 2026-07-28 on any request."""
    info = frame.params.get("clientInfo") if frame.method == "initialize" else _meta(frame).get(_META_CLIENT)
    if not isinstance(info, dict):
        return None
    fields = cast("dict[str, Any]", info)
    return Client(_text(fields, "name"), _text(fields, "version"))


def capabilities_of(frame: Frame) -> dict[str, Any]:
    """Return what the host says that it can do: in `initialize`, and from 2026-07-28 on in each request."""
    members = frame.params if frame.method == "initialize" else _meta(frame)
    return _object(members, "capabilities" if frame.method == "initialize" else _META_CAPABILITIES)


def trace_of(frame: Frame) -> str:
    """Return the trace id that the host sent (W3C Trace Context §3.2.2, in `_meta.traceparent`), else a random one."""
    sent = _meta(frame).get("traceparent") if "_meta" in frame.params else None
    match = _TRACEPARENT.fullmatch(sent) if isinstance(sent, str) else None
    return match[1] if match else next(_RANDOM_TRACES)


def is_modern(frame: Frame) -> bool:
    """Tell whether a request carries the envelope of revision 2026-07-28 or later."""
    return _META_VERSION in _meta(frame)


def _random_traces() -> Iterator[str]:
    """Yield trace ids without end; one look at the system's randomness is good for many."""
    while True:
        digits = os.urandom(4096).hex()
        for at in range(0, len(digits), 32):
            yield digits[at : at + 32]


_RANDOM_TRACES: Final = _random_traces()


def _meta(frame: Frame) -> dict[str, Any]:
    return _object(frame.params, "_meta")


def _object(members: dict[str, Any], name: str) -> dict[str, Any]:
    value: dict[str, Any] | None = members.get(name)  # or anything else: it is what a peer has sent
    return value if isinstance(value, dict) else {}


def _text(members: dict[str, Any], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) else None
