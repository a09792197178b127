"""Hostile frames through the real command: none reaches the other side, and the gateway lives on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from support.frames import REFUSED
from support.gateway import Stage

# A line end inside of a frame makes two lines of it, each judged by itself.
LINES = [line for line in REFUSED.values() if line.strip()]
UPSTREAM = """
import sys
sys.stdin.readline()
sys.stdout.buffer.write(open({path!r}, "rb").read())
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, list[bytes]]:
    """Send the whole corpus, and then a call that is allowed."""
    stage = Stage(tmp_path_factory.mktemp("hostile"))
    with stage.wrap() as host:
        host.initialize()
        for line in LINES:
            host.send(line)
        assert host.call("echo", {"still": "alive"})["result"]["isError"] is False
        lines = host.lines
    return stage, lines


def test_no_line_of_the_corpus_reaches_the_upstream(answered: tuple[Stage, list[bytes]]) -> None:
    stage, _ = answered
    methods = [frame["method"] for frame in stage.frames_received()]
    assert methods == ["initialize", "notifications/initialized", "tools/call"]


def test_each_line_is_answered_under_the_id_of_its_request_where_that_is_legible(
    answered: tuple[Stage, list[bytes]],
) -> None:
    _, lines = answered
    errors = [message for line in lines if "error" in (message := json.loads(line))]
    assert len(errors) == len(LINES)
    assert {(error["id"], error["error"]["code"]) for error in errors} == {(None, -32700), (1, -32600)}


def test_violations_are_recorded_at_a_bounded_rate_and_the_rest_is_counted(answered: tuple[Stage, list[bytes]]) -> None:
    stage, _ = answered
    events = [entry["event"] for entry in stage.entries() if entry["event"].get("kind") == "protocol_violation"]
    assert 20 <= len(events) <= len(LINES)
    assert {event["from"] for event in events} == {"host"}
    assert all(event["forwarded"] is False for event in events)
    assert stage.verify().returncode == 0


def test_no_line_of_the_corpus_reaches_the_host_from_an_upstream(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    good = b'{"jsonrpc":"2.0","id":"host-1","result":{"fine":true}}'
    junk.write_bytes(b"\n".join([*LINES, b"", b"npm warn something", good, good, b""]))
    stage = Stage(tmp_path)
    with stage.wrap(sys.executable, "-c", UPSTREAM.format(path=str(junk))) as host:
        assert host.request("ping")["result"] == {"fine": True}
    assert host.lines == [good]
    assert stage.verify().returncode == 0
