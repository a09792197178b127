"""The upstream of the benchmark: a stdio server that answers `tools/call` without parsing it.

What is to be measured is the way to the upstream and back, so the upstream itself costs as little as it can.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

CALL_START = b'{"jsonrpc":"2.0","id":'
"""How every call of the benchmark begins; the id ends at the comma after it."""

ANSWER = b'{"jsonrpc":"2.0","id":%b,"result":{"content":[{"type":"text","text":"noted"}],"isError":false}}\n'
"""The answer to every call."""

_CALL = b',"method":"tools/call",'
_RESULTS: dict[str, dict[str, Any]] = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "echo", "version": "1"},
    },
    # Of a client that writes its calls in another order than the benchmark.
    "tools/call": {"content": [{"type": "text", "text": "noted"}], "isError": False},
    "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]},
}


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin.buffer:
        end = line.find(b",", len(CALL_START))
        if line.startswith(_CALL, end):
            os.write(1, ANSWER % line[len(CALL_START) : end])
        else:
            _answer(json.loads(line))


def _answer(message: dict[str, Any]) -> None:
    if "id" in message:
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": _RESULTS[message["method"]]}
        os.write(1, json.dumps(answer).encode("ascii") + b"\n")


if __name__ == "__main__":
    main()
