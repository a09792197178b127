"""A log that the real gateway wrote, and the real command that judges what was done to it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aegis_audit.verdict import Verdict
from aegis_audit.verify import verify
from support.auditor import COMMAND, Outcome, audit, environment
from support.gateway import Stage
from support.logs import overwrite
from support.tampering import corpus


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return the log of a session with an allowed call and a refused one."""
    stage = Stage(tmp_path_factory.mktemp("tampered"))
    with stage.wrap() as host:
        host.initialize()
        host.call("echo", {"text": "grüße"})
        host.call("write", {"text": "x"})
    assert stage.verify().returncode == 0
    return stage.log.read_bytes().splitlines(keepends=True)


def _judge(path: Path) -> tuple[int, set[str], str]:
    """Return the status, the ids of the findings that are no notes, and what was said on stderr."""
    done = audit("verify", "--format", "json", path)
    assert done.json["exit_code"] == done.status
    return done.status, {one["id"] for one in done.json["findings"] if not one["id"].startswith("AEG5")}, done.stderr


@pytest.mark.parametrize("part", range(8))
def test_every_tampering_is_named_by_the_real_command(lines: list[bytes], tmp_path: Path, part: int) -> None:
    path = tmp_path / "audit.log"
    for tampering in corpus(lines)[part::8]:
        overwrite(path, tampering.data)
        expected = {code.identifier for code in tampering.codes}
        assert _judge(path) == (tampering.exit_code, expected, ""), tampering.name


def test_a_command_that_is_started_for_it_says_the_same(lines: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    one_each = {tampering.codes: tampering for tampering in corpus(lines)}
    for tampering in one_each.values():
        overwrite(path, tampering.data)
        done = subprocess.run(
            (*COMMAND, "verify", str(path)),
            capture_output=True,
            encoding="utf-8",
            env=environment(),
            timeout=60,
            check=False,
        )
        assert Outcome(done.returncode, done.stdout, done.stderr) == audit("verify", path), tampering.name
    assert len(one_each) > 10


@pytest.mark.parametrize("part", range(8))
def test_each_single_bit_of_three_entries_that_changes_is_found(lines: list[bytes], tmp_path: Path, part: int) -> None:
    log = b"".join(lines[:3])
    path = tmp_path / "audit.log"
    for bit in range(part, 8 * len(log), 8):
        data = bytearray(log)
        data[bit // 8] ^= 1 << bit % 8
        overwrite(path, data)
        assert verify([str(path)]).verdict not in {Verdict.VALID, Verdict.UNREADABLE}, f"bit {bit}"
