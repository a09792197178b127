"""A log that is held, full, removed or replaced under a running gateway, in every mode of `on_failure`.

Whatever happens: every call is answered, nothing is forwarded without an entry but what the mode lets through, and the
gateway goes on when it can.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from support.gateway import READS, Stage
from support.host import RawHost
from support.processes import is_alive, wait_until

MODES: Final = ("deny", "deny_writes", "allow")
IN_FLIGHT: Final = 40
BULK: Final = "x" * 20_000

LIMIT_SECONDS: Final = 4.0
"""Two seconds are promised for the end; a machine under load gets as many again."""

# Takes the lock of a log as a gateway does, says so, and is stopped with it.
HOLDER: Final = """
import fcntl, os, signal, sys
lock = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def _stage(directory: Path, mode: str, **where: Path) -> Stage:
    audit = f"audit: {{on_failure: {mode}, deadline: 0.5}}\n"
    return Stage(directory, policy=READS + "defaults: {write: allow}\n" + audit, log_directory=where.get("log"))


def _call(host: RawHost, tool: str, number: int) -> str | None:
    """Make a call; return the text of the refusal, None if it was answered."""
    result = host.call(tool, {"n": number})["result"]
    return result["content"][0]["text"] if result.get("isError") else None


def _send_many(host: RawHost, first: int) -> dict[int, bool]:
    """Send reads and writes in turns, all at once; return which were answered and not refused."""
    numbers = range(first, first + IN_FLIGHT)
    for number in numbers:
        params = {"name": "write" if number % 2 else "echo", "arguments": {"n": number, "bulk": BULK}}
        host.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
    answers = {(message := host.receive_message())["id"]: message["result"] for _ in numbers}
    assert sorted(answers) == list(numbers)
    return {number: not answers[number].get("isError") for number in numbers}


def _forwarded(stage: Stage) -> set[int]:
    calls = [frame["params"] for frame in stage.frames_received() if frame["method"] == "tools/call"]
    return {call["arguments"]["n"] for call in calls}


def _intents(stage: Stage) -> set[int]:
    """Return the calls of which the log has an intent, in all its segments."""
    entries: list[dict[str, Any]] = []
    for segment in stage.log.parent.glob("audit*.log*"):
        entries += [json.loads(line) for line in segment.read_bytes().splitlines() if line.endswith(b',"v":1}')]
    events = [entry["event"] for entry in entries]
    return {event["arguments"]["n"] for event in events if event.get("phase") == "intent"}


def _lost(stage: Stage) -> int:
    events = [entry["event"] for entry in stage.entries()]
    return sum(event.get("count", 0) for event in events if event.get("kind") == "entries_lost")


def _may_pass(mode: str, number: int) -> bool:
    """Tell whether a call may go on though the log does not have it."""
    return mode == "allow" or (mode == "deny_writes" and number % 2 == 0)


@contextmanager
def _held(stage: Stage) -> Generator[None]:
    """Have the lock of the log held by a process that is stopped."""
    lock = stage.log.with_name("audit.tlog") / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE)
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("mode", MODES)
def test_a_log_whose_lock_is_held_by_a_stopped_process_refuses_within_the_deadline(tmp_path: Path, mode: str) -> None:
    stage = _stage(tmp_path, mode)
    with stage.wrap() as host:
        host.initialize()
        assert _call(host, "write", 1) is None
        with _held(stage):
            answered = _send_many(host, 100)
            again = _send_many(host, 200)
        assert _call(host, "write", 3) is None
        assert _call(host, "echo", 4) is None
    during = answered | again
    assert during == {number: _may_pass(mode, number) for number in during}
    passed = {number for number in during if _may_pass(mode, number)}
    assert _forwarded(stage) == {1, 3, 4} | passed
    assert _intents(stage) == {1, 3, 4}
    assert _lost(stage) == 2 * len(passed)
    assert stage.verify().returncode == (4 if passed else 0)


@pytest.mark.mount
@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("mode", MODES)
def test_a_disk_that_fills_up_under_calls_in_flight_loses_none_without_saying_so(
    tmp_path: Path, small_disk: Path, mode: str
) -> None:
    ballast = small_disk / "ballast"
    stage = _stage(tmp_path, mode, log=small_disk / "logs")
    with stage.wrap() as host:
        host.initialize()
        assert _call(host, "write", 1) is None
        ballast.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - 256 * 1024))
        during = {number: passed for first in (100, 200, 300) for number, passed in _send_many(host, first).items()}
        ballast.unlink()
        assert _call(host, "write", 3) is None
    forwarded, intents = _forwarded(stage), _intents(stage)
    assert forwarded == {1, 3} | {number for number, passed in during.items() if passed}
    assert all(_may_pass(mode, number) for number in forwarded - intents)
    assert not all(during.values()) or mode == "allow"
    assert forwarded - intents or mode == "deny"
    assert _lost(stage) >= len(forwarded - intents)
    assert stage.verify().returncode in {0, 4}


def _remove_directory(stage: Stage) -> None:
    shutil.rmtree(stage.log.parent)


def _remove_log(stage: Stage) -> None:
    stage.log.unlink()


def _empty(stage: Stage) -> None:
    os.truncate(stage.log, 0)


def _replace(stage: Stage) -> None:
    other = stage.log.with_name("other")
    other.write_bytes(b"not a log\n")
    other.replace(stage.log)


def _cut(stage: Stage) -> None:
    os.truncate(stage.log, stage.log.stat().st_size // 2)


HARMS: Final = (_remove_directory, _remove_log, _empty, _replace, _cut)


# A remote upstream takes longer to start than a harm takes to be done: there one gateway sees them all.
@pytest.mark.parametrize(
    ("kind", "harms", "mode"),
    [*product(["command"], [(harm,) for harm in HARMS], MODES), *product(["url"], [HARMS], MODES)],
)
def test_what_is_forwarded_after_the_log_was_harmed_is_in_the_log(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, harms: Sequence[Callable[[Stage], None]], mode: str
) -> None:
    if kind == "url":
        request.getfixturevalue("over_http")
    stage = _stage(tmp_path, mode)
    calls = {1}
    with stage.wrap() as host:
        host.initialize()
        assert _call(host, "write", 1) is None
        for number, harm in enumerate(harms, 1):
            harm(stage)
            later = {1000 * number, *range(1000 * number + 100, 1000 * number + 100 + IN_FLIGHT)}
            assert _call(host, "write", min(later)) is None
            assert all(_send_many(host, 1000 * number + 100).values())
            assert later <= _intents(stage)
            assert stage.entries()[-1]["seq"] > len(later)
            calls |= later
    assert _forwarded(stage) == calls


@pytest.mark.parametrize("number", [None, signal.SIGTERM])
@pytest.mark.parametrize("is_at_once", [True, False], ids=["at once", "later"])
def test_a_log_that_is_held_does_not_hold_up_the_end(
    tmp_path: Path, number: signal.Signals | None, *, is_at_once: bool
) -> None:
    stage, pid = Stage(tmp_path, policy=READS), tmp_path / "pid"
    with stage.wrap() as host:
        host.initialize()
    with _held(stage):
        server = " ".join(map(shlex.quote, stage.recording()))
        host = stage.wrap("sh", "-c", f"echo $$ > {pid}; exec {server}")
        wait_until(lambda: pid.exists() and pid.read_text() != "")
        if not is_at_once:
            host.initialize()
        assert host.end(number) < LIMIT_SECONDS
    assert not is_alive(int(pid.read_text()))
    assert b"gateway_stopped is not recorded" in host.stderr
    assert stage.verify().returncode == 0
