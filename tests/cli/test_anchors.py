"""A checkpoint that leaves the host: to a file, a command, a syslog, a repository; and what happens when it cannot."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.note import Note
from support.commands import Done, run
from support.gateway import READS, Stage
from support.host import RawHost
from support.processes import wait_until
from support.signatures import published


def _stage(directory: Path, places: str, more: str = "") -> Stage:
    audit = f"audit: {{durability: sync, anchors: {{places: {places}{more}}}}}\n"
    return Stage(directory, policy=READS + audit)


def _serve(stage: Stage) -> None:
    with stage.wrap() as host:
        host.initialize()
        host.call("echo", {"n": 1})


def _sign(stage: Stage) -> Done:
    policy = ("--policy", str(stage.directory / "policy.yaml"))
    return run(stage.directory / "home", "audit", "checkpoint", *policy, "--audit-log", str(stage.log))


def _checkpoint(note: bytes) -> Checkpoint:
    return Checkpoint.parse(Note.parse(note).text)


def test_a_file_elsewhere_has_the_latest_checkpoint(tmp_path: Path) -> None:
    anchor = tmp_path / "elsewhere.checkpoint"
    stage = _stage(tmp_path, f"[{{file: {anchor}}}]")
    for _ in range(2):
        _serve(stage)
        wait_until(lambda: anchor.exists() and _checkpoint(anchor.read_bytes()) == published(tmp_path))


def test_a_command_gets_the_checkpoint_on_its_input(tmp_path: Path) -> None:
    target = tmp_path / "got"
    program = f"import sys; open({str(target)!r}, 'wb').write(sys.stdin.buffer.read())"
    stage = _stage(tmp_path, json.dumps([{"command": [sys.executable, "-c", program]}]))
    _serve(stage)
    # Who ends does not wait for a command for long; whoever signs next brings it what it has not got.
    wait_until(lambda: _sign(stage).status == 0 and target.exists() and target.stat().st_size > 0)
    assert _checkpoint(target.read_bytes()) == published(tmp_path)


def test_a_command_that_takes_longer_than_an_end_is_run_again_by_the_next_gateway(tmp_path: Path) -> None:
    ready, target = tmp_path / "ready", tmp_path / "got"
    slow = f"import os, sys, time\nif not os.path.exists({str(ready)!r}): time.sleep(3); sys.exit(1)\n"
    slow += f"open({str(target)!r}, 'wb').write(sys.stdin.buffer.read())"
    stage = _stage(tmp_path, json.dumps([{"command": [sys.executable, "-c", slow]}]))
    _serve(stage)
    assert list((stage.log.parent / "audit.tlog").glob("behind-*"))
    ready.touch()
    wait_until(lambda: _sign(stage).status == 0 and target.exists() and target.stat().st_size > 0)
    assert _checkpoint(target.read_bytes()) == published(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs sockets of Unix")
def test_a_syslog_gets_it_in_one_line(tmp_path: Path) -> None:
    address = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(address))
        receiver.settimeout(20)
        _serve(_stage(tmp_path, f"[{{syslog: {address}}}]"))
        priority, _, rest = receiver.recv(65_536).decode("ascii").partition("aegis-mcp: checkpoint ")
    assert priority == "<109>"
    assert _checkpoint(json.loads(rest).encode()) == published(tmp_path)


def _git(*arguments: str) -> str:
    command = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_repository_gets_a_commit_and_its_remote_the_push(tmp_path: Path) -> None:
    remote, tree = tmp_path / "remote.git", tmp_path / "tree"
    _git("init", "--quiet", "--bare", str(remote))
    _git("clone", "--quiet", str(remote), str(tree))
    for name, value in (("user.name", "test"), ("user.email", "test@example.org"), ("push.default", "current")):
        _git("-C", str(tree), "config", name, value)
    stage = _stage(tmp_path, f"[{{git: {tree}}}]")
    _serve(stage)
    _serve(stage)
    _sign(stage)
    (name,) = [path.name for path in tree.iterdir() if path.name.endswith(".checkpoint")]
    wait_until(lambda: _checkpoint(_git("-C", str(remote), "show", f"HEAD:{name}").encode()) == published(tmp_path))


def _lags(stage: Stage) -> list[dict[str, Any]]:
    return [entry["event"] for entry in stage.entries() if entry["event"].get("kind") == "anchor_lagging"]


def _is_refused(host: RawHost) -> bool:
    return host.call("echo", {})["result"]["isError"]


def test_a_place_that_is_behind_for_too_long_is_recorded_once_and_calls_pass(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "checkpoint"
    stage = _stage(tmp_path, f"[{{file: {nowhere}}}]", ", max_lag: 0.2")
    with stage.wrap() as host:
        host.initialize()
        wait_until(lambda: not _is_refused(host) and bool(_lags(stage)))
        assert not _is_refused(host)
    (lag,) = _lags(stage)
    assert lag["anchor"] == f"file {nowhere}"
    assert "No such file" in lag["reason"]


def test_calls_are_refused_while_a_place_is_behind_where_the_policy_says_so(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "checkpoint"
    stage = _stage(tmp_path, f"[{{file: {nowhere}}}]", ", max_lag: 0.2, on_lag: deny")
    with stage.wrap() as host:
        host.initialize()
        wait_until(lambda: _is_refused(host))
        answer = host.call("echo", {})["result"]["content"][0]["text"]
        nowhere.parent.mkdir()
        wait_until(lambda: not _is_refused(host))
    assert "an anchor is more than 0.2 s behind the log" in answer
    assert len(_lags(stage)) == 1
    assert _checkpoint(nowhere.read_bytes()).size > 256


def test_the_time_for_which_a_place_is_behind_goes_on_with_the_next_gateway(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "checkpoint"
    stage = _stage(tmp_path, f"[{{file: {nowhere}}}]")
    _serve(stage)
    assert _lags(stage) == []
    (trace,) = (stage.log.parent / "audit.tlog").glob("behind-*")
    hour_ago = time.time() - 3600
    os.utime(trace, (hour_ago, hour_ago))
    with stage.wrap() as host:
        host.initialize()
        wait_until(lambda: not _is_refused(host) and bool(_lags(stage)))
        (lag,) = _lags(stage)
        assert 3600 <= lag["seconds"] < 3700
        nowhere.parent.mkdir()
        wait_until(lambda: nowhere.exists() and not trace.exists())
    assert len(_lags(stage)) == 1


@pytest.mark.parametrize(
    ("anchors", "mistake"),
    [
        ("{places: [{file: relative}]}", "must be an absolute path"),
        ("{places: [{}]}", "an anchor is one of file, command, syslog, git, timestamp, witness"),
        ("{places: [{file: /a, git: /b}]}", "an anchor is one of file, command, syslog, git, timestamp, witness"),
        ("{places: [{witness: relative}]}", "must be an absolute path"),
        ("{places: [{command: echo}]}", "the command must be a list"),
        ("{places: {file: /a}}", "this must be a list"),
        ("{max_lag: 0}", "this must be a number of seconds"),
        ("{on_lag: never}", "this must be one of record, deny"),
    ],
)
def test_mistakes_in_anchors_are_named(tmp_path: Path, anchors: str, mistake: str) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"version: 1\naudit: {{anchors: {anchors}}}\n", encoding="utf-8")
    done = run(tmp_path, "policy", "check", "--policy", str(policy))
    assert done.status == 2
    assert mistake in done.stdout
