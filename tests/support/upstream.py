"""A small stdio server for what no published one does: it keeps every byte it gets, and looks at the log when called.

    python upstream.py --received FILE [--log FILE]

Tools: `echo` answers its arguments, `read_log` the log as it stands at that moment, `wait` after `seconds`,
`die` not at all. Only `echo` and `read_log` say that they are read-only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

_LOCK = threading.Lock()


def _send(message: dict[str, Any]) -> None:
    with _LOCK:
        os.write(1, json.dumps(message, separators=(",", ":")).encode() + b"\n")


def _tools() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": name in {"echo", "read_log", "wait"}},
        }
        for name in ("echo", "read_log", "wait", "write", "die")
    ]


def _call(params: dict[str, Any], log: Path | None) -> dict[str, Any]:
    name: str = params["name"]
    arguments: dict[str, Any] = params.get("arguments") or {}
    if name == "die":
        os._exit(3)
    if name == "wait":
        threading.Event().wait(arguments["seconds"])
    text = log.read_text() if name == "read_log" and log else json.dumps(arguments)
    return {"content": [{"type": "text", "text": text}], "isError": name == "fail"}


def _answer(message: dict[str, Any], log: Path | None) -> None:
    method, params = message["method"], message.get("params", {})
    results = {
        "initialize": {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "recording", "version": "1"},
        },
        "tools/list": {"tools": _tools()},
        "ping": {},
    }
    result = _call(params, log) if method == "tools/call" else results.get(method)
    if result is None:
        _send({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no such method"}})
    else:
        _send({"jsonrpc": "2.0", "id": message["id"], "result": result})


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--received", type=Path)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    for line in sys.stdin.buffer:
        if options.received:
            with options.received.open("ab") as received:
                received.write(line)
        message = json.loads(line)
        if "method" in message and "id" in message:
            threading.Thread(target=_answer, args=(message, options.log)).start()


if __name__ == "__main__":
    main()
