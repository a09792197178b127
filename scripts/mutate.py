"""Mutation testing of the verifier: change one thing in it at a time, and see that a test fails.

What no test notices is a survivor: either a test is missing, or the change does no harm, and then
`mutation/harmless.toml` says why. The status is 1 if a survivor is not listed there, or what is listed is none.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mutation import harmless
from mutation.division import Division
from mutation.mutants import Mutant, mutants
from mutation.suite import killers

_ROOT: Final = Path(__file__).resolve().parent.parent
_PACKAGE: Final = _ROOT / "aegis_audit" / "src" / "aegis_audit"
_MODULES: Final = (
    *(f"checks.{path.stem}" for path in sorted(_PACKAGE.glob("checks/[a-z]*.py"))),
    *("verify", "verdict", "finding", "account", "report", "level", "demand", "trust", "anchor", "sidecar", "state"),
    *("segment", "entry", "shape", "canonical", "chain", "mark", "tree", "note", "checkpoint", "epoch", "signature"),
    *("proof", "proving", "comparison", "headline", "walk", "archive", "expand", "reading", "cli.verify"),
)
"""The modules in which a verdict comes about; what shows it is judged by tests of its own."""

_CLI: Final = ("prove", "compare", "consistency", "head", "accounting")
_TESTS: Final = ("tests/tamper", "tests/attacker", "tests/audit", *(f"tests/cli/test_{name}.py" for name in _CLI))
_THOROUGH: Final = (
    "no_memory",
    "cut_short_at_any_byte",
    "in_a_compressed_segment_is_found",
    "bit_that_changes",
    "every_tampering_is_judged",
    "test_any_history",
)
"""What asks of thousands of cases what others ask of a few."""
_LEFT_OUT: Final = (
    "--ignore=tests/tamper/test_second_verifier.py",  # judges the other verifier
    "--ignore=tests/audit/test_key.py",  # private keys, which no verifier has
    f"-k=not ({' or '.join(_THOROUGH)})",
)


def main() -> int:
    """Say how many mutants no test has noticed, and which; return the exit status."""
    options = _options()
    everything = [one for module in _MODULES for one in mutants(_PACKAGE, module)]
    listed = harmless.load()
    chosen = [one for one in everything if not options.modules or one.key.module in options.modules]
    if options.sample:
        known = [one for one in chosen if one.key.function and str(one.key) not in listed]
        chosen = random.Random(options.seed).sample(known, options.sample)  # noqa: S311 - chosen, not secret
    survivors = {str(one.key): one for one in _survivors(chosen, options.jobs)}
    missed = [one for name, one in survivors.items() if name not in listed]
    killed = {str(one.key) for one in chosen} & {*listed} - {*survivors}
    stale = harmless.stale(listed, (str(one.key) for one in everything))
    for one in missed:
        print(f"no test notices: {one.path.relative_to(_ROOT)}:{one.line}: {one.key}")
    for name in sorted(killed):
        print(f"listed as harmless, and a test notices it: {name}")
    for name in stale:
        print(f"listed as harmless, and no mutant: {name}")
    harmless_ones = len(survivors) - len(missed)
    print(
        f"{len(chosen)} mutants: {len(chosen) - len(survivors)} killed, {harmless_ones} harmless, {len(missed)} missed"
    )
    return 1 if missed or killed or stale else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="change these only, such as checks.scan")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants, chosen by chance")
    parser.add_argument("--seed", type=int, default=0, help="of that chance")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time")
    return parser.parse_args()


def _survivors(chosen: Sequence[Mutant], jobs: int) -> list[Mutant]:
    with tempfile.TemporaryDirectory() as scratch:
        parts = [chosen[start::jobs] for start in range(jobs)]
        running = [
            Division(lambda part=part, at=at: _judge(part, Path(scratch, str(at)))) for at, part in enumerate(parts)
        ]
        found = [one.result() for one in running]
    return [
        mutant
        for part, result in zip(parts, found, strict=True)
        for mutant, killer in zip(part, result, strict=True)
        if killer is None
    ]


def _judge(part: Sequence[Mutant], home: Path) -> list[str | None]:
    home.mkdir()
    return killers(part, [*_LEFT_OUT, *(str(_ROOT / test) for test in _TESTS)], home)


if __name__ == "__main__":
    sys.exit(main())
