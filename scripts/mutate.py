"""Mutation testing of the verifier: change one thing in it at a time, and see that a test fails.

What no test notices is a survivor: either a test is missing, or the change does no harm, and then
`mutation/survivors` says why. The status is 1 if a survivor is not listed there, or what is listed is none.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mutation import harmless
from mutation.mutants import Mutant, mutants
from mutation.record import Record
from mutation.suite import Bench, judge

_ROOT: Final = Path(__file__).resolve().parent.parent
_PACKAGE: Final = _ROOT / "aegis_audit" / "src" / "aegis_audit"
_MODULES: Final = (
    *(f"checks.{path.stem}" for path in sorted(_PACKAGE.glob("checks/[a-z]*.py"))),
    *("verify", "chain", "entry", "level", "demand", "verdict", "account", "walk", "epoch", "tree", "note"),
    *("checkpoint", "witness", "trust", "anchor", "state", "shape", "segment", "part", "finding", "mark", "signature"),
    *("timestamp", "sidecar", "canonical", "expand", "archive", "reading", "crew", "report", "cli.verify"),
    *("proof", "proving", "comparison", "headline"),
)
"""The modules in which a verdict comes about; what shows it is judged by tests of its own."""

_CLI: Final = ("inspect", "prove", "compare", "consistency", "head", "accounting")
_TESTS: Final = ("tests/tamper", "tests/attacker", "tests/audit", *(f"tests/cli/test_{name}.py" for name in _CLI))
_LEFT_OUT: Final = (
    "--ignore=tests/tamper/test_second_verifier.py",  # judges the other verifier
    "--ignore=tests/audit/test_key.py",  # private keys, which no verifier has
)
_KINDS: Final = ("killed", "harmless", "missed")


def main() -> int:
    """Say how many mutants no test has noticed, and which; return the exit status."""
    options = _options()
    everything = [one for module in _MODULES for one in mutants(_PACKAGE, module)]
    if options.list:
        print(*(one.key for one in everything), sep="\n")
        return 0
    listed = harmless.load()
    chosen = [one for one in everything if not options.modules or one.key.module in options.modules]
    chosen = [one for one in chosen if options.only in str(one.key)]
    if options.sample:
        chosen = random.Random(options.seed).sample(chosen, options.sample)  # noqa: S311 - chosen, not secret
    killers = _killers(chosen, options)
    survivors = {str(one.key): one for one in chosen if not killers[one]}
    missed = [one for name, one in survivors.items() if name not in listed]
    killed = {str(one.key) for one in chosen if killers[one]} & {*listed}
    stale = harmless.stale(listed, (str(one.key) for one in everything))
    for one in missed:
        print(f"no test notices: {one.path.relative_to(_ROOT)}:{one.line}: {one.key}")
    for name in sorted(killed):
        print(f"listed as harmless, and a test notices it: {name}")
    for name in stale:
        print(f"listed as harmless, and no mutant: {name}")
    _count(chosen, killers, listed)
    return 1 if missed or killed or stale else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="change these only, such as checks.scan")
    parser.add_argument("--only", default="", metavar="TEXT", help="of these, those with this text in their name")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants, chosen by chance")
    parser.add_argument("--seed", type=int, default=0, help="of that chance")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="of tests for each mutant, not all of them")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time")
    parser.add_argument("--tests", nargs="+", default=_TESTS, metavar="PATH", help="run these only")
    parser.add_argument("--list", action="store_true", help="say what all mutants are called, and try none")
    parser.add_argument("--record", type=Path, metavar="FILE", help="go on from what this file says was killed")
    return parser.parse_args()


def _killers(chosen: Sequence[Mutant], options: argparse.Namespace) -> dict[Mutant, str | None]:
    """Return the test that has killed each mutant, now or in an earlier run that was recorded."""
    record = Record(options.record, _PACKAGE, _ROOT)
    known = {one: record.killer_of(one) for one in chosen}
    tests = [*_LEFT_OUT, *(str(_ROOT / test) for test in options.tests)]
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(_PACKAGE, tests, Path(home), options.jobs, record, options.budget)
        return known | judge(known, bench)


def _count(chosen: Sequence[Mutant], killers: Mapping[Mutant, str | None], listed: Mapping[str, str]) -> None:
    """Say how many mutants of each module were killed, do no harm or were missed, and of all modules."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in chosen:
        kind = "killed" if killers[one] else "harmless" if str(one.key) in listed else "missed"
        for name in (one.key.module, "all"):
            counts[name][kind] += 1
    for name in (*dict.fromkeys(one.key.module for one in chosen), "all"):
        found = counts[name]
        print(f"{name}: {found.total()} mutants: " + ", ".join(f"{found[kind]} {kind}" for kind in _KINDS))


if __name__ == "__main__":
    sys.exit(main())
