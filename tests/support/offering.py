"""A small stdio server that says what it offers in a way of its own.

    python offering.py WAY

`pages` lists one tool a page; `chatty` prints junk, notifies and asks before it answers; `modern` knows no handshake;
`endless` has always one more page; `silent` never answers; `refusing` answers lists with an error; `gone` ends at once;
`stubborn` answers, ignores the end of its input and SIGTERM, and writes its process id to stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

TOOLS = ["get_a", "write_b", "c"]


def _send(message: dict[str, Any]) -> None:
    os.write(1, json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def _list(way: str, params: dict[str, Any]) -> dict[str, Any]:
    if way == "endless":
        return {"tools": [{"name": f"get_{params.get('cursor')}"}], "nextCursor": "more"}
    if way == "pages":
        at = int(params.get("cursor", "0"))
        more = {"nextCursor": str(at + 1)} if at + 1 < len(TOOLS) else {}
        return {"tools": [{"name": TOOLS[at]}]} | more
    return {"tools": [{"name": name} for name in TOOLS] + ["junk", {"name": 7}, {}]}


def _answer(way: str, message: dict[str, Any]) -> dict[str, Any]:
    method, params = message["method"], message["params"]
    is_modern = "_meta" in params
    if way == "modern" and not is_modern:
        return {"error": {"code": -32022, "message": "say how you speak"}}
    if way == "refusing" and method == "tools/list":
        return {"error": {"code": -32603, "message": "no\x1b[2J tools\n"}}
    results: dict[str, Any] = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "resources": {}, "prompts": {}}},
        "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}},
        "tools/list": _list(way, params),
        "resources/list": {"resources": [{"uri": "demo://a"}]},
        "prompts/list": {"prompts": [{"name": "p\n"}]},
    }
    if method in results:
        return {"result": results[method]}
    return {"error": {"code": -32601, "message": "no such method"}}


def main() -> None:
    """Serve until the input ends."""
    way = sys.argv[1]
    if way == "gone":
        sys.exit(3)
    if way == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(2, str(os.getpid()).encode())
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if way == "silent" or "method" not in message or "id" not in message:
            continue
        if way == "chatty":
            os.write(1, b"Listening \xff...\n\n{}\n")
            _send({"method": "notifications/message", "params": {"level": "info", "data": "x"}})
            _send({"id": 1, "method": "sampling/createMessage", "params": {}})
            _send({"id": "p", "method": "ping"})
            _send({"id": 999, "result": {"tools": [{"name": "get_forged"}]}})
            replies = [json.loads(sys.stdin.buffer.readline()) for _ in range(2)]
            assert [reply.get("error", {}).get("code") for reply in replies] == [-32601, None], replies
        _send({"id": message["id"], **_answer(way, message)})
    if way == "stubborn":
        signal.pause()


if __name__ == "__main__":
    main()
