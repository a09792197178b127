"""A log that is long already: a start and a call cost what they cost with a short one, in bytes and system calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.gateway import READS, Stage
from support.host import RawHost
from support.journals import append, journal

ENTRIES: Final = 100_000
CALLS: Final = 50
POLICY: Final = READS + "audit: {durability: flush}\n"


@dataclass(frozen=True)
class Cost:
    """What a process has read and written so far: bytes, and calls of the system (`proc_pid_io(5)`)."""

    read: int
    written: int
    reads: int
    writes: int

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.read - other.read,
            self.written - other.written,
            self.reads - other.reads,
            self.writes - other.writes,
        )


def _spent(host: RawHost) -> Cost:
    lines = Path(f"/proc/{host.process.pid}/io").read_text(encoding="ascii").splitlines()
    values = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    return Cost(values["rchar"], values["wchar"], values["syscr"], values["syscw"])


def _costs(directory: Path, entries: int) -> tuple[Cost, Cost]:
    """Return what a start costs that finds a log of so many entries, and what some calls cost then."""
    numbers = range(entries)
    writer = journal(directory)
    for first in range(0, entries, 1000):
        append(writer, *numbers[first : first + 1000])
    stage = Stage(directory, policy=POLICY)
    with stage.wrap() as host:
        host.initialize()
        host.call("echo", {"n": 0})
        start = _spent(host)
        for number in range(CALLS):
            host.call("echo", {"n": number})
        return start, _spent(host) - start


def test_a_call_costs_with_a_hundred_thousand_entries_what_it_costs_with_ten(tmp_path: Path) -> None:
    short_start, short = _costs(tmp_path / "short", 10)
    long_start, long = _costs(tmp_path / "long", ENTRIES)
    # The head of a long log has more hashes, and numbers have more digits. How often the head is read and written, of
    # 5 KiB, is a matter of time: twice for a call at the most. The log itself has tens of megabytes.
    assert abs(long.read - short.read) < 12_000 * CALLS
    assert abs(long.written - short.written) < 12_000 * CALLS
    assert abs(long.reads - short.reads) < 3 * CALLS
    assert abs(long.writes - short.writes) < 3 * CALLS
    assert long_start.read - short_start.read < 1024 * 1024
