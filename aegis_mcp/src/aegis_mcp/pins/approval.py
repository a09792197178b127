"""What a person decides: which of the definitions that wait are trusted from now on.

What is approved is what was chosen: a definition that the server has changed meanwhile is another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aegis_mcp.pins.book import Binding, Book
from aegis_mcp.pins.definition import Definition, Key, Kind
from aegis_mcp.pins.storage import PinFile

_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A definition that waits for a person; `pinned` is the one that it would replace, None for a new one."""

    binding: Binding
    kind: Kind
    name: str
    pinned: Definition | None
    offered: Definition

    @property
    def key(self) -> Key:
        """Return what names the definition within its server."""
        return self.kind, self.name


def waiting(book: Book, is_chosen: Callable[[Waiting], bool]) -> list[Waiting]:
    """Return what waits and is chosen, sorted by server, kind and name."""
    found = [
        Waiting(binding, *key, section.pinned.get(key), offered)
        for binding, section in book.sections.items()
        for key, offered in section.pending.items()
    ]
    return sorted(filter(is_chosen, found), key=lambda one: (one.binding, one.kind.value, one.name))


def approve(file: PinFile, is_chosen: Callable[[Waiting], bool], now: str) -> list[Waiting]:
    """Pin what waits and is chosen, and return it; `now` is the time as RFC 3339 has it.

    Raises:
        ConfigError: the lock file cannot be read or written.
    """
    chosen: list[Waiting] = []

    def approved(book: Book) -> Book:
        chosen[:] = waiting(book, is_chosen)
        for one in chosen:
            book = _approved(book, one, now)
        return book

    file.update(approved, _PATIENCE)
    return chosen


def _approved(book: Book, one: Waiting, now: str) -> Book:
    section = book.sections[one.binding]
    # Who approves the first of a kind has taken the rest into his own hands; of another origin, all kinds.
    kinds = [*Kind] if book.is_foreign(one.binding) else [one.kind]
    return book.with_section(one.binding, section.pin({one.key: one.offered}, now).settle(*kinds))
