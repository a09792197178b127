"""Peers that outrun each other: nothing hangs, nothing is lost, and memory stays bounded."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from support.gateway import Stage
from support.host import WAIT_SECONDS
from support.processes import peak_memory, wait_until, wait_until_still

CALLS = 1500
BULK = "x" * 6000
MOST_MEMORY = 200 * 1024 * 1024

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


def test_a_burst_to_a_server_that_answers_before_it_reads_on_gets_every_answer(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy="version: 1\ndefaults: {write: allow}\naudit: {durability: flush}\n")
    with stage.wrap(sys.executable, "-c", SINGLE) as host:
        host.initialize()
        for number in range(CALLS):
            params = {"name": "any", "arguments": {"bulk": BULK}}
            host.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
        answered = [host.answer_to(number)["id"] for number in range(CALLS)]
        assert answered == list(range(CALLS))
        assert peak_memory(host.process.pid) < MOST_MEMORY


def test_large_requests_that_nobody_answers_are_bounded_together(tmp_path: Path) -> None:
    silent = "import sys\nfor _ in sys.stdin.buffer: pass"
    stage = Stage(
        tmp_path, policy="version: 1\ndefaults: {write: allow}\naudit: {arguments: hashed, durability: flush}\n"
    )
    params = {"name": "any", "arguments": {"bulk": "x" * (15 * 1024 * 1024)}}
    with stage.wrap(sys.executable, "-c", silent) as host:
        for number in range(1, 6):
            host.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
        answer = host.answer_to(5)
        told = answer["result"]["content"][0]["text"]
        assert re.fullmatch(r"Denied by 'protocol': requests of 62\d{6} bytes wait for their answers", told)


def test_an_upstream_without_an_end_of_line_costs_no_more_than_a_frame(tmp_path: Path) -> None:
    flood = "import sys\nfor _ in range(1024): sys.stdout.write('z' * 65536)\nsys.stdout.flush(); sys.stdin.read()"
    stage = Stage(tmp_path)
    with stage.wrap(sys.executable, "-c", flood) as host:
        host.send({"jsonrpc": "2.0", "id": 1, "method": "nothing/known", "params": {}})
        assert json.loads(host.receive(WAIT_SECONDS) or b"")["error"]["code"] == -32010
        assert peak_memory(host.process.pid) < MOST_MEMORY


# Sends more than anybody keeps, and counts what it could send.
TALKER = """
import json, sys
for number in range({frames}):
    message = {{"jsonrpc": "2.0", "method": "notifications/message", "params": {{"n": number, "data": "z" * {size}}}}}
    sys.stdout.write(json.dumps(message) + chr(10))
    sys.stdout.flush()
    print(number, file=open({sent!r}, "w"))
sys.stdin.read()
"""

# Reads nothing before it may, and then counts.
SLEEPER = """
import os, sys, time
while not os.path.exists({may_read!r}):
    time.sleep(0.01)
print(sum(1 for _ in sys.stdin.buffer), file=open({counted!r}, "w"))
"""
FRAMES = 3000
SIZE = 60_000


@contextmanager
def _started(stage: Stage, script: str) -> Generator[subprocess.Popen[bytes]]:
    """Start the gateway, with a host that reads and writes only when it wants to."""
    command = stage.command(sys.executable, "-c", script)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=stage.environment) as gateway:
        try:
            yield gateway
        finally:
            gateway.kill()


def test_a_host_that_does_not_read_makes_the_upstream_wait_and_loses_nothing(tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    with _started(Stage(tmp_path), TALKER.format(frames=FRAMES, size=SIZE, sent=str(sent))) as gateway:
        assert gateway.stdin
        assert gateway.stdout
        wait_until(sent.exists)
        wait_until_still(sent.read_bytes)
        assert peak_memory(gateway.pid) < MOST_MEMORY
        told = [json.loads(gateway.stdout.readline())["params"]["n"] for _ in range(FRAMES)]
        assert told == list(range(FRAMES))
        gateway.stdin.close()
        assert gateway.wait(WAIT_SECONDS) == 0


def test_an_upstream_that_does_not_read_makes_the_host_wait_and_loses_nothing(tmp_path: Path) -> None:
    may_read, counted = tmp_path / "may_read", tmp_path / "counted"
    script = SLEEPER.format(may_read=str(may_read), counted=str(counted))
    line = json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"data": "z" * SIZE}}).encode()
    sent = [0]
    with _started(Stage(tmp_path), script) as gateway:
        pipe = gateway.stdin
        assert pipe

        def send() -> None:
            for _ in range(FRAMES):
                pipe.write(line + b"\n")
                sent[0] += 1
            pipe.close()

        sender = threading.Thread(target=send)
        sender.start()
        wait_until_still(lambda: sent[0])
        assert peak_memory(gateway.pid) < MOST_MEMORY
        assert sent[0] < FRAMES
        may_read.touch()
        sender.join(WAIT_SECONDS)
        assert gateway.wait(WAIT_SECONDS) == 0
    assert counted.read_text(encoding="utf-8") == f"{FRAMES}\n"
