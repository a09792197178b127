"""A document with places: what a policy file says, and where it says it."""

from __future__ import annotations

import re
from typing import Final

from aegis_audit.value import Value
from aegis_mcp.errors import Mistake, PolicyError
from aegis_mcp.policy.model import JsonScalar

MAX_MISTAKES: Final = 100
"""How many mistakes of one file are named."""
_JSON: Final = r"true|false|null|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"


class Place(Value):
    """A line and a column of a file, from 1."""

    line: int
    column: int


class Scalar(Value):
    """One value; `text` is how it was written."""

    place: Place
    value: JsonScalar
    text: str

    @property
    def is_unambiguous(self) -> bool:
        """Tell whether everybody reads the same here: of `0777`, `1_000`, `1:30` and `yes` YAML has two opinions."""
        return isinstance(self.value, str) or re.fullmatch(_JSON, self.text) is not None


class Listing(Value):
    """A list of values."""

    place: Place
    items: tuple[Located, ...]


class Mapping(Value):
    """Names and their values, in the order of the file; a name may stand here twice."""

    place: Place
    members: tuple[tuple[Located, Located], ...]


Located = Scalar | Listing | Mapping


class Mistakes:
    """Every mistake of one file."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: list[Mistake] = []

    def note(self, where: Located, message: str) -> None:
        """Note a mistake at a place."""
        self._found.append(Mistake(where.place.line, where.place.column, message))

    def raise_any(self) -> None:
        """Raise all of them, in the order of the file, but not more than a person would read.

        Raises:
            PolicyError: there is one.
        """
        found = sorted(self._found, key=lambda mistake: (mistake.line, mistake.column))
        if len(found) > MAX_MISTAKES:
            last = found[MAX_MISTAKES]
            rest = Mistake(last.line, last.column, f"{len(found) - MAX_MISTAKES} more mistakes from here on")
            found = [*found[:MAX_MISTAKES], rest]
        if found:
            raise PolicyError(self._source, tuple(found))
