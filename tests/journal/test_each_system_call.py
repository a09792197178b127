"""A writer that is killed, or whose disk fails, at each of its system calls in turn: what was acknowledged is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aegis_audit.verify import verify
from support.journals import append, is_strict_chain, journal, log_of, numbers

pytestmark = pytest.mark.strace

CALLS = ("openat", "flock", "pwrite64", "write", "fdatasync")
ENTRIES = 4

# Writes entries one by one, and says after each that it was acknowledged.
WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from aegis_mcp.errors import AuditUnavailable
from support.journals import draft, journal
import os
writer = journal(Path(sys.argv[2]))
acknowledged = os.open(sys.argv[3], os.O_RDWR)
for number in range(int(sys.argv[4])):
    try:
        if not writer.go_on([draft(number)]):
            writer.append([draft(number)], is_synced=True, patience=5, keeps=sys.argv[5] == "kept")
    except AuditUnavailable:
        continue
    os.pwritev(acknowledged, [b"1"], number)
    if number == 1:
        writer.leave()
"""


def _write(directory: Path, call: str, what: str, when: int, lock: str) -> list[int]:
    """Run the writer with a fault at one of its calls on the log's files; return what was acknowledged."""
    acknowledged = directory / "acknowledged"
    acknowledged.write_bytes(b"0" * ENTRIES)
    logs = log_of(directory).parent
    files = [logs, log_of(directory), *(logs / "audit.tlog" / name for name in ("lock", "queue", "head", "tail"))]
    only = [part for file in files for part in ("-P", str(file))]
    inject = ("-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}")
    tests = str(Path(__file__).parents[1])
    writer = (sys.executable, "-c", WRITER, tests, str(directory), str(acknowledged), str(ENTRIES), lock)
    command = ["strace", "-f", "-qq", "-o", "/dev/null", *only, *inject, *writer]
    subprocess.run(command, check=False, capture_output=True, timeout=60)
    return [number for number, mark in enumerate(acknowledged.read_bytes()) if mark == ord("1")]


@pytest.mark.parametrize("what", ["signal=SIGKILL", "error=EIO", "error=ENOSPC"])
@pytest.mark.parametrize("when", range(1, 9))
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("lock", ["given back", "kept"])
def test_what_was_acknowledged_is_there_and_the_next_run_goes_on(
    tmp_path: Path, lock: str, call: str, when: int, what: str
) -> None:
    acknowledged = _write(tmp_path, call, what, when, lock)
    append(journal(tmp_path), 1000)
    log = log_of(tmp_path)
    assert verify([str(log)]).verdict.exit_code in {0, 4}
    assert is_strict_chain(log)
    assert set(acknowledged) <= set(numbers(log))
    assert numbers(log)[-1] == 1000


@pytest.mark.parametrize("when", range(1, 7))
@pytest.mark.parametrize("call", ["write", "fdatasync"])
@pytest.mark.parametrize("lock", ["given back", "kept"])
def test_no_number_is_given_twice_when_the_log_is_renamed_after_a_fault(
    tmp_path: Path, lock: str, call: str, when: int
) -> None:
    acknowledged = _write(tmp_path, call, "error=EIO", when, lock)
    log = log_of(tmp_path)
    old = log.rename(log.with_suffix(".log.1"))
    append(journal(tmp_path), 1000)
    assert is_strict_chain(old, log)
    assert set(acknowledged) <= set(numbers(old, log))
    assert verify([str(old), str(log)]).verdict.exit_code == 0


@pytest.mark.parametrize("what", ["signal=SIGKILL", "error=EIO"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("lock", ["given back", "kept"])
def test_the_faults_do_happen(tmp_path: Path, lock: str, call: str, what: str) -> None:
    assert _write(tmp_path, call, what, 2, lock) != list(range(ENTRIES))
