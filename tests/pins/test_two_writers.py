"""Processes that write the lock file at the same time: nothing is lost, nothing is torn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from aegis_mcp.lock import try_lock, unlock
from aegis_mcp.pins.definition import Kind
from aegis_mcp.pins.storage import PinFile
from support.definitions import first_use, lock_file, named, pins
from support.processes import wait_until

PROCESSES: Final = 4
LOOKS: Final = 50

# Each process looks at one tool after another, page by page, of a server that all of them share and of one of its own.
WRITER: Final = """\
import sys
from pathlib import Path
from aegis_mcp.pins.definition import Kind
from aegis_mcp.pins.quarantine import Pins

path, shared, number, looks = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
shared = Pins.open(path, shared, "x", is_required=False)
own = Pins.open(path, f"own-{number}", "x", is_required=False)
print("ready", flush=True)
sys.stdin.read()
for look in range(looks):
    for pins in (shared, own):
        name = f"t-{number}-{look}"
        pins.look(Kind.TOOL, {name: {"name": name}}, is_complete=False)
        while change := pins.quarantined(Kind.TOOL, name):
            assert "held the lock" in change.difference[-1], change
            pins.look(Kind.TOOL, {name: {"name": name}}, is_complete=False)
"""


def _start(directory: Path, shared: str, number: int, looks: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(lock_file(directory)), shared, str(number), str(looks)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout
    assert started.stdout.readline() == b"ready\n"
    return started


def test_four_processes_lose_no_pin_of_each_other(tmp_path: Path) -> None:
    writers = [_start(tmp_path, "shared", number, LOOKS) for number in range(PROCESSES)]
    for writer in writers:
        assert writer.stdin
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0] * PROCESSES
    for writer in writers:
        assert writer.stdout
        writer.stdout.close()
    pinned = {
        binding.server: {name for _, name in section.pinned}
        for binding, section in PinFile(lock_file(tmp_path)).read().sections.items()
    }
    own = {f"own-{number}": {f"t-{number}-{look}" for look in range(LOOKS)} for number in range(PROCESSES)}
    assert pinned == {"shared": {name for names in own.values() for name in names}, **own}


def test_a_writer_that_is_killed_leaves_a_whole_file_and_no_lock(tmp_path: Path) -> None:
    for attempt in range(5):
        writer = _start(tmp_path, f"shared-{attempt}", attempt, 100_000)
        assert writer.stdin
        writer.stdin.close()
        file = PinFile(lock_file(tmp_path))
        before = len(file.read().sections)
        wait_until(lambda file=file, before=before: len(file.read().sections) > before)
        writer.send_signal(signal.SIGKILL)
        writer.wait(20)
        assert writer.stdout
        writer.stdout.close()
    assert first_use(tmp_path, "echo").quarantined(Kind.TOOL, "echo") is None


def test_a_lock_that_is_not_given_back_ends_in_quarantine_and_not_in_waiting(tmp_path: Path) -> None:
    first_use(tmp_path, "echo")
    lock = lock_file(tmp_path).with_suffix(".lock")
    descriptor = os.open(lock, os.O_RDWR)
    assert try_lock(descriptor)
    run = pins(tmp_path, "mail")
    [change] = run.look(Kind.TOOL, named("send"), is_complete=True)
    reason = f"another process has held the lock {str(lock)!r} for 0.5 s"
    assert (change.why, change.difference[-1]) == ("unwritable", reason)
    unlock(descriptor)
    os.close(descriptor)
    assert run.look(Kind.TOOL, named("send"), is_complete=True) == []
    assert run.quarantined(Kind.TOOL, "send") is None


def test_a_lock_file_that_is_removed_meanwhile_guards_nothing(tmp_path: Path) -> None:
    first_use(tmp_path, "echo")
    lock = lock_file(tmp_path).with_suffix(".lock")
    descriptor = os.open(lock, os.O_RDWR)
    assert try_lock(descriptor)
    lock.unlink()
    run = pins(tmp_path, "mail")
    assert run.look(Kind.TOOL, named("send"), is_complete=True) == []
    os.close(descriptor)
