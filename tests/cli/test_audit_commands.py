"""`aegis-mcp audit`: what a person does to a log that gateways use meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.commands import run
from support.gateway import READS, Stage
from support.signatures import judge


def test_rotation_on_demand_under_a_gateway_that_goes_on(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
        host.call("echo", {"n": 1})
        done = run(tmp_path / "home", "audit", "rotate", "--audit-log", str(stage.log), "--format", "json")
        host.call("echo", {"n": 2})
    assert done.status == 0
    assert Path(done.json["rotated"]).parent == stage.log.parent
    opened = stage.entries()[0]["event"]
    assert (opened["kind"], opened["reason"]) == ("segment_opened", "demand")
    verified = stage.verify(stage.log.parent)
    assert verified.returncode == 0
    assert len(json.loads(verified.stdout)["segments"]) == 2


def test_a_policy_rotates_by_size_and_keeps_so_many_segments(tmp_path: Path) -> None:
    audit = "audit: {rotate: {max_bytes: 64KiB}, retention: {segments: 2}}\n"
    stage = Stage(tmp_path, policy=READS + audit)
    with stage.wrap() as host:
        host.initialize()
        for number in range(140):
            host.call("echo", {"n": number, "bulk": "x" * 2000})
    report = json.loads(stage.verify(stage.log.parent).stdout)
    assert report["exit_code"] == 0
    assert len(report["segments"]) == 3
    assert report["logs"][0]["first_seq"] > 0
    assert "segments_dropped" in stage.audit("inspect", "--format", "jsonl", str(stage.log.parent)).stdout


@pytest.mark.parametrize(
    ("audit", "mistake"),
    [
        ("{rotate: {max_bytes: 1KiB}}", "a segment has at least 64KiB"),
        ("{rotate: {max_bytes: -1}}", "this must be a number of bytes"),
        ("{rotate: {size: 1MiB}}", "`size` is not known here; known here: max_bytes"),
        ("{retention: {segments: 0}}", "this must be a whole number, more than 0"),
        ("{retention: {days: 1.5}}", "this must be a whole number, more than 0"),
        ("{retention: 30}", "this must be a mapping"),
    ],
)
def test_mistakes_in_rotation_are_named(tmp_path: Path, audit: str, mistake: str) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"version: 1\naudit: {audit}\n", encoding="utf-8")
    done = run(tmp_path, "policy", "check", "--policy", str(policy))
    assert done.status == 2
    assert mistake in done.stdout


def test_a_log_with_nothing_in_it_is_not_rotated(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
    log = ("--audit-log", str(stage.log))
    assert run(tmp_path / "home", "audit", "rotate", *log).stdout.startswith("rotated to ")
    assert run(tmp_path / "home", "audit", "rotate", *log).stdout.startswith("nothing to rotate")


@pytest.mark.parametrize("command", [("rotate",), ("acknowledge", "--missing", "1", "--note", "x")])
def test_a_log_that_is_not_there_is_not_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    log = tmp_path / "no" / "audit.log"
    done = run(tmp_path / "home", "audit", *command, "--audit-log", str(log))
    assert done.status == 2
    assert "there is no log" in done.stderr
    assert not log.parent.exists()


def _gap(stage: Stage) -> None:
    """Leave a log in which entry 2 is missing."""
    with stage.wrap() as host:
        host.initialize()
        host.call("echo", {})
    lines = stage.log.read_bytes().splitlines(keepends=True)
    stage.log.write_bytes(b"".join(lines[:2] + lines[3:]))


def test_a_break_that_somebody_has_looked_at_is_on_record_and_stays_visible(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    _gap(stage)
    words = ("--missing", "2", "--note", "the disk was full; token=ghp_" + "a" * 36, "--by", "alice")
    done = run(tmp_path / "home", "audit", "acknowledge", "--audit-log", str(stage.log), *words, "--format", "json")
    assert done.status == 0
    entry = next(entry for entry in stage.entries() if entry["seq"] == done.json["seq"])
    assert entry["event"]["kind"] == "break_acknowledged"
    assert entry["event"]["missing"] == [[2, 2]]
    assert entry["event"]["by"] == "alice"
    assert entry["event"]["note"].startswith("the disk was full")
    assert "ghp_" not in entry["event"]["note"]
    assert "AEG201" in stage.verify().stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--note", "x"),
        ("--missing", "2"),
        ("--missing", "4-2", "--note", "x"),
        ("--missing", "-2", "--note", "x"),
        ("--missing", "02", "--note", "x"),
        ("--missing", "0-9999", "--note", "x"),
        ("--missing", "2", "--note", "x" * 513),
    ],
)
def test_what_cannot_have_been_looked_at_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    stage = Stage(tmp_path)
    _gap(stage)
    before = stage.log.read_bytes()
    assert run(tmp_path / "home", "audit", "acknowledge", "--audit-log", str(stage.log), *words).status == 2
    assert b"break_acknowledged" not in stage.log.read_bytes()
    assert stage.log.read_bytes().startswith(before[:200])


def test_a_gateway_signs_its_log_to_the_end_without_being_asked(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap() as host:
        host.initialize()
        host.call("echo", {"n": 1})
    last = stage.entries()[-1]
    assert last["event_type"] == "checkpoint"
    assert judge(stage.log) == (last["seq"], 0)
    keys = tmp_path / "home" / "data" / "aegis-mcp" / "keys"
    assert {path.name for path in keys.rglob("*") if path.is_file()} == {"log.key", "epoch.key", "public"}


def test_calls_are_refused_where_the_log_cannot_be_signed_and_pass_once_it_can(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    keys = tmp_path / "home" / "data" / "aegis-mcp" / "keys"
    with stage.wrap() as host:
        host.initialize()
    with stage.wrap() as host:
        host.initialize()
        keys.rename(tmp_path / "away")
        assert run(tmp_path / "home", "audit", "checkpoint", "--audit-log", str(stage.log)).status == 1
        (tmp_path / "away").rename(keys)
        done = run(tmp_path / "home", "audit", "checkpoint", "--audit-log", str(stage.log), "--format", "json")
        host.call("echo", {"n": 2})
    assert done.json["size"] > 4
    assert judge(stage.log)[0] == stage.entries()[-1]["seq"]


def test_a_policy_that_wants_no_signatures_gets_none(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=READS + "audit: {signatures: off}\n")
    with stage.wrap() as host:
        host.initialize()
    policy = ("--policy", str(tmp_path / "policy.yaml"))
    assert "checkpoint" not in {entry["event_type"] for entry in stage.entries()}
    assert not (tmp_path / "home" / "data" / "aegis-mcp" / "keys").exists()
    done = run(tmp_path / "home", "audit", "checkpoint", *policy, "--audit-log", str(stage.log))
    assert (done.status, "wants no signatures" in done.stderr) == (2, True)
