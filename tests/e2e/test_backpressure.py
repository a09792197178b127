"""Peers that outrun each other: nothing hangs, nothing is lost, and memory stays bounded."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from support.gateway import Stage
from support.host import WAIT_SECONDS, RawHost

CALLS = 1500
BULK = "x" * 6000

# Does one thing after the other, and answers with more than a pipe holds before it reads on.
SINGLE = """
import json, sys
for line in sys.stdin.buffer:
    message = json.loads(line)
    if "id" in message:
        text = "y" * 20000 if message["method"] == "tools/call" else ""
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": [{"type": "text", "text": text}]}}
        sys.stdout.write(json.dumps(answer) + chr(10))
        sys.stdout.flush()
"""


def _peak_memory(host: RawHost) -> int:
    """Return the largest resident size of the gateway so far, in MiB."""
    status = Path(f"/proc/{host.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024


def test_a_burst_to_a_server_that_answers_before_it_reads_on_gets_every_answer(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy="version: 1\ndefaults: {write: allow}\naudit: {durability: flush}\n")
    with stage.wrap(sys.executable, "-c", SINGLE) as host:
        host.initialize()
        for number in range(CALLS):
            params = {"name": "any", "arguments": {"bulk": BULK}}
            host.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
        answered = [host.answer_to(number)["id"] for number in range(CALLS)]
        assert answered == list(range(CALLS))
        assert _peak_memory(host) < 200


def test_an_upstream_without_an_end_of_line_costs_no_more_than_a_frame(tmp_path: Path) -> None:
    flood = "import sys\nfor _ in range(1024): sys.stdout.write('z' * 65536)\nsys.stdout.flush(); sys.stdin.read()"
    stage = Stage(tmp_path)
    with stage.wrap(sys.executable, "-c", flood) as host:
        host.send({"jsonrpc": "2.0", "id": 1, "method": "nothing/known", "params": {}})
        assert json.loads(host.receive(WAIT_SECONDS) or b"")["error"]["code"] == -32010
        assert _peak_memory(host) < 200
