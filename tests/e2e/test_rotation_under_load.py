"""The real logrotate, every second, under four gateways that call as fast as they can, and under kills.

What was answered is in the log, once; all segments together are one log, and each is one on its own. AEGIS_ROTATIONS
says how many rotations there are, a second apart: 4 by default, 60 for a minute.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.gateway import Stage
from support.host import RawHost
from support.processes import wait_until
from support.remote import staged
from support.tools import program

pytestmark = [pytest.mark.logrotate, pytest.mark.timeout(600)]

ROTATIONS = int(os.environ.get("AEGIS_ROTATIONS", "4"))
GATEWAYS = 4
STANZA = """
{log} {{
    rotate 1000
    {how}
    compress
    dateext
    dateformat -%s
    missingok
    notifempty
    nomail
}}
"""


@dataclass
class Caller:
    """One host after the other, each with a gateway of its own; `answered` are the numbers of calls that came back."""

    start: Callable[[], RawHost]
    name: int
    is_over: threading.Event
    answered: list[int] = field(default_factory=list[int])
    host: RawHost | None = None
    number: int = 0

    def run(self) -> None:
        while not self.is_over.is_set():
            self.host = self.start()
            with contextlib.suppress(AssertionError, OSError, queue.Empty):
                self.host.initialize()
                while not self.is_over.is_set():
                    self.number += 1
                    self.host.call("echo", {"caller": self.name, "number": self.number})
                    self.answered.append(self.number)
            self.host.close()


def _rotate(stage: Stage, config: Path) -> None:
    command = [program("logrotate") or "", "--force", "--state", str(stage.directory / "state"), str(config)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    second = int(time.time())  # two rotations of one second would have one name
    wait_until(lambda: time.time() > second + 1.1)


def _load(
    stage: Stage,
    how: str,
    start: Callable[[], RawHost],
    kills: random.Random | None = None,
    rotations: int = ROTATIONS,
) -> dict[int, list[int]]:
    """Rotate while all call; return the numbers of the calls that each got an answer to."""
    config = stage.directory / "logrotate.conf"
    config.write_text(STANZA.format(log=stage.log, how=how), encoding="utf-8")
    config.chmod(0o600)
    is_over = threading.Event()
    callers = [Caller(start, name, is_over) for name in range(GATEWAYS)]
    threads = [threading.Thread(target=caller.run) for caller in callers]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: all(caller.answered for caller in callers))
        for _ in range(rotations):
            if kills and (host := kills.choice(callers).host):
                host.process.kill()
            _rotate(stage, config)
    finally:
        is_over.set()
        for thread in threads:
            thread.join(60)
    return {caller.name: caller.answered for caller in callers}


def _intents(stage: Stage) -> Counter[tuple[int, int]]:
    """Return how often the intent of each call is in the log, equal entries in two segments counted once."""
    command = ["inspect", "--format", "jsonl", "--type", "tool_invocation", str(stage.log.parent)]
    entries = {entry["seq"]: entry["event"] for entry in map(json.loads, stage.audit(*command).stdout.splitlines())}
    intents = [event["arguments"] for event in entries.values() if event["phase"] == "intent"]
    return Counter((intent["caller"], intent["number"]) for intent in intents)


@pytest.mark.parametrize("how", ["create 0600", "copytruncate"])
def test_every_call_is_there_once_and_every_segment_is_whole(tmp_path: Path, how: str) -> None:
    stage = Stage(tmp_path)
    answered = _load(stage, how, stage.wrap)
    _check(stage, answered, ROTATIONS)


def test_every_call_of_a_remote_server_is_there_once_and_every_segment_is_whole(tmp_path: Path) -> None:
    with staged("url", tmp_path) as (stage, start):
        answered = _load(stage, "create 0600", start, rotations=2)
    _check(stage, answered, 2)


def _check(stage: Stage, answered: dict[int, list[int]], rotations: int) -> None:
    """See that all is whole: the log, each of its segments, and the calls in it."""
    segments = [path for path in stage.log.parent.iterdir() if path.is_file()]
    assert len(segments) > rotations // 2
    verified = stage.verify(stage.log.parent)
    assert verified.returncode == 0, verified.stdout
    alone = {path.name: stage.verify(path) for path in segments if path.stat().st_size}
    assert {name: one.stdout for name, one in alone.items() if one.returncode and not _is_cut_short(one.stdout)} == {}
    intents = _intents(stage)
    assert intents == Counter((name, number) for name, numbers in answered.items() for number in numbers)


def _is_cut_short(verified: str) -> bool:
    """Tell whether all that is wrong with a segment alone is that it was copied up to the middle of a write."""
    report = json.loads(verified)
    wrong = [one["id"] for one in report["findings"] if one["verdict"] != "note"]
    return (report["exit_code"], wrong) == (4, ["AEG202"])


@pytest.mark.parametrize("how", ["create 0600", "copytruncate"])
def test_kills_meanwhile_lose_no_call_that_was_answered_and_are_never_called_tampering(
    tmp_path: Path, how: str
) -> None:
    stage = Stage(tmp_path)
    answered = _load(stage, how, stage.wrap, random.Random(20261126))
    verified = stage.verify(stage.log.parent)
    assert verified.returncode in {0, 4}, verified.stdout
    intents = _intents(stage)
    missing = [(name, number) for name, numbers in answered.items() for number in numbers if not intents[name, number]]
    assert missing == []
    assert set(intents.values()) == {1}
