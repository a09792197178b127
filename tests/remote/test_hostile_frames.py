"""Hostile frames from and to a remote server: none reaches the other side, and the gateway lives on."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from aegis_mcp.frame import MAX_FRAME
from support.frames import INVALID, UNREADABLE
from support.gateway import Stage
from support.processes import peak_memory
from support.remote import host_of, policy_for, remote_server, requests_received, text_of

LINES: Final = (*UNREADABLE.values(), *INVALID.values())
BODIES: Final = [line for line in LINES if b"\r" not in line]
"""Those that mean the same over HTTP, where an end of line is white space, or ends an event."""
FLOOD: Final = 20_000
MOST_MEMORY: Final = 256 * 1024 * 1024
"""What the corpus costs at the most: a few copies of one frame of 16 MiB, and HTTP."""


@pytest.fixture(name="remote", scope="module")
def _remote(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with remote_server(tmp_path_factory.mktemp("remote")) as url:
        yield url


def _corpus(directory: Path, *lines: bytes) -> str:
    (directory / "lines").write_bytes(b"\n".join(lines))
    return str(directory / "lines")


def test_no_line_of_the_corpus_reaches_a_remote_server(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            for line in LINES:
                host.send(line)
            assert text_of(host.call("echo", {"still": "alive"})) == '{"still": "alive"}'
            assert peak_memory(host.process.pid) < MOST_MEMORY
        sent = [json.loads(request["body"])["method"] for request in requests_received(stage) if request["body"]]
    assert sent == ["initialize", "notifications/initialized", "tools/call"]
    answered = [json.loads(line)["error"]["code"] for line in host.lines if b'"error"' in line]
    assert answered == [-32700] * len(UNREADABLE) + [-32600] * len(INVALID)
    assert stage.verify().returncode == 0


def test_no_line_of_the_corpus_is_an_answer_to_the_host(tmp_path: Path, remote: str) -> None:
    stage = Stage(tmp_path, policy_for(remote))
    file = _corpus(tmp_path, *BODIES)
    with host_of(stage) as host:
        host.initialize()
        answers = [host.call("line", {"file": file, "number": number}) for number in range(len(BODIES))]
        assert text_of(host.call("echo", {})) == "{}"
        assert peak_memory(host.process.pid) < MOST_MEMORY
    assert all(answer["result"]["isError"] is True for answer in answers)
    assert len(host.lines) == 1 + len(BODIES) + 1
    assert {entry["event"]["status"] for entry in stage.requests()[1:-2:2]} <= {"refused", "upstream_lost"}
    assert stage.verify().returncode == 0


def test_no_event_of_the_corpus_reaches_the_host_and_the_answer_after_it_does(tmp_path: Path, remote: str) -> None:
    stage = Stage(tmp_path, policy_for(remote))
    file = _corpus(tmp_path, *(line for line in BODIES if len(line) <= MAX_FRAME))
    with host_of(stage) as host:
        host.initialize()
        assert text_of(host.call("lines", {"file": file})) == "done"
        assert peak_memory(host.process.pid) < MOST_MEMORY
    assert len(host.lines) == 2
    assert "protocol_violation" in {entry["event"].get("kind") for entry in stage.entries()}
    assert stage.verify().returncode == 0


def test_a_flood_from_a_remote_server_is_dropped_and_counted_and_fills_no_disk(tmp_path: Path, remote: str) -> None:
    stage = Stage(tmp_path, policy_for(remote))
    file = _corpus(tmp_path, *[BODIES[0]] * FLOOD)
    with host_of(stage) as host:
        host.initialize()
        before = peak_memory(host.process.pid)
        assert text_of(host.call("lines", {"file": file})) == "done"
        grown = peak_memory(host.process.pid) - before
    assert len(host.lines) == 2
    events = [entry["event"] for entry in stage.entries() if "kind" in entry["event"]]
    recorded = [event for event in events if event["kind"] == "protocol_violation"]
    held_back = sum(event.get("unrecorded_before", 0) for event in recorded) + events[-1]["unrecorded_violations"]
    assert len(recorded) + held_back == FLOOD
    assert stage.log.stat().st_size < 1024 * 1024
    assert grown < 64 * 1024 * 1024
    assert stage.verify().returncode == 0
