"""The tests of the verifier, loaded once and run for each mutant in a copy of the process.

What a mutant changes in a function is put into the function that is loaded, by exchanging its code. What it changes
outside of functions has to be there before anything is loaded: then only the tests that are wanted are loaded, in a
process that holds all libraries already.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple

import pytest

from mutation.division import Division, bound
from mutation.knowledge import Knowledge
from mutation.loading import load, run
from mutation.mutants import Mutant
from mutation.record import Record
from mutation.touch import touched

_FEW: Final = 40
"""For no more mutants than that it is not worth while to find out what each test runs."""
_LONG: Final = 60
"""Seconds of a processor that any test may take with a mutant of which nothing is known."""
_OURS: Final = ("aegis", "tests", "support", "test_", "conftest", "mutation", "__main__")


class FailingTestError(Exception):
    """A test fails without any mutant, and would kill all."""


class Bench(NamedTuple):
    """Where mutants are tried: the package, the tests, a directory for files, how many processes, and a record.

    Each mutant has a budget of so many seconds of tests, as they are without it; None is no bound.
    """

    package: Path
    tests: Sequence[str]
    home: Path
    jobs: int
    record: Record
    budget: float | None


def judge(known: Mapping[Mutant, str | None], bench: Bench) -> dict[Mutant, str | None]:
    """Return for each mutant of which no test is known that fails with it such a test, None where there is none.

    Raises:
        FailingTestError: a test fails without any mutant.
    """
    inside = [one for one, killer in known.items() if one.key.function and not killer]
    outside = [one for one, killer in known.items() if not one.key.function and not killer]
    kills = [(one, killer) for one, killer in known.items() if killer]

    def tried(session: pytest.Session) -> Any:
        return _loaded(session, inside, outside, kills, bench)

    result = Division(lambda: load(bench.tests, bench.home, tried))
    match result.result():
        case {"killers": killers, "tests": tests, "libraries": libraries}:
            apart: list[Any] = Division(lambda: _apart(outside, tests, libraries, bench)).result() if outside else []
            return {**dict(zip(inside, killers, strict=True)), **dict(zip(outside, apart, strict=True))}
        case failing:
            raise FailingTestError(failing)


def _loaded(
    session: pytest.Session,
    inside: Sequence[Mutant],
    outside: Sequence[Mutant],
    kills: Sequence[tuple[Mutant, str]],
    bench: Bench,
) -> Any:
    """Try the mutants inside of functions; say also which tests may notice each of the others."""
    known: dict[str, Any] = {}
    if len(inside) + len(outside) > _FEW:
        known = {item.nodeid: bench.record.lines_of(item.nodeid) for item in session.items}
        missing = [item for item in session.items if not known[item.nodeid]]
        learnt = _shared(missing, bench.jobs, lambda items, at: _learn(session, items, bench, at))
        known |= {item.nodeid: one for item, one in zip(missing, learnt, strict=True)}
        if failing := [test for test, one in known.items() if not one]:
            return failing
    seconds, lines = ({test: one[at] for test, one in known.items()} for at in (0, 1))
    knowledge = Knowledge(seconds, lines, bench.package, bench.budget)
    for mutant, killer in kills:
        knowledge.add_kill(mutant, killer)
    suite = _Suite(session, knowledge)
    killers = _shared(inside, bench.jobs, lambda part, at: [suite.killer_of(one, bench, at) for one in part])
    for mutant, killer in zip(inside, killers, strict=True):
        if killer:
            knowledge.add_kill(mutant, killer)
    tests = [knowledge.choose(one, (item.nodeid for item in session.items)) for one in outside]
    return {"killers": killers, "tests": tests, "libraries": sorted(name for name in sys.modules if not _is_ours(name))}


def _learn(session: pytest.Session, items: Sequence[pytest.Item], bench: Bench, at: int) -> list[Any]:
    """Run tests as they are; return for each what it takes and which lines it runs, None if it fails."""
    _use(session, bench.home / f"learn-{at}")
    learnt: list[Any] = []
    for item in items:
        before = sum(os.times()[:4])
        lines = touched(bench.package, lambda item=item: run(session, item))
        seconds = sum(os.times()[:4]) - before
        learnt.append(None if session.testsfailed else (seconds, lines))
        session.testsfailed = 0
        if learnt[-1]:
            bench.record.add_lines(item.nodeid, seconds, lines)
    return learnt


class _Suite:
    """The loaded tests, and the functions of the package."""

    def __init__(self, session: pytest.Session, knowledge: Knowledge) -> None:
        self._session = session
        self._items = {item.nodeid: item for item in session.items}
        self._knowledge = knowledge
        self._functions = _functions()
        gc.collect()
        gc.freeze()  # after which no function can be found

    def killer_of(self, mutant: Mutant, bench: Bench, at: int) -> str | None:
        """Return the test that fails with a mutant; None if all succeed."""
        home = bench.home / f"files-{at}"
        tests = self._knowledge.choose(mutant, self._items)
        killer: str | None = Division(lambda: self._play(mutant, tests, home)).result()
        if killer:
            self._knowledge.add_kill(mutant, killer)
        bench.record.add_killer(mutant, killer)
        shutil.rmtree(home, ignore_errors=True)
        return killer

    def _play(self, mutant: Mutant, tests: Sequence[str], home: Path) -> str | None:
        _use(self._session, home)
        code = mutant.code()
        functions = self._functions[_named(mutant)]
        assert functions, mutant
        for function in functions:
            function.__code__ = _same(code, function.__code__)
        return _first_failing(self._session, [self._items[test] for test in tests], self._knowledge.bound)


def _first_failing(session: pytest.Session, items: Iterable[pytest.Item], seconds: Callable[[str], int]) -> str | None:
    for item in items:
        bound(seconds(item.nodeid))
        if run(session, item):
            return item.nodeid
    return None


def _use(session: pytest.Session, home: Path) -> None:
    """Let the tests have their files in this directory, which is made, and which no other copy uses."""
    home.mkdir()
    factory: Any = session.config._tmp_path_factory  # type: ignore[attr-defined] # noqa: SLF001
    factory._basetemp = home  # noqa: SLF001


def _shared(things: Sequence[Any], jobs: int, work: Callable[[Sequence[Any], int], list[Any]]) -> list[Any]:
    """Return what `work` returns for all things, by so many processes, each of which has a number."""
    running = [Division(lambda at=at: work(things[at::jobs], at)) for at in range(jobs)]
    found: list[Any] = [None] * len(things)
    for at, one in enumerate(running):
        found[at::jobs] = one.result()
    return found


# Functions by their names.


def _named(mutant: Mutant) -> str:
    return f"{mutant.path}:{mutant.key.function}"


def _functions() -> Mapping[str, list[FunctionType]]:
    functions: defaultdict[str, list[FunctionType]] = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, FunctionType):
            functions[f"{one.__code__.co_filename}:{one.__code__.co_qualname}"].append(one)
    return functions


def _same(code: CodeType, wanted: CodeType) -> CodeType:
    """Return the code below `code` that is that of the same function as `wanted`."""
    found = [
        one
        for one in _below(code)
        if (one.co_qualname, one.co_firstlineno) == (wanted.co_qualname, wanted.co_firstlineno)
    ]
    return found[0]


def _below(code: CodeType) -> Iterable[CodeType]:
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield one
            yield from _below(one)


# Mutants outside of functions.


def _apart(mutants: Sequence[Mutant], tests: Sequence[Sequence[str]], libraries: Sequence[str], bench: Bench) -> Any:
    for library in libraries:
        with suppress(Exception):  # what cannot be loaded here is loaded by the tests
            import_module(library)
    gc.freeze()
    pairs = [*zip(mutants, tests, strict=True)]

    def tried(part: Sequence[tuple[Mutant, Sequence[str]]], at: int) -> list[str | None]:
        return [_killer_apart(mutant, wanted, bench, at) for mutant, wanted in part]

    return _shared(pairs, bench.jobs, tried)


def _killer_apart(mutant: Mutant, tests: Sequence[str], bench: Bench, at: int) -> str | None:
    """Return the first of the tests that fails with a mutant; those in the same file as the first are loaded first."""
    home = bench.home / f"files-{at}"
    first = [test for test in tests if _file(test) == _file(tests[0])]
    killer: str | None = None
    for some in (first, [test for test in tests if test not in {*first}]):
        if some and not killer:
            home.mkdir()
            killer = Division(lambda some=some: _load_apart(mutant, some, home)).result()
            shutil.rmtree(home, ignore_errors=True)
    bench.record.add_killer(mutant, killer)
    return killer


def _load_apart(mutant: Mutant, tests: Sequence[str], home: Path) -> str | None:
    places = {test: number for number, test in enumerate(tests)}

    def work(session: pytest.Session) -> str | None:
        items = sorted((item for item in session.items if item.nodeid in places), key=lambda one: places[one.nodeid])
        return _first_failing(session, items, lambda _: _LONG)

    bound(_LONG)
    return load(sorted({*map(_file, tests)}), home, work, mutant)


def _file(test: str) -> str:
    return test.partition("::")[0]


def _is_ours(name: str) -> bool:
    return name.startswith(_OURS)
