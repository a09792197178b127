"""Two verifiers that share no code agree on what is valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_audit.verify import verify
from support.logs import LogBuilder, offsets, overwrite, rotated_log, small_log, write
from support.tampering import Tampering, corpus
from support.validator import is_valid, validate

VECTORS = Path(__file__).parents[1] / "vectors" / "chain-v1.jsonl"


def recovered_log() -> list[bytes]:
    """Return a log with two torn lines that the writer has attested."""
    log = LogBuilder()
    log.open_log()
    log.call(0)
    first, second = b'{"entry_hash":"0123', b"no entry at all"
    start = sum(map(len, log.lines))
    log.lines += [first + b"\n", second + b"\n"]
    log.recover((start, first), (start + len(first) + 1, second))
    log.call(1)
    return log.lines


def replayed_log() -> list[bytes]:
    """Return a segment that a rotation has cut, with the lines that the writer has written again."""
    log = LogBuilder()
    log.open_log()
    log.call(0)
    log.call(1)
    lost = log.lines[2:]
    log.lines = []
    log.open_segment("truncated", replay=[2, 4])
    log.lines += lost
    log.call(2)
    return log.lines


SEGMENTS = {
    "a log": small_log(3),
    "a later segment": rotated_log(2, 2)[1],
    "a part of a log": small_log(3)[2:],
    "the vectors": VECTORS.read_bytes().splitlines(keepends=True),
    "a recovered log": recovered_log(),
    "a replayed log": replayed_log(),
    "segments in another order": [line for segment in reversed(rotated_log(1, 2, 1)) for line in segment],
}
TAMPERED = [one for name in ("a log", "the vectors") for one in corpus(SEGMENTS[name])]


@pytest.mark.parametrize("name", SEGMENTS)
def test_both_accept_what_a_writer_writes(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "audit.log", SEGMENTS[name])
    assert verify([str(path)]).verdict.exit_code == 0
    assert validate(path).returncode == 0


@pytest.mark.parametrize("tampering", TAMPERED, ids=lambda one: one.name)
def test_both_refuse_what_was_tampered_with(tampering: Tampering) -> None:
    assert not is_valid(tampering.data)


@pytest.mark.parametrize("tampering", TAMPERED[::40], ids=lambda one: one.name)
def test_the_script_refuses_it_with_one_line_and_no_traceback(tmp_path: Path, tampering: Tampering) -> None:
    done = validate(write(tmp_path / "audit.log", [tampering.data]))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("invalid: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", SEGMENTS)
def test_both_agree_on_each_line_that_is_deleted_doubled_or_exchanged(tmp_path: Path, name: str) -> None:
    lines, path = SEGMENTS[name], tmp_path / "audit.log"
    changed = [b"".join((*lines[:at], *lines[at + 1 :])) for at in range(len(lines))]
    changed += [b"".join((*lines[: at + 1], *lines[at:])) for at in range(len(lines))]
    changed += [b"".join((*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :])) for at in range(len(lines) - 1)]
    changed += [b"".join(lines)[:end] for start in offsets(lines) for end in (start, start + 1, start + 80)]
    for data in changed:
        overwrite(path, data)
        assert is_valid(data) == (verify([str(path)]).verdict.exit_code == 0), data


def test_the_script_refuses_what_is_absent_a_directory_or_empty(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path, write(tmp_path / "empty", [])):
        assert validate(path).returncode == 1
