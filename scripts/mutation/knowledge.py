"""What is known of the tests: how long each takes, which lines it runs, and which mutants it has killed."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import accumulate
from math import inf
from pathlib import Path
from typing import Final

from mutation.division import OUT_OF_BOUNDS
from mutation.mutants import Mutant, constant_in
from mutation.touch import Lines

_SECONDS: Final = 5
"""A test may take so long on a processor with a mutant, and ten times as long as without one."""


class Knowledge:
    """Chooses the tests for a mutant, those of `budget` seconds; of what it was not told anything it takes all."""

    def __init__(
        self, seconds: Mapping[str, float], touched: Mapping[str, Lines], package: Path, budget: float | None
    ) -> None:
        self._seconds = seconds
        self._touched = {test: {path: {*lines} for path, lines in one.items()} for test, one in touched.items()}
        self._package = package
        self._budget = inf if budget is None else budget
        self._kills: Counter[tuple[str, str]] = Counter()

    def add_kill(self, mutant: Mutant, test: str) -> None:
        """Count a test that has failed with a mutant."""
        if test != OUT_OF_BOUNDS:
            self._kills.update(((mutant.key.module, test), (_function(mutant), test)))

    def bound(self, test: str) -> int:
        """Return how many seconds of a processor a test may take."""
        return _SECONDS + round(10 * self._seconds.get(test, 0))

    def choose(self, mutant: Mutant, tests: Iterable[str]) -> list[str]:
        """Return the tests that may notice a mutant: what has killed its like goes first, then what is quick.

        Of tests that differ in their parameters only, the first ones are tried before the second ones.
        """
        chosen = self._touching(mutant, [*tests])
        chosen.sort(key=lambda test: (*self._rank(mutant, test), self._seconds.get(test, 0)))
        turns: Counter[str] = Counter()
        taken: dict[str, int] = {}
        for test in chosen:
            turns[_unparametrized(test)] += 1
            taken[test] = turns[_unparametrized(test)]
        chosen.sort(key=taken.__getitem__)
        spent = accumulate((self._seconds.get(test, 0) for test in chosen), initial=0.0)
        return [test for test, before in zip(chosen, spent, strict=False) if before < self._budget]

    def _rank(self, mutant: Mutant, test: str) -> tuple[int, int]:
        return -self._kills[_function(mutant), test], -self._kills[mutant.key.module, test]

    def _touching(self, mutant: Mutant, tests: list[str]) -> list[str]:
        if not self._touched:
            return tests
        path = str(mutant.path.relative_to(self._package))
        wanted: tuple[dict[str, set[int]], ...] = (
            {path: {*mutant.lines}},
            {path: {*mutant.function}},
            _users(mutant.constant, self._package) if mutant.constant else {},
        )
        # Not every line that is run is one by which the interpreter says so: if no test runs one, the function counts.
        for lines in wanted:
            if found := [test for test in tests if self._runs(test, lines)]:
                return found
        within = [test for test in tests if path in self._touched[test]] if not mutant.constant else []
        return within or tests

    def _runs(self, test: str, lines: Mapping[str, set[int]]) -> bool:
        touched = self._touched.get(test, {})
        return any(not numbers.isdisjoint(touched.get(path, ())) for path, numbers in lines.items())


def _unparametrized(test: str) -> str:
    return test.partition("[")[0]


def _function(mutant: Mutant) -> str:
    return f"{mutant.key.module}:{mutant.key.function}"


def _users(constant: str, package: Path) -> dict[str, set[int]]:
    """Return the functions that use a constant of any module of a package, or another one that is made of it."""
    names, lines = {constant}, defaultdict[str, set[int]](set)
    functions, constants = _uses(package)
    for name, used in constants:
        if used & names:
            names.add(name)
    for path, numbers, used in functions:
        if used & names:
            lines[path].update(numbers)
    return lines


@cache
def _uses(package: Path) -> tuple[list[tuple[str, range, set[str]]], list[tuple[str, set[str]]]]:
    """Return what names each function uses, and each constant of a module."""
    functions: list[tuple[str, range, set[str]]] = []
    constants: list[tuple[str, set[str]]] = []
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_bytes())
        constants.extend((name, _names(one)) for one in tree.body if (name := constant_in(one)))
        functions.extend(
            (str(path.relative_to(package)), range(node.lineno, (node.end_lineno or node.lineno) + 1), _names(node))
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
        )
    return functions, constants


def _names(node: ast.AST) -> set[str]:
    return {
        one.id if isinstance(one, ast.Name) else one.attr
        for one in ast.walk(node)
        if isinstance(one, ast.Name | ast.Attribute)
    }
