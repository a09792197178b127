"""A log that cannot be written: nothing is forwarded, the gateway lives, and it goes on when it can."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.gateway import READS, Stage
from support.host import RawHost

BULK = "x" * 20_000


def _forwarded(stage: Stage) -> list[object]:
    return [frame["params"]["arguments"]["n"] for frame in stage.frames_received() if frame["method"] == "tools/call"]


def _call(host: RawHost, number: int) -> str | None:
    """Make a call of some size; return the text of the refusal, None if it was answered."""
    result = host.call("echo", {"n": number, "bulk": BULK})["result"]
    return result["content"][0]["text"] if result.get("isError") else None


def _fill(host: RawHost) -> tuple[int, str]:
    """Call until the first refusal; return how many were answered before, and its text."""
    for number in range(500):
        refusal = _call(host, number)
        if refusal:
            return number, refusal
    raise AssertionError("the disk never was full")


@pytest.mark.mount
def test_a_full_disk_refuses_calls_until_there_is_room_again(tmp_path: Path, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 1024 * 1024)
    stage = Stage(tmp_path, log_directory=small_disk / "logs")
    with stage.wrap() as host:
        host.initialize()
        answered, refusal = _fill(host)
        assert "Not forwarded" in refusal
        assert "space" in refusal
        for number in range(1000, 1010):
            assert _call(host, number) is not None
        assert _forwarded(stage) == list(range(answered))
        ballast.unlink()
        assert _call(host, 2000) is None
    assert _forwarded(stage) == [*range(answered), 2000]
    assert stage.verify().returncode in {0, 4}
    with stage.wrap() as host:
        host.initialize()
        assert _call(host, 3000) is None
    intents = [entry["event"]["arguments"]["n"] for entry in stage.requests() if entry["event"]["phase"] == "intent"]
    assert set(_forwarded(stage)) <= set(intents)


@pytest.mark.usefixtures("either_way")
def test_an_unwritable_log_refuses_calls_and_says_why(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.log.parent.mkdir(mode=0o700)
    stage.log.mkdir()
    with stage.wrap() as host:
        host.initialize()
        refusal = _call(host, 1)
        assert refusal is not None
        assert "Not forwarded" in refusal
        stage.log.rmdir()
        assert _call(host, 2) is None
    assert _forwarded(stage) == [2]
    assert stage.verify().returncode in {0, 4}


@pytest.mark.parametrize("torn", [b"{", b'{"entry_hash":"', b'{"entry_hash":"' + b"0" * 64 + b'","event":{"kind"'])
def test_a_torn_line_does_not_stop_a_later_start(tmp_path: Path, torn: bytes) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
        assert _call(host, 1) is None
    with stage.log.open("ab") as log:
        log.write(torn)
    assert stage.verify().returncode == 4
    with stage.wrap() as host:
        host.initialize()
        assert _call(host, 2) is None
    assert _forwarded(stage) == [1, 2]
    assert stage.verify().returncode in {0, 4}


def test_reads_go_unrecorded_where_the_policy_says_that_only_writes_are_denied(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=READS + "defaults: {write: allow}\naudit: {on_failure: deny_writes}\n")
    stage.log.parent.mkdir(mode=0o700)
    stage.log.mkdir()
    with stage.wrap() as host:
        host.initialize()
        assert _call(host, 1) is None
        written = host.call("write", {"n": 2})["result"]
        assert written["isError"] is True
        stage.log.rmdir()
        assert _call(host, 3) is None
    assert _forwarded(stage) == [1, 3]
    assert "entries_lost" in {entry["event"].get("kind") for entry in stage.entries()}


def test_what_a_log_has_not_taken_is_counted_at_the_end_at_the_latest(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=READS + "audit: {on_failure: allow, deadline: 0.1}\n")
    stage.log.parent.mkdir(mode=0o700)
    stage.log.mkdir()
    with stage.wrap() as host:
        host.initialize()
        assert _call(host, 1) is None
        stage.log.rmdir()
    (lost,) = [entry["event"] for entry in stage.entries() if entry["event"].get("kind") == "entries_lost"]
    assert lost["count"] == 2
