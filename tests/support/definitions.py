"""Definitions as servers list them, and the pins of a server in a temporary place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from aegis_mcp.pins.definition import Kind
from aegis_mcp.pins.quarantine import Pins, default_path

ORIGIN: Final = '["npx","-y","@example/files"]'
NOW: Final = "2026-11-24T12:00:00Z"

READ_FILE: Final[dict[str, Any]] = {
    "name": "read_file",
    "title": "Read",
    "description": "Reads a file",
    "inputSchema": {
        "type": "object",
        "properties": {"path": {"type": "string", "description": "where"}},
        "required": ["path"],
    },
    "outputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
    "annotations": {"readOnlyHint": True},
    "icons": [{"src": "https://example.org/icon.png"}],
    "_meta": {"example.org/seen": 1},
}
"""A tool with everything that a definition may have."""


def lock_file(directory: Path) -> Path:
    """Return the lock file of the policy in a directory."""
    return default_path(directory / "policy.yaml")


def pins(directory: Path, server: str = "files", origin: str = ORIGIN, *, is_required: bool = False) -> Pins:
    """Return the pins of a server, as a gateway that starts now sees them."""
    return Pins.open(lock_file(directory), server, origin, is_required=is_required)


def named(*names: str, description: str = "Says something") -> dict[str, dict[str, Any]]:
    """Return tools of these names, alike in all else."""
    return {name: {"name": name, "description": description} for name in names}


def first_use(directory: Path, *names: str) -> Pins:
    """Return pins after a first use of tools of these names, and of nothing else."""
    made = pins(directory)
    assert made.look(Kind.TOOL, named(*names), is_complete=True) == []
    return made
