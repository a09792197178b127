"""A signed log whose writer is killed, or whose disk fails, at each call that changes a file: keys, rotation and all.

The calls are recorded first, then repeated with a fault at one after the other. What was acknowledged is there, and
every checkpoint fits its entries and keys.
"""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from aegis_audit.verify import verify
from support.journals import append, is_strict_chain, log_of, numbers
from support.signatures import judge, signed_journal

CALLS: Final = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,openat"
FAULTS: Final = ("signal=SIGKILL", "error=EIO", "error=ENOSPC", "error=EINTR")
SHARDS: Final = 6
TESTS: Final = str(Path(__file__).parents[1])

# Says after each entry that it was acknowledged; signs, hands over, rotates and drops meanwhile.
WRITER: Final = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from aegis_audit.key import KeyRing
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.settings import Rotation
from support.journals import append
from support.signatures import signed_journal
directory, acknowledged = Path(sys.argv[2]), os.open(sys.argv[3], os.O_RDWR)
writer = signed_journal(directory, Rotation(keep_segments=1))
number = 0
for step in ("append", "append", "checkpoint", "append", "rotate", "append", "rotate", "append", "checkpoint"):
    try:
        if step == "append":
            number += 1
            append(writer, number)
            os.pwritev(acknowledged, [b"1"], number)
        elif step == "rotate":
            writer.rotate("demand", patience=5)
        else:
            writer.checkpoint(patience=5)
    except AuditUnavailable as exc:
        print(exc)
"""
APPENDED: Final = 5


def _run(directory: Path, *options: str) -> tuple[str, list[int]]:
    """Run the writer below strace; return what that recorded, and which entries were acknowledged."""
    directory.mkdir()
    acknowledged, trace = directory / "acknowledged", directory / "trace"
    acknowledged.write_bytes(b"0" * (APPENDED + 1))
    writer = (sys.executable, "-c", WRITER, TESTS, str(directory), str(acknowledged))
    command = ("strace", "-f", "-qq", "-y", "-o", str(trace), "-e", f"trace={CALLS}", *options, *writer)
    done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert b"PRIVATE" not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr, done.stderr
    marks = acknowledged.read_bytes()
    return trace.read_text(encoding="utf-8"), [number for number, mark in enumerate(marks) if mark == ord("1")]


@cache
def _calls(directory: Path) -> list[tuple[str, int]]:
    """Return each call on a file of the log or its keys, and how many of its name came up to it."""
    trace, acknowledged = _run(directory)
    assert acknowledged == list(range(1, APPENDED + 1))
    seen: dict[str, int] = {}
    calls: list[tuple[str, int]] = []
    for line in trace.splitlines():
        match = re.match(r"\d+ +(\w+)\((.*)", line)
        if match is None:
            continue
        name, rest = match[1], match[2]
        seen[name] = seen.get(name, 0) + 1
        if f"{directory}/logs" in rest or f"{directory}/keys" in rest:
            calls.append((name, seen[name]))
    return calls


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    return _calls(tmp_path_factory.mktemp("recorded") / "run")


def _segments(directory: Path) -> list[Path]:
    return [path for path in log_of(directory).parent.iterdir() if path.is_file()]


def _check(directory: Path, acknowledged: list[int]) -> None:
    """Go on with the log, and hold all of it to what was acknowledged."""
    writer = signed_journal(directory)
    append(writer, 1000)
    writer.checkpoint(patience=5)
    segments = _segments(directory)
    assert verify([str(log_of(directory).parent)]).verdict.exit_code in {0, 4}
    found = numbers(*segments)
    # What retention has removed were the oldest.
    kept = [number for number in acknowledged if number >= found[0]]
    assert set(kept) <= set(found)
    assert found[-1] == 1000
    if found[0] == 1:
        assert is_strict_chain(*segments)
        judge(*segments)


@pytest.mark.strace
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_fault_at_any_call_loses_nothing_and_leaves_a_log_that_can_be_signed(
    tmp_path: Path, calls: list[tuple[str, int]], shard: int
) -> None:
    assert {"write", "pwrite64", "fdatasync", "openat"} <= {name for name, _ in calls}
    for number, (name, when) in enumerate(calls):
        if number % SHARDS != shard:
            continue
        fault = FAULTS[number // SHARDS % len(FAULTS)]
        directory = tmp_path / f"{number}-{name}"
        _, acknowledged = _run(directory, "-e", f"inject={name}:{fault}:when={when}")
        _check(directory, acknowledged)


LIMITED: Final = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from aegis_mcp.errors import AuditUnavailable
from support.journals import append
from support.signatures import signed_journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    append(signed_journal(Path(sys.argv[2])), 2)
except AuditUnavailable:
    sys.exit(3)
"""


@pytest.mark.parametrize("room", [1, 50, 200, 340])
def test_a_write_that_stops_short_is_not_acknowledged_and_is_attested(tmp_path: Path, room: int) -> None:
    log = log_of(tmp_path)
    append(signed_journal(tmp_path), 1)
    # A new sidecar, so that the limit meets the log before it meets the tail.
    sidecar = log.parent / "audit.tlog"
    for name in ("head", "tail"):
        (sidecar / name).unlink()
    limit = str(log.stat().st_size + room)
    limited = (sys.executable, "-c", LIMITED, TESTS, str(tmp_path), limit)
    assert subprocess.run(limited, check=False, timeout=60).returncode == 3
    writer = signed_journal(tmp_path)
    append(writer, 3)
    writer.checkpoint(patience=5)
    assert verify([str(log)]).verdict.exit_code == 0
    assert numbers(log) == [1, 3]
    judge(log)
