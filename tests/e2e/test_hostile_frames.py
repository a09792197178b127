"""Hostile frames through the real command: none reaches the other side, and the gateway lives on."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from support.frames import INVALID, PASSED, UNREADABLE, broken_answers
from support.gateway import Stage
from support.processes import peak_memory, wait_until

MIB: Final = 1024 * 1024
LINES: Final = (*UNREADABLE.values(), *INVALID.values())
# What the corpus costs at the most: a few copies of one frame of 16 MiB while it is judged, redacted and passed on.
MOST_MEMORY: Final = 192 * MIB
FLOOD: Final = 100_000

Run = tuple[Stage, list[bytes], int]
"""A directory, the lines that the host got, and the bytes of memory that the gateway took at the most."""

# It sends whatever is in a file once it has got a line, and then keeps what it gets.
SENDING: Final = """
import shutil, sys
first = sys.stdin.buffer.readline()
shutil.copyfileobj(open({path!r}, "rb"), sys.stdout.buffer)
sys.stdout.buffer.flush()
with open({received!r}, "ab", buffering=0) as received:
    received.write(first)
    for line in sys.stdin.buffer:
        received.write(line)
"""

# It answers every line that it gets with the next one of a file.
ANSWERING: Final = """
import sys
with open({path!r}, "rb") as answers:
    for _ in sys.stdin.buffer:
        sys.stdout.buffer.write(answers.readline())
        sys.stdout.buffer.flush()
"""


def _sending(stage: Stage, lines: Sequence[bytes]) -> tuple[str, ...]:
    """Return the command of an upstream that sends these lines, each ended by LF."""
    path = stage.directory / "sent"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return (sys.executable, "-c", SENDING.format(path=str(path), received=str(stage.received)))


def _answered(lines: Sequence[bytes]) -> list[tuple[Any, int]]:
    """Return the id and the code of every error among these lines, in order."""
    messages = (json.loads(line) for line in lines)
    return [(message["id"], message["error"]["code"]) for message in messages if "error" in message]


def _violations(stage: Stage) -> list[dict[str, Any]]:
    return [entry["event"] for entry in stage.entries() if entry["event"].get("kind") == "protocol_violation"]


def _counted(stage: Stage) -> int:
    """Return how many violations the log tells of, recorded or not."""
    events = [entry["event"] for entry in stage.entries()]
    (stopped,) = [event for event in events if event.get("kind") == "gateway_stopped"]
    held_back = sum(event.get("unrecorded_before", 0) for event in events) + stopped.get("unrecorded_violations", 0)
    return len(_violations(stage)) + held_back


@pytest.fixture(scope="module")
def from_host(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Send the whole corpus as a host, and then a call that is allowed."""
    stage = Stage(tmp_path_factory.mktemp("host"))
    with stage.wrap() as host:
        host.initialize()
        for line in LINES:
            host.send(line)
            host.send(b" \t\r")
        assert host.call("echo", {"still": "alive"})["result"]["isError"] is False
        memory = peak_memory(host.process.pid)
    return stage, host.lines, memory


@pytest.fixture(scope="module")
def from_upstream(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Send the whole corpus as an upstream, after it junk, blank lines and one good answer, twice."""
    stage = Stage(tmp_path_factory.mktemp("upstream"))
    good = b'{"jsonrpc":"2.0","id":"host-1","result":{"fine":true}}'
    junk = (b"", b"\r", b" \t", b"npm warn deprecated something", b"\x1b[31mred\x1b[0m")
    with stage.wrap(*_sending(stage, [*LINES, *junk, good, good])) as host:
        assert host.request("ping")["result"] == {"fine": True}
        memory = peak_memory(host.process.pid)
    return stage, host.lines, memory


def test_the_corpus_has_at_least_sixty_lines() -> None:
    assert len({*LINES}) == len(UNREADABLE) + len(INVALID) >= 60


def test_no_line_of_the_corpus_reaches_the_upstream(from_host: Run) -> None:
    stage, _, _ = from_host
    methods = [frame["method"] for frame in stage.frames_received()]
    assert methods == ["initialize", "notifications/initialized", "tools/call"]


def test_each_line_is_answered_once_in_order_under_its_id_where_that_is_certain(
    from_host: Run,
) -> None:
    _, lines, _ = from_host
    assert _answered(lines) == [(None, -32700)] * len(UNREADABLE) + [(1, -32600)] * len(INVALID)


def test_violations_are_recorded_at_a_bounded_rate_and_the_rest_is_counted(
    from_host: Run,
) -> None:
    stage, _, _ = from_host
    events = _violations(stage)
    assert 20 <= len(events) < len(LINES)
    assert {event["from"] for event in events} == {"host"}
    assert all(event["forwarded"] is False for event in events)
    assert _counted(stage) == len(LINES)
    assert stage.verify().returncode == 0


def test_no_line_of_the_corpus_reaches_the_host_from_an_upstream(from_upstream: Run) -> None:
    stage, lines, _ = from_upstream
    assert lines == [b'{"jsonrpc":"2.0","id":"host-1","result":{"fine":true}}']
    assert {event["from"] for event in _violations(stage)} == {"upstream"}
    assert stage.verify().returncode == 0


def test_an_upstream_is_answered_where_it_certainly_asks_and_else_left_alone(
    from_upstream: Run,
) -> None:
    stage, _, _ = from_upstream
    asked, *answers = stage.received.read_bytes().splitlines()
    assert json.loads(asked)["method"] == "ping"
    assert _answered(answers) == [(1, -32600)] * len(INVALID)


@pytest.mark.parametrize("sender", ["from_host", "from_upstream"])
def test_the_corpus_takes_a_bounded_amount_of_memory(sender: str, request: pytest.FixtureRequest) -> None:
    _, _, memory = request.getfixturevalue(sender)
    assert memory < MOST_MEMORY


def test_lines_that_are_one_message_arrive_byte_for_byte_and_are_answered(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        for line in PASSED.values():
            host.send(line)
            assert host.answer_to(1)["result"]["isError"] is False, line[:200]
    assert stage.received.read_bytes().splitlines() == [*PASSED.values()]
    assert [entry["event"]["phase"] for entry in stage.requests()] == ["intent", "outcome"] * len(PASSED)


def test_a_broken_answer_is_not_passed_on_and_whoever_waits_for_it_is_told_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    lines = broken_answers("host")
    (tmp_path / "answers").write_bytes(b"\n".join([*lines, b""]))
    with stage.wrap(sys.executable, "-c", ANSWERING.format(path=str(tmp_path / "answers"))) as host:
        answers = [host.call("echo", {})["result"] for _ in lines]
    assert all(answer["isError"] is True for answer in answers)
    assert all("No answer that could be passed on: " in answer["content"][0]["text"] for answer in answers)
    statuses = [entry["event"].get("status") for entry in stage.requests()]
    assert statuses == [None, "refused"] * len(lines)
    assert len(_violations(stage)) == len(lines)
    assert stage.verify().returncode == 0


def test_a_flood_from_the_host_is_answered_and_fills_neither_disk_nor_memory(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
        before = peak_memory(host.process.pid)
        for _ in range(FLOOD // 1000):
            host.send(b"\n".join([LINES[0]] * 1000))
        assert host.call("echo", {})["result"]["isError"] is False
        grown = peak_memory(host.process.pid) - before
    assert len(_answered(host.lines)) == FLOOD
    assert stage.log.stat().st_size < MIB
    assert grown < 64 * MIB
    assert len(stage.frames_received()) == 3
    assert _counted(stage) == FLOOD


def test_a_flood_from_an_upstream_is_dropped_and_fills_neither_disk_nor_memory(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    good = b'{"jsonrpc":"2.0","id":"host-1","result":{}}'
    with stage.wrap(*_sending(stage, [*[LINES[0]] * FLOOD, good])) as host:
        wait_until(stage.log.exists)
        before = peak_memory(host.process.pid)
        assert host.request("ping")["result"] == {}
        grown = peak_memory(host.process.pid) - before
    assert host.lines == [good]
    assert stage.log.stat().st_size < MIB
    assert grown < 64 * MIB
