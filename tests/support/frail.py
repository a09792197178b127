"""A small stdio server that fails in the ways in which servers do, and keeps what each of its lives was sent.

    python frail.py DIRECTORY

Each life writes the frames that it gets to `DIRECTORY/<number>.jsonl`, numbers from 0. Once there is a
`DIRECTORY/broken` no life lasts; what is in `DIRECTORY/version` is the revision that it speaks. Tools: `echo`; `die`,
alone or `die_answering` or `die_asking` something of the host; `hush` (close the output and live on); `deafen` (close
the input and live on).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from pathlib import Path
from threading import Event
from typing import Any, Final

_CAPABILITIES: Final = {"logging": {}, "prompts": {}, "resources": {"subscribe": True}, "tools": {"listChanged": False}}


def _send(message: dict[str, Any]) -> None:
    os.write(1, json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode() + b"\n")


def _life(directory: Path) -> Path:
    for number in itertools.count():
        own = directory / f"{number}.jsonl"
        with contextlib.suppress(FileExistsError):
            own.touch(exist_ok=False)
            return own
    raise AssertionError


def _call(message: dict[str, Any]) -> None:
    match message["params"]["name"]:
        case "die":
            os._exit(3)
        case "die_answering":
            _send({"id": message["id"], "result": {"content": [{"type": "text", "text": "z" * 1_000_000}]}})
            os._exit(3)
        case "die_asking":
            _send({"id": "ask", "method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}})
            os._exit(3)
        case "hush":
            os.close(1)
            Event().wait(600)
        case "deafen":
            os.close(0)
            Event().wait(600)
        case _:
            text = json.dumps(message["params"].get("arguments", {}))
            _send({"id": message["id"], "result": {"content": [{"type": "text", "text": text}]}})


def _answer(message: dict[str, Any], directory: Path) -> None:
    version = directory / "version"
    match message["method"]:
        case "initialize":
            revision = version.read_text() if version.exists() else message["params"]["protocolVersion"]
            info = {"name": "frail", "version": "1"}
            result = {"protocolVersion": revision, "capabilities": _CAPABILITIES, "serverInfo": info}
            _send({"id": message["id"], "result": result})
        case "tools/call":
            _call(message)
        case "tools/list":
            _send({"id": message["id"], "result": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}})
        case _:
            _send({"id": message["id"], "result": {}})


def main() -> None:
    """Serve until the input ends, or as long as it lasts."""
    directory = Path(sys.argv[1])
    own = _life(directory)
    if (directory / "broken").exists():
        sys.exit(7)
    for line in sys.stdin.buffer:
        with own.open("ab") as received:
            received.write(line)
        message = json.loads(line)
        if "method" in message and "id" in message:
            _answer(message, directory)


if __name__ == "__main__":
    main()
