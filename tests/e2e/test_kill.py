"""SIGKILL of the gateway at any point: the log stays good, the next run goes on, and no upstream is left."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support.host import RawHost
from support.remote import staged


def _send_and_kill(host: RawHost, chance: random.Random) -> None:
    """Keep calls in flight and end the gateway somewhere among them."""
    host.initialize()
    for call in range(64):
        params = {"name": "echo", "arguments": {"text": "x" * chance.randrange(4000)}}
        host.send({"jsonrpc": "2.0", "id": call, "method": "tools/call", "params": params})
    for _ in range(chance.randrange(64)):
        host.receive()
    host.process.kill()
    host.close()


@pytest.mark.parametrize(("kind", "rounds"), [("command", 25), ("url", 4)])
def test_a_killed_gateway_leaves_a_log_that_verifies_and_the_next_run_goes_on(
    tmp_path: Path, kind: str, rounds: int
) -> None:
    chance = random.Random(20261124)
    seen = 0
    with staged(kind, tmp_path) as (stage, start):
        for _ in range(rounds):
            _send_and_kill(start(), chance)
            assert stage.verify().returncode in {0, 4}
            assert stage.log.stat().st_size > seen
            seen = stage.log.stat().st_size
        with start() as host:
            host.initialize()
            host.call("echo", {})
    assert stage.verify().returncode == 0
    entries = stage.entries()
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))
