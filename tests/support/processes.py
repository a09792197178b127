"""Processes as the system sees them, and waiting with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

_LIMIT_SECONDS = 20.0


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def peak_memory(pid: int) -> int:
    """Return the bytes that a process has had in memory at the most so far."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) * 1024


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, at most 20 s."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    pause = Event()
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        pause.wait(0.01)


def wait_until_still(count: Callable[[], object]) -> None:
    """Wait until something that is counted has not changed for a second."""
    seen: list[object] = [None]
    since = [time.monotonic()]

    def is_still() -> bool:
        now = count()
        if now != seen[0]:
            seen[0], since[0] = now, time.monotonic()
        return time.monotonic() - since[0] > 1

    wait_until(is_still)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that it has not waited for."""
    listings = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listing in listings for child in listing.read_text(encoding="ascii").split()]
