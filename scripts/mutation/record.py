"""What earlier runs have found, in a file with a line for each mutant that was tried and each test that was run.

That a mutant was killed holds as long as neither the module nor the file of the test has changed; what has survived is
tried again. What a test runs, and how long it takes, holds as long as its file and the package are the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from mutation.mutants import Mutant
from mutation.touch import Lines


class Record:
    """The file at `path`, which is made when there is something to say; without a path nothing is remembered.

    `package` is what is tested; names of tests begin with a path below `root`.
    """

    def __init__(self, path: Path | None, package: Path, root: Path) -> None:
        self._path = path
        self._package = package
        self._root = root
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        self._known: dict[str, Any] = {name: (files, said) for name, files, said in map(json.loads, lines)}

    def killer_of(self, mutant: Mutant) -> str | None:
        """Return the test that has failed with a mutant, None if none has or if that may have changed since."""
        files, killer = self._known.get(str(mutant.key), ("", None))
        return killer if killer and files == self._files_of(mutant, killer) else None

    def add_killer(self, mutant: Mutant, killer: str | None) -> None:
        """Write down the test that has failed with a mutant, None if none has."""
        self._add(str(mutant.key), self._files_of(mutant, killer), killer)

    def lines_of(self, test: str) -> tuple[float, Lines] | None:
        """Return how long a test takes, and the lines that it runs; None if that is not known."""
        files, said = self._known.get(test, ("", None))
        return said if files == self._files_of_test(test) else None

    def add_lines(self, test: str, seconds: float, lines: Lines) -> None:
        """Write down how long a test takes, and the lines that it runs."""
        self._add(test, self._files_of_test(test), (seconds, lines))

    def _add(self, name: str, files: str, said: object) -> None:
        if self._path:
            with self._path.open("ab", buffering=0) as file:  # at once: others write there as well
                file.write(json.dumps((name, files, said)).encode() + b"\n")

    def _files_of(self, mutant: Mutant, killer: str | None) -> str:
        # It may have been no test: the module cannot be loaded, or a bound was reached.
        tests = [self._root / _file(killer)] if killer and "::" in killer else []
        return _digest((mutant.path, *tests))

    def _files_of_test(self, test: str) -> str:
        return _digest((self._root / _file(test), *_sources(self._package)))


def _file(test: str) -> str:
    return test.partition("::")[0]


@cache
def _sources(package: Path) -> Sequence[Path]:
    return sorted(package.rglob("*.py"))


@cache
def _digest(paths: tuple[Path, ...]) -> str:
    contents = (path.read_bytes() if path.exists() else b"" for path in paths)  # a test may have gone since
    return sha256(b"".join(sha256(content).digest() for content in contents)).hexdigest()
