"""What comes from both sides in the same moment: the log has it in an order that can have been, and each thing once."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from support.gateway import Stage
from support.host import RawHost
from support.processes import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops a process")

# Answers each request; after the one with the id "last", once `go` is written to, also one that it has not got yet.
UPSTREAM = """
import json, os, sys
unasked, go, done = sys.argv[1:]
for line in sys.stdin:
    message = json.loads(line)
    if message.get("id") not in {None, unasked}:
        os.write(1, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}).encode() + b"\\n")
    if message.get("id") == "last":
        open(go).read()
        os.write(1, json.dumps({"jsonrpc": "2.0", "id": unasked, "result": {"content": []}}).encode() + b"\\n")
        open(done, "w").close()
"""

WRITES = """\
version: 1
defaults: {write: allow}
audit: {on_failure: allow, durability: sync}
"""


def _serve(stage: Stage, unasked: str) -> RawHost:
    os.mkfifo(stage.directory / "go")
    paths = (str(stage.directory / name) for name in ("go", "done"))
    return stage.wrap(sys.executable, "-c", UPSTREAM, unasked, *paths)


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def _stop(host: RawHost) -> None:
    """Stop the gateway while it waits: before that it would look first at the side that it has looked at last."""
    wait_until(lambda: _state_of(host.process.pid) == "S")
    host.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: _state_of(host.process.pid) == "T")


def _go_on_with_both(stage: Stage, host: RawHost, request_id: str) -> None:
    """Let the gateway, which is stopped, go on with a call of the host and what the upstream has said unasked."""
    host.send_call(request_id, "write")
    (stage.directory / "go").write_text("go", encoding="ascii")
    wait_until((stage.directory / "done").exists)
    host.process.send_signal(signal.SIGCONT)


def _told(stage: Stage) -> list[tuple[Any, Any]]:
    events = [entry["event"] for entry in stage.entries()]
    told = [(event.get("phase") or event.get("kind"), event.get("count")) for event in events]
    return [one for one in told if one[0] in {"intent", "outcome", "entries_lost", "protocol_violation"}]


def test_an_answer_that_comes_with_its_call_is_recorded_after_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy="version: 1\ndefaults: {write: allow}\n")
    with _serve(stage, "guessed") as host:
        host.send_call("last", "write")
        host.answer_to("last")
        _stop(host)
        _go_on_with_both(stage, host, "guessed")
        host.answer_to("guessed")
    assert _told(stage) == [("intent", None), ("outcome", None)] * 2
    assert stage.verify().returncode == 0


def test_entries_that_were_lost_are_told_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=WRITES)
    stage.log.parent.mkdir(mode=0o700)
    stage.log.mkdir()
    with _serve(stage, "of nobody") as host:
        host.send_call("last", "write")
        host.answer_to("last")
        _stop(host)
        stage.log.rmdir()
        _go_on_with_both(stage, host, "again")
        host.answer_to("again")
    told = [("entries_lost", 2), ("intent", None), ("protocol_violation", None), ("outcome", None)]
    assert _told(stage) == told
