"""How much the gateway adds: calls to one upstream directly, through bare relays, other gateways and ours, in turns.

Turns are short and every contender has one in each round, so that whatever else the machine does hits all of them;
what is printed are medians over the rounds. The bars are those of `docs/explanation/performance.md`.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from bench import machine, table
from bench.client import IN_FLIGHT, Client, by_value, verbatim
from bench.table import Bar, Figure

_HERE: Final = Path(__file__).parent
_SCRATCH: Final = _HERE.parent / ".cache"  # on the disk of the checkout: a sync on a tmpfs costs nothing
_UPSTREAM: Final = (sys.executable, "-I", "-S", str(_HERE / "bench" / "echo.py"))
_DIRECT: Final = "direct"
_LIMIT: Final = "C relay"
_RELAY: Final = "relay"
_TYPED: Final = "SDK gateway"
_FLUSH: Final = "flush"
_SYNC: Final = "sync"
_POLICY: Final = """\
version: 1
upstreams:
  echo:
    access:
      read: [echo]
rules:
  - id: never-drop
    match: {tool: "drop_*"}
    effect: deny
audit:
  durability: DURABILITY
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds, calls of one turn in a row and at once, and starts."""

    rounds: int
    in_a_row: int
    at_once: int
    starts: int

    def __str__(self) -> str:
        turn = f"{self.in_a_row} calls one by one and {self.at_once} with {IN_FLIGHT} in flight"
        return f"medians of {self.rounds} rounds with turns of {turn}, and of {self.starts} starts"


_FULL: Final = Size(rounds=15, in_a_row=1000, at_once=4000, starts=15)
_QUICK: Final = Size(rounds=2, in_a_row=100, at_once=200, starts=2)


@dataclass(slots=True)
class Measured:
    """What was measured of one contender, round by round: microseconds a call, calls in a second, seconds to start.

    Memory is in MiB and without the upstream's: the most that the gateway held, and what all its processes hold.
    """

    p50: list[float] = field(default_factory=list[float])
    p99: list[float] = field(default_factory=list[float])
    rate: list[float] = field(default_factory=list[float])
    start: list[float] = field(default_factory=list[float])
    peak: float | None = None
    held: float | None = None


def main() -> None:
    """Measure and print."""
    options = table.parser(__doc__ or "").parse_args()
    size = _QUICK if options.quick else _FULL
    _SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_SCRATCH, prefix="bench-") as name:
        directory = Path(name)
        facts = machine.facts(directory) | {"cores": machine.pin_to_one_core(), "method": str(size)}
        measured = _measure(directory, size)
    table.show(options.format, facts, _figures(measured))


def _measure(directory: Path, size: Size) -> dict[str, Measured]:
    """Let every contender take its turn in every round."""
    commands, environment = _commands(directory), _environment(directory)
    measured = {name: Measured() for name in commands}
    for _ in range(size.starts):
        for name, command in commands.items():
            with Client(command, environment, _reader(name)) as client:
                measured[name].start.append(client.start_seconds)
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(Client(command, environment, _reader(name))) for name, command in commands.items()
        }
        for _ in range(size.rounds):
            for name, client in clients.items():
                _take_turn(client, measured[name], size)
        for name, client in clients.items():
            _weigh(client.pid, measured[name])
    for durability in (_FLUSH, _SYNC):
        _check_log(_log(directory, durability), clients[durability].made)
    return measured


def _take_turn(client: Client, measured: Measured, size: Size) -> None:
    gc.collect()
    gc.disable()
    microseconds = [time / 1000 for time in client.call_one_by_one(size.in_a_row)]
    measured.p50.append(median(microseconds))
    measured.p99.append(quantiles(microseconds, n=100)[98])
    measured.rate.append(client.call_at_once(size.at_once))
    gc.enable()


def _weigh(pid: int, measured: Measured) -> None:
    """Weigh a contender without the upstream, which runs with or without it."""
    if not machine.tells_memory() or machine.is_running(pid, _UPSTREAM):
        return
    own = [pid, *(child for child in machine.children(pid) if not machine.is_running(child, _UPSTREAM))]
    measured.peak = machine.peak_mib(pid)
    measured.held = sum(map(machine.proportional_mib, own))


def _check_log(log: Path, calls: int) -> None:
    """Stop if the log lacks entries: a gateway that does not record is quick for the wrong reason."""
    entries = log.read_bytes().count(b'"event_type":"tool_invocation"')
    if entries != 2 * calls:
        raise SystemExit(f"the log has {entries} entries of {calls} calls")


def _commands(directory: Path) -> dict[str, tuple[str, ...]]:
    """Return the command of each contender, by its name; the limit needs a compiler."""
    return {
        _DIRECT: _UPSTREAM,
        **_limit(directory),
        _RELAY: (sys.executable, str(_HERE / "bench" / "relay.py"), *_UPSTREAM),
        _TYPED: (sys.executable, str(_HERE / "bench" / "sdk_gateway.py"), *_UPSTREAM),
        _FLUSH: _gateway(directory, _FLUSH),
        _SYNC: _gateway(directory, _SYNC),
    }


def _limit(directory: Path) -> dict[str, tuple[str, ...]]:
    compiler = shutil.which("cc")
    if compiler is None:
        return {}
    program = directory / "relay"
    subprocess.run([compiler, "-O2", "-o", program, _HERE / "bench" / "relay.c"], check=True)
    return {_LIMIT: (str(program), *_UPSTREAM)}


def _reader(name: str) -> Callable[[bytes], object]:
    return by_value if name == _TYPED else verbatim


def _gateway(directory: Path, durability: str) -> tuple[str, ...]:
    policy = directory / f"{durability}.yaml"
    policy.write_text(_POLICY.replace("DURABILITY", durability), encoding="utf-8")
    options = ("--policy", str(policy), "--audit-log", str(_log(directory, durability)), "--name", "echo")
    return (sys.executable, "-m", "aegis_mcp", "wrap", *options, "--", *_UPSTREAM)


def _log(directory: Path, durability: str) -> Path:
    return directory / durability / "audit.log"


def _environment(directory: Path) -> dict[str, str]:
    """Return an environment in which the gateway's own files are in `directory`."""
    homes = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    return {"PATH": os.environ.get("PATH", os.defpath)} | dict.fromkeys(homes, str(directory / "home"))


def _figures(measured: dict[str, Measured]) -> list[Figure]:
    peaks = {name: one.peak for name, one in measured.items() if one.peak is not None}
    held = {name: one.held for name, one in measured.items() if one.held is not None}
    return [
        Figure("p50 of a call", "µs", {name: median(one.p50) for name, one in measured.items()}),
        Figure(
            "added to p50",
            "µs",
            _added({name: one.p50 for name, one in measured.items()}),
            Bar(_FLUSH, most=60, aim=40),
        ),
        Figure("p50 as a multiple", "×", _multiples(measured)),
        Figure("p99 of a call", "µs", {name: median(one.p99) for name, one in measured.items()}),
        Figure(
            f"calls/s, {IN_FLIGHT} in flight",
            "",
            {name: median(one.rate) for name, one in measured.items()},
            Bar(_FLUSH, least=20_000),
        ),
        Figure("start to tools/list", "ms", {name: 1000 * median(one.start) for name, one in measured.items()}),
        Figure(
            "added to start",
            "ms",
            _added({name: [1000 * start for start in one.start] for name, one in measured.items()}),
            Bar(_FLUSH, most=60),
        ),
        Figure("peak memory", "MiB", peaks, Bar(_FLUSH, most=30)),
        Figure("memory of all its processes", "MiB", held),
    ]


def _added(rounds: dict[str, list[float]]) -> dict[str, float]:
    """Return what each contender adds to what the upstream takes in the same round."""
    direct = rounds[_DIRECT]
    return {
        name: median(one - other for one, other in zip(values, direct, strict=True))
        for name, values in rounds.items()
        if name != _DIRECT
    }


def _multiples(measured: dict[str, Measured]) -> dict[str, float]:
    direct = measured[_DIRECT].p50
    return {
        name: median(one / other for one, other in zip(values.p50, direct, strict=True))
        for name, values in measured.items()
    }


if __name__ == "__main__":
    main()
