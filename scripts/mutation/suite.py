"""The tests of the verifier, loaded once and run for each mutant in a copy of the process.

What a mutant changes in a function is put into the function that is loaded, by exchanging its code. What it changes
outside of functions has to be there before anything is loaded, which takes much longer.
"""

from __future__ import annotations

import gc
import os
import pkgutil
import re
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

import pytest

from mutation import command
from mutation.division import OUT_OF_BOUNDS, Division
from mutation.mutants import Mutant

PACKAGE: Final = "aegis_audit"
_SECONDS: Final = 20
"""A mutant whose tests take longer on a processor never ends."""
_FEW: Final = 50
"""For no more mutants than that it is not worth while to find out what each test calls."""
_FAMILY: Final = 12
"""Of tests that differ in numbers only, such as one for each byte, so many are enough here."""


class FailingTest(Exception):
    """A test fails without any mutant, and would kill all."""


def killers(mutants: Sequence[Mutant], tests: Sequence[str], home: Path) -> list[str | None]:
    """Return for each mutant a test that fails with it, None where none does; `home` is a directory for files.

    Raises:
        FailingTest: a test fails without any mutant.
    """
    inside = [one for one in mutants if one.key.function]
    found = Division(lambda: _load(tests, home, lambda session: _Suite(session, home).killers(inside))).result()
    if isinstance(found, str):
        raise FailingTest(found)
    killed: dict[Mutant, str | None] = dict(zip(inside, found, strict=True))
    for one in mutants:
        if one not in killed:
            killed[one] = Division(lambda one=one: _load(tests, home, _run_all, one), 2 * _SECONDS).result()
    return [killed[one] for one in mutants]


def _run_all(session: pytest.Session) -> str | None:
    return _run(session, session.items)


def _run(session: pytest.Session, items: Sequence[pytest.Item]) -> str | None:
    """Run tests up to the first that fails, and return that one."""
    for at, item in enumerate(items):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=(*items, None)[at + 1])
        if session.testsfailed:
            return item.nodeid
    return None


class _Suite:
    """The loaded tests, with what each of them calls and how long it takes."""

    def __init__(self, session: pytest.Session, home: Path) -> None:
        self._session = session
        self._home = home
        self._functions = _functions()
        self._seconds: dict[str, float] = {}
        self._touched: dict[str, set[str]] = {}
        self._kills: Counter[tuple[str, str]] = Counter()

    def _learn(self) -> str | None:
        """Run every test once as it is; return the first that fails."""
        for item in self._session.items:
            before = time.process_time()
            self._touched[item.nodeid] = _called(lambda item=item: _run(self._session, [item]))
            self._seconds[item.nodeid] = time.process_time() - before
            if self._session.testsfailed:
                return item.nodeid
        return None

    def killers(self, mutants: Sequence[Mutant]) -> list[str | None] | str:
        """Return for each mutant a test that fails with it; the name of a test that fails without any."""
        failing = self._learn() if len(mutants) > _FEW else None
        return failing or [self._killer_of(mutant) for mutant in mutants]

    def _killer_of(self, mutant: Mutant) -> str | None:
        """Return the test that fails with a mutant; None if all succeed."""
        name, module = _named(mutant), mutant.key.module
        items = [one for one in self._session.items if name in self._touched.get(one.nodeid, {name})]
        # What has killed its like goes first, then what is quick.
        items.sort(
            key=lambda one: (
                -self._kills[name, one.nodeid],
                -self._kills[module, one.nodeid],
                self._seconds.get(one.nodeid, 0),
            )
        )
        killer: str | None = Division(lambda: self._play(mutant, items), _SECONDS).result()
        if killer and killer != OUT_OF_BOUNDS:
            self._kills.update(((name, killer), (module, killer)))
        for path in (self._home / "tests").iterdir():
            shutil.rmtree(path, ignore_errors=True)
        return killer

    def _play(self, mutant: Mutant, items: Sequence[pytest.Item]) -> str | None:
        code = mutant.code()
        for function in self._functions[_named(mutant)]:
            function.__code__ = _same(code, function.__code__)
        return _run(self._session, items)


# Functions by their names.


def _named(mutant: Mutant) -> str:
    return f"{mutant.path}:{mutant.key.function}"


def _name(code: CodeType) -> str:
    return f"{code.co_filename}:{code.co_qualname}"


def _functions() -> dict[str, list[FunctionType]]:
    functions: defaultdict[str, list[FunctionType]] = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, FunctionType):
            functions[_name(one.__code__)].append(one)
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


def _called(run: Callable[[], object]) -> set[str]:
    """Return the names of the functions that are called while something runs."""
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return set(map(_name, called))


# Loading.


def _load(tests: Sequence[str], home: Path, work: Callable[[pytest.Session], Any], mutant: Mutant | None = None) -> Any:
    """Load a mutant and the tests, and return what `work` returns."""
    os.environ["AEGIS_FORBID_SKIPS"] = "1"  # and the same examples each time
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if mutant:
        sys.meta_path.insert(0, _Finder(mutant))
    loader = _Loader(work)
    options = ("--capture=no", "-p", "no:cacheprovider", "-o", "timeout=0", "--basetemp", str(home / "tests"))
    pytest.main([*options, *tests], plugins=[loader])
    return loader.result


class _Loader:
    """Works with the tests that pytest has loaded, in the place of running them."""

    def __init__(self, work: Callable[[pytest.Session], Any]) -> None:
        self._work = work
        self.result: Any = "not loaded"

    def pytest_collection(self) -> None:
        command.install()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        families: defaultdict[str, list[pytest.Item]] = defaultdict(list)
        for item in items:
            families[re.sub("[0-9]+", "#", item.nodeid)].append(item)
        items[:] = [one for family in families.values() for one in family[:: -(-len(family) // _FAMILY)]]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for module in pkgutil.walk_packages(import_module(PACKAGE).__path__, f"{PACKAGE}."):
            import_module(module.name)
        gc.collect()
        self.result = self._work(session)
        return True


class _Finder:
    """Finds the module that is a mutant."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"{PACKAGE}.{mutant.key.module}"
        self._code = mutant.code()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == self._name else None
        if spec and spec.origin:
            spec.loader = _CodeLoader(name, spec.origin, self._code)
        return spec


class _CodeLoader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - its name is part of the protocol
        return self._code
