"""How fast the verifier is: `aegis-audit verify` and a plain loop over the same file, in turns, on one core.

Both are whole processes. The time that a process takes for a log of one entry is its start; what is left is divided by
the entries. Medians over the rounds are printed. The bars are those of `docs/explanation/performance.md`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from bench import machine, sample_log, table
from bench.table import Bar, Figure

_HERE: Final = Path(__file__).parent
_SCRATCH: Final = _HERE.parent / ".cache"
_VERIFY: Final = "aegis-audit verify"
_LOOP: Final = "json loop"
_COMMANDS: Final = {
    _VERIFY: (sys.executable, "-m", "aegis_audit", "verify", "--quiet"),
    _LOOP: (sys.executable, str(_HERE / "bench" / "json_loop.py")),
}
_ENTRIES: Final = 200_000
_QUICK_ENTRIES: Final = 20_000
_ROUNDS: Final = 5
_KIB_PER_MAXRSS: Final = 1 / 1024 if sys.platform == "darwin" else 1  # getrusage(2): bytes there, KiB elsewhere


@dataclass(slots=True)
class Measured:
    """What was measured of one contender: seconds for one entry and for all, round by round, and MiB at most."""

    start: list[float] = field(default_factory=list[float])
    whole: list[float] = field(default_factory=list[float])
    peak: float = 0.0

    @property
    def seconds(self) -> float:
        """Return how long the entries take once the process has started."""
        return median(self.whole) - median(self.start)


def main() -> None:
    """Measure and print."""
    options = table.parser(__doc__ or "")
    options.add_argument("--entries", type=int, help=f"how many entries the log has  [default: {_ENTRIES:,}]")
    given = options.parse_args()
    entries = max(2, given.entries or (_QUICK_ENTRIES if given.quick else _ENTRIES))
    rounds = 1 if given.quick else _ROUNDS
    _SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_SCRATCH, prefix="bench-") as name:
        directory = Path(name)
        facts = machine.facts(directory) | {"cores": machine.pin_to_one_core()}
        size = _write_logs(directory, entries)
        facts["method"] = f"medians of {rounds} rounds; {entries:,} entries of {size / entries:.0f} bytes"
        measured = _measure(directory, rounds)
    table.show(given.format, facts, _figures(measured, entries, size))


def _write_logs(directory: Path, entries: int) -> int:
    """Write the log and one of a single entry; return the size of the first in bytes."""
    sample_log.write(directory / "one.log", 1)
    sample_log.write(directory / "all.log", entries)
    return (directory / "all.log").stat().st_size


def _measure(directory: Path, rounds: int) -> dict[str, Measured]:
    measured = {name: Measured() for name in _COMMANDS}
    for _ in range(rounds):
        for name, command in _COMMANDS.items():
            one = measured[name]
            seconds, _ = _run([*command, str(directory / "one.log")])
            one.start.append(seconds)
            seconds, peak = _run([*command, str(directory / "all.log")])
            one.whole.append(seconds)
            one.peak = max(one.peak, peak)
    return measured


def _run(command: Sequence[str]) -> tuple[float, float]:
    """Run a command that finds the log intact; return its seconds and the most MiB that it held."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[-2]} exits with {process.returncode} for an intact log")
    return seconds, usage.ru_maxrss * _KIB_PER_MAXRSS / 1024


def _figures(measured: dict[str, Measured], entries: int, size: int) -> list[Figure]:
    rates = {name: size / one.seconds for name, one in measured.items()}
    return [
        Figure("speed", "MB/s", {name: rate / 1e6 for name, rate in rates.items()}, Bar(_VERIFY, least=270, aim=420)),
        Figure(
            "entries of 530 bytes/s",
            "",
            {name: rate / 530 for name, rate in rates.items()},
            Bar(_VERIFY, least=500_000),
        ),
        Figure("these entries/s", "", {name: entries / one.seconds for name, one in measured.items()}),
        Figure("as a multiple", "×", {name: rate / rates[_LOOP] for name, rate in rates.items()}),
        Figure("the whole process", "s", {name: median(one.whole) for name, one in measured.items()}),
        Figure("its start", "ms", {name: 1000 * median(one.start) for name, one in measured.items()}),
        Figure("peak memory", "MiB", {name: one.peak for name, one in measured.items()}),
    ]


if __name__ == "__main__":
    main()
