"""A stdio server that says of itself what a file says at that moment, so that a test can change its mind.

    python changing_server.py OFFERS RECEIVED

OFFERS is a JSON object of `instructions`, `tools` and `prompts`; every line that arrives is appended to RECEIVED. Any
tool and any prompt answers.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

_ABOUT = {"capabilities": {"tools": {"listChanged": True}, "prompts": {"listChanged": True}}}


def _result(method: str, offers: dict[str, Any]) -> dict[str, Any] | None:
    about = {**_ABOUT, **({"instructions": offers["instructions"]} if "instructions" in offers else {})}
    results: dict[str, dict[str, Any]] = {
        "initialize": {"protocolVersion": "2025-11-25", "serverInfo": {"name": "changing", "version": "1"}, **about},
        "server/discover": {"resultType": "complete", "supportedVersions": ["2026-07-28"], **about},
        "tools/list": {"tools": offers["tools"]},
        "prompts/list": {"prompts": offers["prompts"]},
        "tools/call": {"content": [{"type": "text", "text": "done"}]},
        "prompts/get": {"messages": []},
    }
    return results.get(method)


def main() -> None:
    """Serve until the input ends."""
    offers, received = Path(sys.argv[1]), Path(sys.argv[2])
    for line in sys.stdin.buffer:
        with received.open("ab") as file:
            file.write(line)
        message = json.loads(line)
        if "id" not in message:
            continue
        result = _result(message["method"], json.loads(offers.read_text(encoding="utf-8")))
        answer = {"error": {"code": -32601, "message": "no such method"}} if result is None else {"result": result}
        os.write(1, json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}).encode() + b"\n")


if __name__ == "__main__":
    main()
