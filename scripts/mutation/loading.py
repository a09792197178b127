"""The tests of the verifier, loaded by pytest, with a mutant of a module in the place of the module or without."""

from __future__ import annotations

import os
import pkgutil
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

import pytest
from hypothesis import Phase, settings

from mutation import command
from mutation.mutants import Mutant

PACKAGE: Final = "aegis_audit"
_LEFT_OUT: Final = (
    # What asks of thousands of cases what others ask of a few.
    "no_memory",
    "cut_short_at_any_byte",
    "in_a_compressed_segment_is_found",
    "bit_that_changes",
    "test_any_history",
    "a crash after each byte",
    # What needs a process of its own for each command.
    "the_extra_is_needed",
)
_FAMILY: Final = 12
"""Of tests that differ in numbers only, such as one for each byte, so many are enough here.

Those that pytest numbers itself, such as `raw29`, differ in what somebody has chosen, and are all tried.
"""
_NUMBER: Final = "(?<![a-z_0-9])[0-9]+"
_EXAMPLES: Final = 40
_SETTINGS: Final = "_hypothesis_internal_use_settings"
"""Where Hypothesis keeps what a test says of itself: with all examples that it asks for a survivor takes minutes."""
_OPTIONS: Final = ("--capture=no", "--assert=plain", "--tb=line", "-p", "no:cacheprovider", "-o", "timeout=0")


def load(tests: Sequence[str], home: Path, work: Callable[[pytest.Session], Any], mutant: Mutant | None = None) -> Any:
    """Load a mutant and the tests, and return what `work` returns; `home` is a directory for files.

    A process can do that once.
    """
    os.environ["AEGIS_FORBID_SKIPS"] = "1"  # and the same examples each time
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if mutant:
        sys.meta_path.insert(0, _Finder(mutant))
    loader = _Loader(work)
    pytest.main([*_OPTIONS, "--basetemp", str(home / "tests"), *tests], plugins=[loader])
    return loader.result


def run(session: pytest.Session, item: pytest.Item) -> bool:
    """Run a test, and tell whether it has failed."""
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return session.testsfailed > 0


class _Loader:
    """Works with the tests that pytest has loaded, in the place of running them."""

    def __init__(self, work: Callable[[pytest.Session], Any]) -> None:
        self._work = work
        self.result: Any = "the tests cannot be loaded"

    def pytest_collection(self) -> None:
        # The smallest example that fails is of no interest here.
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", parent=settings(), phases=phases, max_examples=_EXAMPLES)
        settings.load_profile("mutants")
        command.install()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [one for one in items if not any(text in one.nodeid for text in _LEFT_OUT)]
        for item in items:
            _take_fewer_examples(item)
        families: defaultdict[str, list[pytest.Item]] = defaultdict(list)
        for item in items:
            families[re.sub(_NUMBER, "#", item.nodeid)].append(item)
        items[:] = [one for family in families.values() for one in family[:: -(-len(family) // _FAMILY)]]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:  # a file of tests cannot be loaded
            return True
        for module in pkgutil.walk_packages(import_module(PACKAGE).__path__, f"{PACKAGE}."):
            import_module(module.name)
        self.result = self._work(session)
        return True


def _take_fewer_examples(item: pytest.Item) -> None:
    function: Any = getattr(item, "function", None)
    chosen: settings | None = getattr(function, _SETTINGS, None)
    if chosen and chosen.max_examples > _EXAMPLES:
        setattr(function, _SETTINGS, settings(chosen, max_examples=_EXAMPLES))


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
