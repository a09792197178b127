"""How fast the verifier is: `aegis-audit verify` in several ways, C and a plain loop over the same log, in turns.

All are whole processes. What a process takes for a log of one entry is its start, and is taken off. Speed is by
processor time, so that what else the machine does counts little; by the clock only where two processes share the work,
compared with one in the same round. Medians over the rounds are printed. The bars are those of
`docs/explanation/performance.md`.
"""

from __future__ import annotations

import gzip
import os
import shutil
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
_C: Final = _HERE / "bench" / "exact_bytes.c"
_VERIFY: Final = (sys.executable, "-m", "aegis_audit", "verify", "--quiet", "--jobs")
_ENTRIES: Final = 1_000_000
_QUICK_ENTRIES: Final = 20_000
_NEW: Final = 1000
_ROUNDS: Final = 5
_KIB_PER_MAXRSS: Final = 1 / 1024 if sys.platform == "darwin" else 1  # getrusage(2): bytes there, KiB elsewhere


@dataclass(slots=True)
class Contender:
    """One way to look at a log of so many entries and bytes: seconds round by round, and MiB at most.

    `start` is the processor time for a log of one entry, `busy` that for all, `clock` the time that this took.
    """

    command: Sequence[str]
    one: Path
    log: Path
    entries: int
    size: int
    start: list[float] = field(default_factory=list[float])
    busy: list[float] = field(default_factory=list[float])
    clock: list[float] = field(default_factory=list[float])
    peak: float = 0.0

    @property
    def seconds(self) -> float:
        """Return the processor time that the entries take once the process has started."""
        return max(median(self.busy) - median(self.start), 1e-6)


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
        contenders = _contenders(directory, entries)
        facts = machine.facts(directory) | {
            "C": "compiled here" if "C" in contenders else "no compiler, or no libcrypto"
        }
        size = contenders["plain"].size
        facts["method"] = f"medians of {rounds} rounds; {entries:,} entries of {size / entries:.0f} bytes"
        for _ in range(rounds):
            for contender in contenders.values():
                _measure(contender, directory)
    table.show(given.format, facts, _figures(contenders))


def _contenders(directory: Path, entries: int) -> dict[str, Contender]:
    """Write the logs; return what is done with them."""
    one, plain, signed = (directory / name for name in ("one.log", "plain.log", "signed.log"))
    sample_log.write(one, 1)
    sample_log.write(plain, entries)
    sample_log.write(signed, entries, is_signed=True)
    size = plain.stat().st_size
    zipped, grown = directory / "plain.log.gz", directory / "grown.log"
    with plain.open("rb") as source, gzip.open(zipped, "wb", compresslevel=6) as target:
        shutil.copyfileobj(source, target)
    shutil.copyfile(plain, grown)
    state = directory / "state"
    _run([*_VERIFY, "1", "--state", str(directory / "before"), str(grown)])
    sample_log.grow(grown, entries, _NEW)
    contenders = {
        "plain": Contender([*_VERIFY, "1"], one, plain, entries, size),
        "2 processes": Contender([*_VERIFY, "2"], one, plain, entries, size),
        "signed": Contender([*_VERIFY, "1"], one, signed, entries, signed.stat().st_size),
        "gzip": Contender([*_VERIFY, "1"], one, zipped, entries, size),
        "json loop": Contender([sys.executable, str(_HERE / "bench" / "json_loop.py")], one, plain, entries, size),
        f"{_NEW} new": Contender([*_VERIFY, "1", "--state", str(state)], one, grown, _NEW, grown.stat().st_size - size),
    }
    program = _compiled(directory)
    return contenders | ({"C": Contender([str(program)], one, plain, entries, size)} if program else {})


def _compiled(directory: Path) -> Path | None:
    """Compile what C does with a log; None where that cannot be done."""
    compiler, program = shutil.which("cc"), directory / "exact_bytes"
    if compiler is None:
        return None
    made = subprocess.run([compiler, "-O2", _C, "-lcrypto", "-o", program], capture_output=True, check=False)
    return None if made.returncode else program


def _measure(contender: Contender, directory: Path) -> None:
    state, before = directory / "state", directory / "before"
    state.unlink(missing_ok=True)
    busy, _, _ = _run([*contender.command, str(contender.one)])
    contender.start.append(busy)
    shutil.copyfile(before, state)
    busy, clock, peak = _run([*contender.command, str(contender.log)])
    contender.busy.append(busy)
    contender.clock.append(clock)
    contender.peak = max(contender.peak, peak)


def _run(command: Sequence[str]) -> tuple[float, float, float]:
    """Run a command that finds the log intact; return its processor seconds, its seconds, and its most MiB.

    The processes that it has started count for the first; the last is that of the largest of them.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[-2]} exits with {process.returncode} for an intact log")
    return usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss * _KIB_PER_MAXRSS / 1024


def _figures(contenders: dict[str, Contender]) -> list[Figure]:
    rates = {name: one.size / one.seconds for name, one in contenders.items() if one.entries > _NEW}
    plain, two = contenders["plain"], contenders["2 processes"]
    signed = contenders["signed"].seconds / plain.seconds - 1
    by_clock = median(a / b for a, b in zip(plain.clock, two.clock, strict=True))
    behind = {"plain": rates["C"] / rates["plain"]} if "C" in rates else {}
    return [
        Figure("speed", "MB/s", {name: rate / 1e6 for name, rate in rates.items()}, Bar("plain", least=270, aim=420)),
        Figure(
            "entries of 530 bytes/s",
            "",
            {name: rate / 530 for name, rate in rates.items()},
            Bar("plain", least=500_000),
        ),
        Figure("these entries/s", "", {name: contenders[name].entries / contenders[name].seconds for name in rates}),
        Figure("times slower than C", "", behind, Bar("plain", most=3)),
        Figure("times quicker than one process", "", {"2 processes": by_clock}, Bar("2 processes", least=1.8)),
        Figure("more than unsigned", "%", {"signed": 100 * signed}, Bar("signed", most=10)),
        Figure("processor time, whole", "s", {name: median(one.busy) for name, one in contenders.items()}),
        Figure("its start", "ms", {name: 1000 * median(one.start) for name, one in contenders.items()}),
        Figure("peak memory", "MiB", {name: one.peak for name, one in contenders.items() if name != "C"}),
    ]


if __name__ == "__main__":
    main()
