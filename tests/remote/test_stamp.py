"""The names in headers are those that the SDK has, which both ends of a connection compare."""

from __future__ import annotations

from mcp.shared import inbound

from aegis_mcp.upstream import stamp


def test_the_names_are_those_of_the_sdk() -> None:
    names = (stamp.VERSION, stamp.METHOD, stamp.NAME, stamp.MARK)
    assert names == (
        inbound.MCP_PROTOCOL_VERSION_HEADER,
        inbound.MCP_METHOD_HEADER,
        inbound.MCP_NAME_HEADER,
        inbound.X_MCP_HEADER_KEY,
    )
    assert stamp.NAMED == inbound.NAME_BEARING_METHODS
