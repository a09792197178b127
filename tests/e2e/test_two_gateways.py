"""Two gateways that append to one log at the same time: one chain, nothing lost."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.host import RawHost
from support.remote import staged

HOSTS = 4
VALIDATOR = Path(__file__).parents[2] / "scripts" / "validate_audit_log.py"


def _call_often(host: RawHost, number: int, calls: int) -> None:
    host.initialize()
    for call in range(calls):
        params = {"name": "echo", "arguments": {"host": number, "call": call}}
        host.send({"jsonrpc": "2.0", "id": call, "method": "tools/call", "params": params})
        if call % 16 == 15:
            host.answer_to(call)
    host.answer_to(calls - 1)
    assert host.close() == 0


@pytest.mark.parametrize(("kind", "count"), [("command", 500), ("url", 100)])
def test_four_gateways_of_many_calls_make_one_strict_chain(tmp_path: Path, kind: str, count: int) -> None:
    with staged(kind, tmp_path) as (stage, start), ThreadPoolExecutor(HOSTS) as pool:
        hosts = [start() for _ in range(HOSTS)]
        list(pool.map(_call_often, hosts, range(HOSTS), [count] * HOSTS))
    entries = stage.entries()
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))
    phases = Counter(entry["event"]["phase"] for entry in stage.requests())
    assert phases == {"intent": HOSTS * count, "outcome": HOSTS * count}
    intents = [entry["event"]["arguments"] for entry in stage.requests() if entry["event"]["phase"] == "intent"]
    calls = {(arguments["host"], arguments["call"]) for arguments in intents}
    assert calls == {(number, call) for number in range(HOSTS) for call in range(count)}
    assert stage.verify().returncode == 0
    second = subprocess.run([sys.executable, str(VALIDATOR), "--path", str(stage.log)], check=False, timeout=120)
    assert second.returncode == 0
