"""Mutated frames through the real command: nothing that policy denies passes, to whichever parser reads it there."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Generator
from typing import Any, Final, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.frames import INVALID, PASSED, UNREADABLE
from support.gateway import Stage
from support.host import RawHost
from support.processes import wait_until
from support.readings import readings
from support.remote import host_of, policy_for, remote_server, requests_received, text_of

EXAMPLES: Final = 800
REMOTE_EXAMPLES: Final = 150
POLICY: Final = """\
version: 1
upstreams: {recording: {access: {read: [echo], write: ["*"]}}}
audit: {durability: flush}
"""
# What the shipped stance lets pass besides the calls of tools that read.
PASSES: Final = {"initialize", "ping", "tools/list", "resources/read", "prompts/get", "resources/subscribe"}
RECORDED: Final = {"tools/call", "resources/read", "prompts/get"}

# It sends what is written into a pipe, and keeps nothing.
PUPPET: Final = """
import shutil, sys, threading
def send():
    with open({pipe!r}, "rb", buffering=0) as pipe:
        while data := pipe.read(65536):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
threading.Thread(target=send, daemon=True).start()
sys.stdin.buffer.read()
"""

VALID: Final = [
    b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,{"b":null}]}}}',
    b'{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{"name":"write","arguments":{"path":"x"}}}',
    b'{"jsonrpc":"2.0","id":8,"method":"resources/read","params":{"uri":"file:///x"}}',
    b'{"jsonrpc":"2.0","id":9,"method":"prompts/get","params":{"name":"p","arguments":{}}}',
    b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}',
    b'{"jsonrpc":"2.0","id":3,"result":{"content":[]}}',
    b'{"jsonrpc":"2.0","id":4,"error":{"code":-1,"message":"x"}}',
    b'{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}',
]
CORPUS: Final = [line for line in (*UNREADABLE.values(), *INVALID.values(), *PASSED.values()) if len(line) < 1000]
SEEDS: Final = st.sampled_from(VALID) | st.sampled_from(CORPUS)
TOKENS: Final = [
    *(b'"method":"tools/call",', b'"method":"ping",', b'"Method":"tools/call",', b'"\\u006dethod":"tools/call",'),
    *(b'"params":{"name":"write"},', b'"name":"write",', b'"Name":"write",', b'"id":null,', b'"id":1,', b'"ID":2,'),
    *(
        b'"result":{},',
        b'"error":{},',
        b'"jsonrpc":"2.0",',
        b"NaN",
        b"1e999",
        b"-0",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b'"',
    ),
    *(b"\r", b"\0", b"\t", b"\x0b", b"\x1c", b"\\n", b"\\", b"\xff", b"\xc0\xaf", b"\xe2\x80\xa8", b"\xef\xbb\xbf"),
    *(b"\\ud800", b"\\u0000", b"/*", b"//", b"9" * 30, b"\xc5\xbf", b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}'),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a frame with some of its bytes exchanged, removed, repeated, or others put in between."""
    line = draw(SEEDS)
    for _ in range(draw(st.integers(0, 4))):
        # Where a member can begin is where a change is most likely to leave a frame that somebody still reads.
        places = [at + 1 for at, byte in enumerate(line) if byte in b"{,:["] or [0]
        start = draw(st.sampled_from(places) | st.integers(0, len(line)))
        end = min(len(line), start + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from([b"", line[start:end] * 2, line[start:end].swapcase(), *TOKENS]))
        line = line[:start] + piece + line[draw(st.sampled_from([start, end])) :]
    return line.replace(b"\n", b" ")


LINES: Final = st.lists(mutated(), min_size=1, max_size=8)


class Stand(NamedTuple):
    """A gateway that runs, its directory, and for an upstream that is a puppet the pipe that moves it."""

    host: RawHost
    stage: Stage
    pipe: int = -1

    def bodies(self) -> list[bytes]:
        """Return what has reached a remote upstream."""
        return [request["body"] for request in requests_received(self.stage) if request["body"]]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stand]:
    """Run the gateway in front of an upstream that keeps every byte it gets."""
    stage = Stage(tmp_path_factory.mktemp("recording"), policy=POLICY)
    with stage.wrap() as host:
        host.initialize()
        host.request("ping")  # then nothing is under way
        yield Stand(host, stage)
    assert stage.verify().returncode == 0


@pytest.fixture(scope="module")
def puppet(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stand]:
    """Run the gateway in front of an upstream that sends whatever it is told to."""
    stage = Stage(tmp_path_factory.mktemp("puppet"), policy=POLICY)
    path = stage.directory / "pipe"
    os.mkfifo(path)
    with stage.wrap(sys.executable, "-c", PUPPET.format(pipe=str(path))) as host:
        pipe = os.open(path, os.O_WRONLY)
        yield Stand(host, stage, pipe)
        os.close(pipe)
    assert stage.verify().returncode == 0


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stand]:
    """Run the gateway in front of a remote server that keeps every request, and sends the lines of a file if asked."""
    directory = tmp_path_factory.mktemp("remote")
    with remote_server(directory) as url:
        stage = Stage(
            directory, policy=policy_for(url).replace("'*'", "[echo, lines]") + "audit: {durability: flush}\n"
        )
        with host_of(stage) as host:
            host.initialize()
            host.request("ping")
            yield Stand(host, stage)
    assert stage.verify().returncode == 0


def _is_allowed(message: dict[str, Any]) -> bool:
    """Tell whether policy allows what a host asks or says."""
    method = message.get("method")
    if method == "tools/call":
        params = message.get("params")
        return isinstance(params, dict) and cast("dict[str, Any]", params).get("name") == "echo" and "id" in message
    return method in PASSES or str(method).startswith("notifications/")


def _asks(line: bytes) -> bool:
    """Tell whether a line must be answered: it is not blank, and nobody can take it for a notification or an answer."""
    return bool(line.strip()) and not any(
        str(message.get("method")).startswith("notifications/")
        or ("method" not in message and not {"result", "error"}.isdisjoint(message))
        for message in readings(line)
    )


def _is_harmless(message: dict[str, Any]) -> bool:
    """Tell whether policy lets an upstream say it: it may ask nothing but whether the host is there."""
    method = str(message.get("method"))
    return method == "ping" if "id" in message else method.startswith("notifications/")


@settings(max_examples=EXAMPLES, deadline=None)
@given(lines=LINES)
def test_what_a_host_sends_reaches_an_upstream_only_as_it_was_sent_and_as_policy_allows(
    recording: Stand, lines: list[bytes]
) -> None:
    before, heard = recording.stage.received.stat().st_size, len(recording.host.lines)
    for line in lines:
        recording.host.send(line)
    recording.host.request("ping")
    asked = sum(map(_asks, lines)) + 1  # the upstream does not answer in order
    wait_until(lambda: len(recording.host.lines) - heard >= asked)
    arrived = recording.stage.received.read_bytes()[before:].splitlines()[:-1]
    sent = iter(lines)
    # In the order in which they were sent; the CR of a line that ends with CR LF is part of its end.
    assert all(any(line == one.removesuffix(b"\r") for one in sent) for line in arrived)
    assert [message for line in arrived for message in readings(line) if not _is_allowed(message)] == []


@settings(max_examples=EXAMPLES, deadline=None)
@given(lines=LINES)
def test_what_an_upstream_sends_unasked_reaches_a_host_only_as_it_was_sent_and_as_policy_allows(
    puppet: Stand, lines: list[bytes]
) -> None:
    before = len(puppet.host.lines)
    last = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":%d}}' % before
    os.write(puppet.pipe, b"\n".join([*lines, last, b""]))
    while puppet.host.receive() != last:
        pass
    arrived = puppet.host.lines[before:-1]
    sent = iter(lines)
    assert all(any(line == one.removesuffix(b"\r") for one in sent) for line in arrived)
    messages = [message for line in arrived for message in readings(line)]
    assert [one for one in messages if not _is_harmless(one)] == []


@settings(max_examples=REMOTE_EXAMPLES, deadline=None)
@given(lines=LINES)
def test_what_a_host_sends_reaches_a_remote_upstream_only_as_it_was_sent_and_as_policy_allows(
    remote: Stand, lines: list[bytes]
) -> None:
    before = len(remote.bodies())
    for line in lines:
        remote.host.send(line)
    remote.host.request("ping")
    *arrived, last = remote.bodies()[before:]
    assert json.loads(last)["method"] == "ping"
    assert not Counter(arrived) - Counter(line.removesuffix(b"\r") for line in lines)
    assert [message for line in arrived for message in readings(line) if not _is_allowed(message)] == []


def _data(line: bytes) -> bytes:
    """Return the data of an event that was to carry a line: it ends where the line has a CR, and is text in UTF-8."""
    return line.partition(b"\r")[0].decode("utf-8", "replace").encode().strip()


@settings(max_examples=REMOTE_EXAMPLES, deadline=None)
@given(lines=LINES)
def test_what_a_remote_upstream_sends_reaches_a_host_only_as_it_was_sent_and_as_policy_allows(
    remote: Stand, lines: list[bytes]
) -> None:
    before = len(remote.host.lines)
    file = remote.stage.directory / f"lines-{before}"
    file.write_bytes(b"\n".join(lines))
    assert text_of(remote.host.call("lines", {"file": str(file)})) == "done"
    *arrived, _ = remote.host.lines[before:]
    sent = iter(lines)
    assert all(any(line == _data(one) for one in sent) for line in arrived)
    messages = [message for line in arrived for message in readings(line)]
    assert [one for one in messages if not _is_harmless(one)] == []


def test_every_request_that_was_forwarded_has_its_intent_in_the_log_in_order(recording: Stand) -> None:
    for number in range(30):
        for place, line in enumerate(VALID[:4]):
            recording.host.send(re.sub(rb'"id":[^,]+', b'"id":"own-%d-%d"' % (number, place), line))
    recording.host.request("ping")
    forwarded = [frame for frame in recording.stage.frames_received() if frame.get("method") in RECORDED]
    intents = [entry["event"] for entry in recording.stage.requests() if entry["event"].get("phase") == "intent"]
    assert [intent["method"] for intent in intents] == [frame["method"] for frame in forwarded]
    assert {intent.get("tool") for intent in intents} <= {"echo", None}
    assert len(intents) >= 90
    assert json.loads(recording.stage.log.read_bytes().splitlines()[-1])["seq"] >= len(intents)
