"""The log as the event loop sees it: it waits no longer than the deadline, and keeps the order of the commits."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.settings import AuditSettings, Durability
from support.journals import append, draft, is_strict_chain, journal, kinds, log_of, numbers
from support.processes import wait_until

HOLD = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
open(sys.argv[2], "w").close()
sys.stdin.read()
"""


@contextmanager
def _lock_held(directory: Path) -> Generator[subprocess.Popen[bytes]]:
    """Let another process hold the lock of the log, and be stopped while it does."""
    lock, ready = directory / "logs" / "audit.tlog" / "lock", directory / "ready"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(lock), str(ready)], stdin=subprocess.PIPE)
    try:
        wait_until(ready.exists)
        holder.send_signal(signal.SIGSTOP)
        yield holder
    finally:
        holder.kill()
        holder.communicate(timeout=20)


def _recorder(directory: Path, *, deadline: float = 0.3, durability: Durability = Durability.FLUSH) -> Recorder:
    return Recorder(journal(directory), AuditSettings(durability=durability, deadline=deadline))


def test_a_lock_that_a_stopped_process_holds_ends_in_a_refusal_while_the_loop_goes_on(tmp_path: Path) -> None:
    append(journal(tmp_path), 1)

    async def commit() -> tuple[str, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        with pytest.raises(AuditUnavailable) as refused:
            await _recorder(tmp_path).commit([draft(2)], is_write=False)
        ticking.cancel()
        return str(refused.value), ticks

    with _lock_held(tmp_path):
        start = time.monotonic()
        reason, ticks = asyncio.run(commit())
        assert time.monotonic() - start < 10
    assert "lock" in reason or "did not answer" in reason
    assert ticks > 3
    append(journal(tmp_path), 3)
    assert numbers(log_of(tmp_path)) == [1, 3]


def test_after_a_late_answer_the_log_is_used_again(tmp_path: Path) -> None:
    append(journal(tmp_path), 1)

    async def commit() -> None:
        recorder = _recorder(tmp_path)
        with _lock_held(tmp_path):
            with pytest.raises(AuditUnavailable):
                await recorder.commit([draft(2)], is_write=False)
            with pytest.raises(AuditUnavailable):
                await recorder.commit([draft(3)], is_write=False)
        for _ in range(200):
            try:
                return await recorder.commit([draft(4)], is_write=False)
            except AuditUnavailable:
                await asyncio.sleep(0.02)
        raise AssertionError("the log never came back")

    asyncio.run(commit())
    assert numbers(log_of(tmp_path)) == [1, 4]
    assert is_strict_chain(log_of(tmp_path))


@pytest.mark.parametrize("durability", Durability)
def test_commits_are_written_in_the_order_in_which_they_were_asked_for(tmp_path: Path, durability: Durability) -> None:
    async def commit() -> None:
        recorder = _recorder(tmp_path, deadline=20, durability=durability)
        waiting = [recorder.commit([draft(n)], is_write=n % 3 == 0) for n in range(200)]
        await asyncio.gather(*waiting)

    asyncio.run(commit())
    assert numbers(log_of(tmp_path)) == list(range(200))
    assert kinds(log_of(tmp_path)) == ["log_opened"]


def test_what_was_not_written_in_time_is_not_taken_for_written(tmp_path: Path) -> None:
    async def commit() -> None:
        recorder = _recorder(tmp_path, deadline=20, durability=Durability.SYNC)
        recorder.hurry(0)
        late = recorder.commit([draft(1)], is_write=True)
        recorder.hurry(20)
        await recorder.commit([draft(2)], is_write=True)  # by now the one before was looked at, too
        with pytest.raises(AuditUnavailable, match="did not answer"):
            await late

    asyncio.run(commit())
    assert numbers(log_of(tmp_path)) == [2]


def test_a_log_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    log_of(tmp_path).mkdir(parents=True)

    async def commit() -> None:
        await _recorder(tmp_path).commit([draft(1)], is_write=False)

    with pytest.raises(AuditUnavailable, match="plain file"):
        asyncio.run(commit())
