"""What earlier runs have found, in a file with a line for each mutant that was tried.

That a mutant was killed holds as long as neither the module nor the file of the test has changed. What has survived is
tried again.
"""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path

from mutation.division import OUT_OF_BOUNDS
from mutation.mutants import Mutant


class Record:
    """The file at `path`, which is made when there is something to say; `root` is where the tests are."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path = path
        self._root = root
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._known: dict[str, list[str]] = {name: known for name, *known in map(json.loads, lines)}

    def killer_of(self, mutant: Mutant) -> str | None:
        """Return the test that has failed with a mutant, None if none has or if that may have changed since."""
        module, tests, killer = self._known.get(str(mutant.key), ("", "", ""))
        return killer if killer and module == _digest(mutant.path) and tests == self._tests(killer) else None

    def add(self, mutant: Mutant, killer: str | None) -> None:
        """Write down the test that has failed with a mutant, None if none has."""
        line = json.dumps([str(mutant.key), _digest(mutant.path), self._tests(killer) if killer else "", killer])
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _tests(self, killer: str) -> str:
        return "" if killer == OUT_OF_BOUNDS else _digest(self._root / killer.partition("::")[0])


@cache
def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest() if path.exists() else ""
