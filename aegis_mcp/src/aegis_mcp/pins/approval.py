"""What a person decides: which of the definitions that wait are trusted from now on.

What is approved is what was chosen: a definition that the server has changed meanwhile is another one, and the same
name at another server too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aegis_audit.escape import escape
from aegis_mcp.errors import ConfigError
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


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person has chosen: everything, or what has one of these names or hashes; of one server or any.

    A name or a hash alone chooses at one server only.
    """

    server: str | None = None
    is_all: bool = False
    keys: frozenset[Key] = frozenset()
    digests: frozenset[str] = frozenset()

    def includes(self, one: Waiting) -> bool:
        """Tell whether a definition is among those that were chosen."""
        is_named = one.key in self.keys or one.offered.sha256 in self.digests
        return self.server in {None, one.binding.server} and (self.is_all or is_named)

    def refuse_ambiguity(self, chosen: Iterable[Waiting]) -> None:
        """Refuse to take what was meant for one server for that of another.

        Raises:
            ConfigError: it is chosen at several servers, and none was named.
        """
        servers = sorted({one.binding.server for one in chosen})
        if len(servers) > 1 and not (self.is_all or self.server):
            names = ", ".join(map(escape, servers))
            raise ConfigError(f"that waits at {len(servers)} servers: {names}; choose one with --server")


def waiting(book: Book, choice: Choice) -> list[Waiting]:
    """Return what waits and is chosen, sorted by server, kind and name."""
    found = [
        Waiting(binding, *key, section.pinned.get(key), offered)
        for binding, section in book.sections.items()
        for key, offered in section.pending.items()
    ]
    return sorted(filter(choice.includes, found), key=lambda one: (one.binding, one.kind.value, one.name))


def approve(file: PinFile, choice: Choice, now: str) -> list[Waiting]:
    """Pin what waits and is chosen, and return it; `now` is the time as RFC 3339 has it.

    Raises:
        ConfigError: the lock file cannot be read or written, or the choice is ambiguous.
    """
    chosen: list[Waiting] = []

    def approved(book: Book) -> Book:
        chosen[:] = waiting(book, choice)
        choice.refuse_ambiguity(chosen)
        for one in chosen:
            book = _approved(book, one, now)
        return book

    # Where nothing waits nothing is written, not even the lock.
    if waiting(file.read(), choice):
        file.update(approved, _PATIENCE)
    return chosen


def _approved(book: Book, one: Waiting, now: str) -> Book:
    section = book.sections[one.binding]
    # Who approves the first of a kind has taken the rest into his own hands; of another origin, all kinds.
    kinds = [*Kind] if book.is_foreign(one.binding) else [one.kind]
    return book.with_section(one.binding, section.pin({one.key: one.offered}, now).settle(*kinds))
