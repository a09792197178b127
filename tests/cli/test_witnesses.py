"""Checkpoints that real witnesses cosign over HTTP, and what comes of those that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.note import Note, SigningKey
from aegis_audit.witness import WitnessPolicy
from support.commands import Done, run
from support.gateway import READS, Stage
from support.processes import wait_until
from support.running_witness import key_of, witness
from support.signatures import published

LOG_KEY: Final = SigningKey("desk.example/witnessed", b"w" * 32)
ANCHORS: Final = "audit: {{durability: sync, anchors: {{places: [{{witness: {path}}}]{more}}}}}\n"


def _stage(directory: Path, policy: str, more: str = "") -> Stage:
    path = directory / "witnesses.policy"
    path.write_text(policy, encoding="utf-8")
    audit = ANCHORS.format(path=path, more=more)
    return Stage(directory, policy=READS + audit, extra_environment={"AEGIS_SIGNING_KEY": LOG_KEY.encode()})


def _serve(stage: Stage, calls: int = 1) -> bytes:
    """Let a gateway run, and return what it has said on stderr."""
    with stage.wrap() as host:
        host.initialize()
        for number in range(calls):
            host.call("echo", {"n": number})
    return host.stderr


def _command(stage: Stage, *arguments: str) -> Done:
    options = ("--policy", str(stage.directory / "policy.yaml"), "--audit-log", str(stage.log))
    return run(stage.directory / "home", "audit", *arguments, *options, extra=stage.extra_environment)


def _cosigned(stage: Stage) -> tuple[Note, Checkpoint]:
    note = Note.parse((stage.log.parent / "audit.tlog" / "cosigned").read_bytes())
    return note, Checkpoint.parse(note.text)


def _lags(stage: Stage) -> list[dict[str, Any]]:
    return [entry["event"] for entry in stage.entries() if entry["event"].get("kind") == "anchor_lagging"]


def test_a_quorum_cosigns_a_log_that_grows_and_rotates_though_one_witness_is_dead(tmp_path: Path) -> None:
    dead = f"witness dead {key_of('dead.example')} http://127.0.0.1:9/\n"
    with (
        witness(tmp_path, "one.example", LOG_KEY.verifier) as one,
        witness(tmp_path, "two.example", LOG_KEY.verifier) as two,
    ):
        policy = f"{dead}{one.line('one')}{two.line('two')}group all 2 dead one two\nquorum all\n"
        stage = _stage(tmp_path, policy)
        for calls in (1, 7, 300):
            assert b"the witness 'dead' has not cosigned: no answer (Connection refused)" in _serve(stage, calls)
            _command(stage, "rotate")
            assert _command(stage, "checkpoint").status == 0
            assert one.remembered(LOG_KEY.name) == two.remembered(LOG_KEY.name) == published(tmp_path).size
        note, checkpoint = _cosigned(stage)
        assert checkpoint == published(tmp_path)
        signed = note.signed_by([LOG_KEY.verifier, one.key, two.key])
        assert signed.keys() == {LOG_KEY.verifier, one.key, two.key}
        assert WitnessPolicy.parse(policy.encode()).is_reached(signed)
    assert stage.verify(stage.log.parent).returncode == 0
    assert _lags(stage) == []


def test_a_witness_that_refuses_is_named_on_stderr_and_in_the_log(tmp_path: Path) -> None:
    with witness(tmp_path, "refusing.example", LOG_KEY.verifier) as refusing:
        refusing.believe(LOG_KEY.name, 3, b"f" * 32)
        stage = _stage(tmp_path, f"{refusing.line('w')}quorum w\n", ", max_lag: 0.2")
        with stage.wrap() as host:
            host.initialize()
            wait_until(lambda: bool(host.call("echo", {}) and _lags(stage)))
    why = "the witness 'w' has not cosigned: status 422, it does not find the log to have only grown"
    (lag,) = _lags(stage)
    assert lag["anchor"] == f"witness {tmp_path / 'witnesses.policy'}"
    assert "'w': status 422, it does not find the log to have only grown" in lag["reason"]
    assert host.stderr.count(why.encode()) == 1
    assert not (stage.log.parent / "audit.tlog" / "cosigned").exists()


@pytest.mark.parametrize(
    ("policy", "mistake"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("quorum none\n", "cannot make up a quorum"),
        ("witness w {key}\nquorum w\n", "cannot make up a quorum"),
        ("witness w {key} ftp://127.0.0.1/\nquorum w\n", "must be a URL of the form"),
        ("witness w {key} http://127.0.0.1/\nquorum v\n", "line 2: no line above defines 'v'"),
    ],
)
def test_a_gateway_does_not_start_with_witnesses_that_cannot_cosign(
    tmp_path: Path, policy: str | None, mistake: str
) -> None:
    stage = _stage(tmp_path, (policy or "").format(key=key_of("w")))
    if policy is None:
        (tmp_path / "witnesses.policy").unlink()
    with stage.wrap() as host:
        host.process.wait(20)
    assert host.process.returncode == 2
    assert mistake.encode() in host.stderr
