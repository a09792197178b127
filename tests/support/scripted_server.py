"""A stdio server that says what a script says at that moment, whoever asks and in whatever era.

    python scripted_server.py SCRIPT RECEIVED

SCRIPT is a JSON object: under `METHOD`, or `METHOD SUBJECT` (a tool, prompt, URI, cursor or task), the messages with
which a request is met. One with a result or an error gets the id of the request. `initialize` is met by itself. Every
line that arrives is appended to RECEIVED.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

_ABOUT = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}, "prompts": {}, "resources": {}},
    "serverInfo": {"name": "scripted", "version": "1"},
}
_SUBJECTS = ("name", "uri", "cursor", "taskId")


def _messages(script: dict[str, Any], method: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    subject = next((params[name] for name in _SUBJECTS if name in params), None)
    met = script.get(f"{method} {subject}", script.get(method))
    if met is None:
        met = [{"result": _ABOUT} if method == "initialize" else {"error": {"code": -32601, "message": "unknown"}}]
    return met


def main() -> None:
    """Serve until the input ends."""
    script, received = Path(sys.argv[1]), Path(sys.argv[2])
    for line in sys.stdin.buffer:
        with received.open("ab") as file:
            file.write(line)
        message = json.loads(line)
        if "method" not in message or "id" not in message:
            continue
        said = json.loads(script.read_text(encoding="utf-8"))
        for answer in _messages(said, message["method"], message.get("params") or {}):
            identity = {"id": message["id"]} if "method" not in answer else {}
            os.write(1, json.dumps({"jsonrpc": "2.0", **identity, **answer}).encode() + b"\n")


if __name__ == "__main__":
    main()
