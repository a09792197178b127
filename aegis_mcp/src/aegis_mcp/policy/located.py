"""A document with places: what a policy file says, and where it says it."""

from __future__ import annotations

from dataclasses import dataclass

from aegis_mcp.errors import Mistake, PolicyError
from aegis_mcp.policy.model import JsonScalar


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column of a file, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value; `text` is how it was written."""

    place: Place
    value: JsonScalar
    text: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of values."""

    place: Place
    items: tuple[Located, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
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
        """Raise all of them, in the order of the file.

        Raises:
            PolicyError: there is one.
        """
        if self._found:
            raise PolicyError(self._source, tuple(sorted(self._found, key=lambda found: (found.line, found.column))))
