"""A policy file that changes while a gateway runs: the next call is judged by it, or by the last one that was good."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from support.gateway import READS, Stage
from support.host import RawHost
from support.processes import wait_until
from support.remote import host_of, policy_for, remote_server

WRITES: Final = READS.replace("version: 1\n", "version: 1\ndefaults: {write: allow}\n")
CHANGED: Final = b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'


def _change(stage: Stage, text: str) -> None:
    """Put another policy in the place of the file, as editors do."""
    draft = stage.directory / "policy.draft"
    draft.write_text(text, encoding="utf-8")
    draft.replace(stage.directory / "policy.yaml")


def _events(stage: Stage, kind: str) -> list[dict[str, Any]]:
    return [entry["event"] for entry in stage.entries() if entry["event"].get("kind") == kind]


def _is_refused(host: RawHost, tool: str = "write") -> bool:
    return host.call(tool, {})["result"]["isError"]


@pytest.mark.usefixtures("either_way")
def test_the_next_call_is_judged_by_the_policy_as_it_is_now(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
        assert _is_refused(host)
        _change(stage, WRITES)
        assert host.receive() == CHANGED
        assert not _is_refused(host)
        _change(stage, READS)
        assert host.receive() == CHANGED
        assert _is_refused(host)
    first, second, third = _events(stage, "policy_loaded")
    assert first == third
    judged = [event for entry in stage.requests() if "decision" in (event := entry["event"])]
    assert [event["policy_sha256"] for event in judged] == [first["sha256"], second["sha256"], first["sha256"]]
    assert stage.verify().returncode == 0


def test_a_file_with_mistakes_is_recorded_without_its_secrets_and_the_last_good_one_stays(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=WRITES)
    token = "ghp_" + "a1B2" * 9
    with stage.wrap() as host:
        host.initialize()
        _change(stage, f"version: 1\n{token}: 1\n")
        wait_until(lambda: bool(_events(stage, "policy_rejected")))
        assert not _is_refused(host)
        wait_until(lambda: b"the one before it still decides" in host.stderr)
        assert CHANGED not in host.lines
    (rejected,) = _events(stage, "policy_rejected")
    assert "policy.yaml:2:1: " in rejected["reason"]
    assert token not in stage.log.read_text(encoding="utf-8")
    assert token.encode() not in host.stderr


def test_a_start_with_mistakes_does_not_print_their_secrets(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    host = Stage(tmp_path, policy=f"version: 1\n{token}: 1\n").wrap()
    assert host.close() == 2
    assert b"policy.yaml:2:1: " in host.stderr
    assert token.encode() not in host.stderr


def test_a_file_that_is_gone_leaves_the_last_good_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=WRITES)
    with stage.wrap() as host:
        host.initialize()
        (tmp_path / "policy.yaml").unlink()
        wait_until(lambda: bool(_events(stage, "policy_rejected")))
        assert not _is_refused(host)
    assert "does not exist" in _events(stage, "policy_rejected")[0]["reason"]


def test_a_policy_in_the_operators_own_place_takes_over_from_the_shipped_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    command = [part for part in stage.command() if part not in {"--policy", str(tmp_path / "policy.yaml")}]
    with RawHost(command, stage.environment) as host:
        host.initialize()
        assert _is_refused(host)
        own = tmp_path / "home" / "config" / "aegis-mcp" / "policy.yaml"
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(WRITES, encoding="utf-8")
        assert host.receive() == CHANGED
        assert not _is_refused(host)


@pytest.mark.parametrize(
    ("more", "deferred"),
    [
        ("audit: {arguments: full}\n", "audit"),
        ("    env: {A: b}\n", "upstreams.recording"),
        ("    env: {A: b}\naudit: {on_failure: allow}\n", "audit, upstreams.recording"),
    ],
)
def test_what_is_read_at_the_start_only_is_said_so(tmp_path: Path, more: str, deferred: str) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
        _change(stage, READS + more)
        assert host.receive() == CHANGED
        host.call("echo", {"password": "x"})
        wait_until(lambda: f"what has changed in {deferred} holds from the next start".encode() in host.stderr)
    assert [event.get("deferred") for event in _events(stage, "policy_loaded")] == [None, deferred]
    assert stage.requests()[0]["event"]["arguments"]["password"].startswith("hmac-sha256:")


def test_what_is_deferred_is_said_until_it_is_again_as_at_the_start(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
        for text in (READS + "    env: {A: b}\n", WRITES + "    env: {A: b}\n", WRITES):
            _change(stage, text)
            assert host.receive() == CHANGED
    deferred = "upstreams.recording"
    assert [event.get("deferred") for event in _events(stage, "policy_loaded")] == [None, deferred, deferred, None]


def test_a_file_that_is_again_as_it_was_before_its_mistakes_is_said_to_decide(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
        _change(stage, "version: 2\n")
        wait_until(lambda: bool(_events(stage, "policy_rejected")))
        _change(stage, READS)
        wait_until(lambda: b"decides from now on" in host.stderr)
        assert CHANGED not in host.lines
    first, again = _events(stage, "policy_loaded")
    assert first == again


def test_where_a_remote_server_is_asked_changes_with_the_next_start(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy=policy_for(url, "allow_private: false"))
        with host_of(stage) as host:
            host.initialize()
            _change(stage, policy_for(url, "allow_private: true").replace("'*'", "echo"))
            assert host.receive() == CHANGED
            assert not _is_refused(host, "echo")
            assert _is_refused(host, "progress")
    assert [event.get("deferred") for event in _events(stage, "policy_loaded")] == [None, "upstreams.remote"]


def test_a_file_that_is_written_anew_with_what_it_held_changes_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
        _change(stage, READS)
        _change(stage, READS + "\n")
        assert host.receive() == CHANGED
    assert len(_events(stage, "policy_loaded")) == 2
