"""The real logrotate on the log of a gateway that is in use: no call is lost, and nothing looks like tampering."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support.gateway import Stage
from support.host import RawHost
from support.processes import wait_until
from support.tools import program

pytestmark = pytest.mark.logrotate

STANZA = """
{log} {{
    rotate 100
    {how}
    missingok
    notifempty
    nomail
    {more}
}}
"""
ROTATIONS = 4


def _rotate(stage: Stage, config: Path) -> None:
    logrotate = program("logrotate")
    assert logrotate
    command = [logrotate, "--force", "--state", str(stage.directory / "state"), str(config)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def _call_until(host: RawHost, is_over: threading.Event, made: list[int]) -> None:
    while not is_over.is_set():
        host.call("echo", {"number": len(made)})
        made.append(len(made))


@pytest.mark.parametrize(
    "more", ["nocompress", "compress\n    delaycompress", "compress", "dateext\n    dateformat -%s"]
)
@pytest.mark.parametrize("how", ["create 0600", "copytruncate"])
def test_calls_go_on_through_rotations_and_all_of_them_are_there(tmp_path: Path, how: str, more: str) -> None:
    stage = Stage(tmp_path)
    config = tmp_path / "logrotate.conf"
    config.write_text(STANZA.format(log=stage.log, how=how, more=more), encoding="utf-8")
    config.chmod(0o600)
    made: list[int] = []
    is_over = threading.Event()
    with stage.wrap() as host:
        host.initialize()
        calling = threading.Thread(target=_call_until, args=(host, is_over, made))
        calling.start()
        try:
            for _ in range(ROTATIONS):
                _rotate(stage, config)
                second = int(time.time())
                # Two rotations of one second would have one name.
                wait_until(lambda before=second: "dateext" not in more or time.time() > before + 1.1)
        finally:
            is_over.set()
            calling.join(30)
    verified = stage.verify(stage.log.parent)
    assert verified.returncode == 0, verified.stdout
    assert json.loads(verified.stdout)["logs"][0]["first_seq"] == 0
    assert _numbers(stage) == set(range(len(made)))


def _numbers(stage: Stage) -> set[int]:
    """Return the numbers of all calls whose intent is in any segment."""
    command = ["inspect", "--format", "jsonl", "--type", "tool_invocation", str(stage.log.parent)]
    lines = stage.audit(*command).stdout.splitlines()
    events = [json.loads(line)["event"] for line in lines]
    return {event["arguments"]["number"] for event in events if event["phase"] == "intent"}
