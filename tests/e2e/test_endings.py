"""The end of a gateway: within two seconds, with every outcome written, and with nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from support.gateway import READS, Stage
from support.host import RawHost
from support.processes import is_alive, wait_until

# Ignores the end of its input and every polite signal, as does what it has started.
STUBBORN = "trap '' TERM HUP INT; sleep 600 & echo $$ $! > {pids}; exec 0<&-; wait; wait"

CHUNK = 128 * 1024
"""Bytes of a flood that are sent at once: more than a pipe holds, so that some have been read."""

LIMIT_SECONDS = 4.0
"""Two seconds are promised; a machine under load gets as many again."""


def _start_stubborn(stage: Stage) -> tuple[RawHost, list[int]]:
    pids = stage.directory / "pids"
    host = stage.wrap("sh", "-c", STUBBORN.format(pids=pids))
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    return host, [int(pid) for pid in pids.read_text().split()]


ENDINGS = [None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@pytest.mark.parametrize("number", ENDINGS)
def test_a_stubborn_upstream_and_what_it_started_are_gone_soon(tmp_path: Path, number: signal.Signals | None) -> None:
    stage = Stage(tmp_path)
    host, pids = _start_stubborn(stage)
    assert all(is_alive(pid) for pid in pids)
    assert host.end(number) < LIMIT_SECONDS
    assert not any(is_alive(pid) for pid in pids)
    last = [entry["event"] for entry in stage.entries() if "kind" in entry["event"]][-1]
    assert last["kind"] == "gateway_stopped"
    assert last["reason"] == (number.name if number else "the host closed the input")
    assert stage.verify().returncode == 0


def _flood(host: RawHost, line: bytes, has_begun: Event) -> None:
    assert host.process.stdin
    much = (line + b"\n") * (CHUNK // (len(line) + 1))
    with contextlib.suppress(BrokenPipeError):
        while True:
            os.write(host.process.stdin.fileno(), much)
            has_begun.set()


@pytest.mark.parametrize("line", ["", "x", '{"jsonrpc":"2.0","method":"notifications/x"}'])
def test_a_flood_of_lines_from_both_sides_does_not_hold_up_the_end(tmp_path: Path, line: str) -> None:
    stage, has_begun = Stage(tmp_path), Event()
    with stage.wrap("sh", "-c", f"yes '{line}'") as host:
        flood = Thread(target=_flood, args=(host, line.encode(), has_begun))
        flood.start()
        assert has_begun.wait(20)
        start = time.monotonic()
        host.process.terminate()
        host.process.wait(20)
        assert time.monotonic() - start < LIMIT_SECONDS
        flood.join(20)
    last = [entry["event"] for entry in stage.entries() if "kind" in entry["event"]][-1]
    assert (last["kind"], last["reason"]) == ("gateway_stopped", "SIGTERM")


def test_a_killed_gateway_leaves_neither_the_upstream_nor_what_that_has_started(tmp_path: Path) -> None:
    host, pids = _start_stubborn(Stage(tmp_path))
    host.process.kill()
    host.close()
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


@pytest.mark.parametrize("number", [number for number in ENDINGS if number])
def test_a_signal_that_comes_as_soon_as_the_upstream_runs_ends_both_on_record(
    tmp_path: Path, number: signal.Signals
) -> None:
    stage, pid = Stage(tmp_path), tmp_path / "pid"
    # The gateway is still being loaded.
    host = stage.wrap("sh", "-c", f"echo $$ > {pid}; kill -{number.value} $PPID; exec cat")
    assert host.process.wait(20) == 0
    host.close()
    assert not is_alive(int(pid.read_text()))
    events = [entry["event"] for entry in stage.entries() if "kind" in entry["event"]]
    assert [event["kind"] for event in events if event["kind"] in {"upstream_started", "gateway_stopped"}] == [
        "upstream_started",
        "gateway_stopped",
    ]
    assert events[-1]["reason"] == number.name


def test_it_does_so_too_where_an_earlier_gateway_has_left_a_checkpoint_to_publish(tmp_path: Path) -> None:
    anchor = json.dumps({"command": ["false"]})
    stage, pid = Stage(tmp_path, policy=READS + f"audit: {{anchors: {{places: [{anchor}]}}}}\n"), tmp_path / "pid"
    with stage.wrap() as host:
        host.initialize()
    wait_until(lambda: any(tmp_path.rglob("behind-*")))
    before = len(stage.entries())
    host = stage.wrap("sh", "-c", f"echo $$ > {pid}; kill -TERM $PPID; exec cat")
    assert host.process.wait(20) == 0
    host.close()
    assert not is_alive(int(pid.read_text()))
    kinds = [entry["event"]["kind"] for entry in stage.entries()[before:] if "kind" in entry["event"]]
    assert kinds == ["gateway_started", "policy_loaded", "upstream_started", "gateway_stopped"]


# Interrupts the gateway while it is loaded, where no exception can come out.
INTERRUPTS = """
import os, signal, sys
class Late:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
class Finder:
    def find_spec(self, name, *_):
        if name == "aegis_mcp.cli.serving":
            Late()
sys.meta_path.insert(0, Finder())
"""


def test_ctrl_c_while_the_gateway_is_loaded_ends_it_wherever_it_falls(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS, encoding="utf-8")
    host = Stage(tmp_path, extra_environment={"PYTHONPATH": str(tmp_path)}).wrap()
    assert host.process.wait(20) == -signal.SIGINT
    host.close()
    assert host.stderr == b""


def test_an_upstream_ends_with_a_gateway_that_is_killed_as_soon_as_it_runs(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    host = Stage(tmp_path).wrap("sh", "-c", f"sleep 600 & echo $$ $! > {pids}; kill -KILL $PPID; wait")
    assert host.process.wait(20) == -signal.SIGKILL
    host.close()
    wait_until(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()))


def test_no_upstream_is_started_where_the_gateway_cannot_go_on(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    marker = tmp_path / "was here"
    host = stage.wrap("touch", str(marker))
    wait_until(marker.exists)
    host.close()
    marker.unlink()
    (key,) = tmp_path.rglob("redaction.key")
    key.chmod(0o644)
    host = stage.wrap("touch", str(marker))
    assert host.close() == 2
    assert b"can be read by others" in host.stderr
    assert not marker.exists()


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("number", ENDINGS)
def test_calls_in_flight_at_the_end_have_an_outcome_and_an_answer(
    tmp_path: Path, number: signal.Signals | None
) -> None:
    stage = Stage(tmp_path)
    host = stage.wrap()
    host.initialize()
    for request in range(3):
        params = {"name": "wait", "arguments": {"seconds": 60}}
        host.send({"jsonrpc": "2.0", "id": request, "method": "tools/call", "params": params})
    wait_until(lambda: len(stage.frames_received()) == 5)
    if number is not None:
        host.process.send_signal(number)
        host.process.wait(20)
    assert host.close() == 0
    answers = [json.loads(line) for line in host.lines[1:]]
    assert [answer["id"] for answer in answers] == [0, 1, 2]
    assert {answer["result"]["content"][0]["text"] for answer in answers} == {
        "No answer: the upstream 'recording' was stopped with the gateway"
    }
    assert [entry["event"].get("status") for entry in stage.requests()] == [None] * 3 + ["cancelled"] * 3


@pytest.mark.usefixtures("either_way")
def test_a_cancelled_call_is_recorded_as_such_and_its_late_answer_is_dropped(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
        params = {"name": "wait", "arguments": {"seconds": 0.5}}
        host.send({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
        host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}})
        host.call("wait", {"seconds": 1})
        assert all(b'"id":7' not in line for line in host.lines)
    assert [frame["method"] for frame in stage.frames_received()][2:4] == ["tools/call", "notifications/cancelled"]
    statuses = [entry["event"].get("status") for entry in stage.requests()]
    assert statuses == [None, "cancelled", None, "ok"]


# A defect, as nobody would expect one.
DEFECT = """
import orjson
def loads(data):
    return known(data) if b"surprise" not in data else 1 / 0
known, orjson.loads = orjson.loads, loads
"""


def test_a_defect_ends_the_gateway_which_says_so_here_and_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(DEFECT, encoding="utf-8")
    stage = Stage(tmp_path, extra_environment={"PYTHONPATH": str(tmp_path)})
    host = stage.wrap()
    host.initialize()
    host.send({"jsonrpc": "2.0", "id": 1, "method": "surprise", "params": {}})
    assert host.process.wait(20) == 70
    host.close()
    assert host.stderr == b"aegis-mcp: internal error: ZeroDivisionError; please report it\n"
    last = [entry["event"] for entry in stage.entries() if "kind" in entry["event"]][-1]
    assert (last["kind"], last["reason"]) == ("gateway_stopped", "an internal error")


def test_a_command_that_is_not_there_is_explained(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    host = stage.wrap("no-such-program")
    assert host.close() == 1
    assert b"'no-such-program' is not found" in host.stderr
    kinds = [entry["event"].get("kind") for entry in stage.entries()]
    assert kinds[-3:] == ["upstream_lost", "gateway_stopped", None]  # the last one is the checkpoint
