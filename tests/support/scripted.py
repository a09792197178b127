"""The real gateway in front of a server that follows a script."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from support.gateway import Stage
from support.host import RawHost

SERVER: Final = Path(__file__).with_name("scripted_server.py")

ENVELOPE: Final[dict[str, Any]] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
    "io.modelcontextprotocol/clientInfo": {"name": "raw-host", "version": "1"},
}
"""What every request of revision 2026-07-28 carries in its `_meta`."""


class Scripted:
    """A stage whose upstream says what `says` was given last."""

    def __init__(self, directory: Path, policy: str, **script: Any) -> None:
        self.stage = Stage(directory, policy=policy)
        self._script = directory / "script.json"
        self.says(script)

    def says(self, script: Mapping[str, Any]) -> None:
        """Let the server say this from now on; a message instead of a list stands for a list of it."""
        lists: dict[str, list[Any]] = {
            name: said if isinstance(said, list) else [said] for name, said in script.items()
        }
        temporary = self._script.with_suffix(".new")
        temporary.write_text(json.dumps(lists), encoding="utf-8")
        temporary.replace(self._script)

    def command(self) -> tuple[str, ...]:
        """Return the command of the gateway."""
        server = (sys.executable, str(SERVER), str(self._script), str(self.stage.received))
        return self.stage.command(*server, name="scripted")

    def wrap(self) -> RawHost:
        """Start the gateway."""
        return RawHost(self.command(), self.stage.environment)

    def received(self, method: str) -> list[dict[str, Any]]:
        """Return the requests for a method that reached the server."""
        return [frame for frame in self.stage.frames_received() if frame.get("method") == method]

    def answers(self) -> list[dict[str, Any]]:
        """Return the responses that reached the server."""
        return [frame for frame in self.stage.frames_received() if "method" not in frame]

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the security events of one kind."""
        return [entry["event"] for entry in self.stage.entries() if entry["event"].get("kind") == kind]


def modern(host: RawHost, method: str, params: Mapping[str, Any], **meta: Any) -> dict[str, Any]:
    """Send a request with the envelope of revision 2026-07-28 and return the response."""
    return host.request(method, {**params, "_meta": {**ENVELOPE, **meta}})


def text(response: Mapping[str, Any]) -> str:
    """Return the text of the result of a call."""
    return response["result"]["content"][0]["text"]


def done(said: str = "done") -> dict[str, Any]:
    """Return the answer of a tool."""
    return {"result": {"content": [{"type": "text", "text": said}]}}
