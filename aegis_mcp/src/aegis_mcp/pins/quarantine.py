"""What of a server may be used: the definitions that are pinned as it offers them, and nothing else.

First use pins. From then on a definition that differs from its pin, or that appears where a list was pinned, is
quarantined until a person approves it, whatever the server does meanwhile: removing, adding again, renaming, a new run.
What cannot be told is quarantined too.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aegis_audit.value import Value
from aegis_mcp.errors import ConfigError
from aegis_mcp.pins.book import MAX_DEFINITIONS, Binding, Book, Section, program_of
from aegis_mcp.pins.definition import MAX_DEFINITION, Definition, Key, Kind
from aegis_mcp.pins.storage import PinFile

_POLL_SECONDS: Final = 1.0
_PATIENCE: Final = 0.5
_MOST_TOLD: Final = 10_000


class Change(Value):
    """A definition that is not trusted, and why: `changed`, `added`, `unapproved`, or `unwritable` where no pin can be.

    `offered_sha256` is empty for a name that the server has not offered yet. `difference` is a few short, printable
    lines for the log and for a person.
    """

    kind: Kind
    name: str
    why: str
    pinned_sha256: str | None
    offered_sha256: str
    difference: tuple[str, ...]


class _Offer(Value):
    """What was offered last under one name, and how it differed from its pin then."""

    sha256: str
    difference: tuple[str, ...]


def default_path(policy_source: Path) -> Path:
    """Return where the lock file of a policy is: `policy.pins.json` beside `policy.yaml`."""
    try:
        policy = policy_source.expanduser().absolute()
    except RuntimeError:  # of nobody's home
        policy = policy_source.absolute()
    return policy.with_name(f"{policy.stem}.pins.json")


class Pins:
    """The pins of one server at one origin, as its gateway sees them."""

    def __init__(self, file: PinFile, binding: Binding, program: str, *, is_required: bool) -> None:
        self._file = file
        self._binding = binding
        self._program = program
        self._is_required = is_required
        self._offered: dict[Key, _Offer] = {}
        self._is_flooded = False
        self._told: set[tuple[Key, str | None, str]] = set()
        self._unwritten = ""
        self._revision = 0
        self._read()
        self._earlier = frozenset(kind for kind in Kind if self._section.has(kind))

    @classmethod
    def open(cls, path: Path, server: str, origin: str, *, is_required: bool) -> Pins:
        """Open the pins of a server; `origin` is its command in canonical JSON, or its URL.

        A lock file that cannot be read quarantines everything until it can.
        """
        return cls(PinFile(path), Binding.of(server, origin), program_of(origin), is_required=is_required)

    def look(self, kind: Kind, definitions: Mapping[str, Mapping[str, object]], *, is_complete: bool) -> list[Change]:
        """Take definitions as they are listed, and pin what is seen for the first time.

        `is_complete` says that with these the whole list of the kind was seen. Returns the changes that were not
        returned before.
        """
        self._refresh()
        offered = {(kind, name): Definition.of(listed) for name, listed in definitions.items()}
        if not self._unreadable:
            self._record(kind, offered, is_complete=is_complete)
        self._remember(offered)
        return self._news(offered)

    def quarantined(self, kind: Kind, name: str) -> Change | None:
        """Return why a definition may not be used, None if it may.

        What this run has not listed yet is judged by what was seen of it before.
        """
        if time.monotonic() >= self._next_poll:
            self._refresh()
        return self._judge((kind, name))

    def revision(self) -> int:
        """Return a number that has grown if another process, or a person, has changed what is pinned."""
        self._refresh()
        return self._revision

    def superseded(self) -> set[Key]:
        """Return what this run has listed as it was pinned, until another definition was approved in its place."""
        pinned = self._section.pinned
        as_pinned = (key for key, offer in self._offered.items() if not offer.difference and key in pinned)
        return {key for key in as_pinned if pinned[key].sha256 != self._offered[key].sha256}

    def _refresh(self) -> None:
        """Read the file again if another process, or a person, has changed it."""
        self._next_poll = time.monotonic() + _POLL_SECONDS
        if self._file.state() != self._state:
            self._read()

    def _read(self) -> None:
        self._next_poll = time.monotonic() + _POLL_SECONDS
        self._state = self._file.state()
        self._revision += 1
        self._unreadable = ""
        try:
            self._adopt(self._file.read())
        except ConfigError as exc:
            self._unreadable = str(exc)
            self._adopt(Book())

    def _adopt(self, book: Book) -> None:
        self._book = book
        self._section = book.section(self._binding) or Section(self._program)

    def _record(self, kind: Kind, offered: Mapping[Key, Definition], *, is_complete: bool) -> None:
        """Pin what may be pinned and keep the rest for a person; nothing is written where nothing is new."""

        def noted(book: Book) -> Book:
            return self._noted(book, kind, offered, is_complete=is_complete)

        self._unwritten = ""
        if noted(self._book) == self._book:
            return
        try:
            self._adopt(self._file.update(noted, _PATIENCE))
            # Another process may have written after this one: the next look at the file reads it.
            self._state = ()
        except ConfigError as exc:
            self._unwritten = str(exc)

    def _noted(self, book: Book, kind: Kind, offered: Mapping[Key, Definition], *, is_complete: bool) -> Book:
        before = book.section(self._binding) or Section(self._program)
        section = before
        if self._is_first_use(book, kind):
            section = section.pin({key: one for key, one in offered.items() if key not in section.pinned}, _now())
            if is_complete and section.has(kind):
                section = section.settle(kind)
        section = section.hold(offered)
        return book if section == before else book.with_section(self._binding, section)

    def _is_first_use(self, book: Book, kind: Kind) -> bool:
        if self._is_required or book.is_foreign(self._binding):
            return False
        section = book.section(self._binding)
        # A list that never ends would be a first use for ever: the run that began it is as long as that may last.
        return section is None or not (kind in section.settled or (kind in self._earlier and section.has(kind)))

    def _remember(self, offered: Mapping[Key, Definition]) -> None:
        for key, definition in offered.items():
            if key not in self._offered and len(self._offered) >= MAX_DEFINITIONS:
                self._is_flooded = True
                continue
            self._offered[key] = self._offer(key, definition)

    def _news(self, offered: Iterable[Key]) -> list[Change]:
        changes = [change for key in offered if (change := self._judge(key))]
        news = [change for change in changes if _identity(change) not in self._told]
        if len(self._told) + len(news) > _MOST_TOLD:
            # Rather told twice than never.
            self._told.clear()
        self._told.update(map(_identity, news))
        return news

    def _judge(self, key: Key) -> Change | None:
        kind, name = key
        if self._unreadable:
            return Change(kind, name, "unwritable", None, "", (self._unreadable,))
        pin, offer = self._section.pinned.get(key), self._offered.get(key)
        if offer is None and self._is_flooded:
            return Change(kind, name, "unwritable", None, "", (f"the server has more than {MAX_DEFINITIONS} names",))
        if pin is None and self._is_first_use(self._book, kind):
            why = (self._unwritten or "it is pinned when it is listed next",)
            return Change(kind, name, "unwritable", None, offer.sha256, (*offer.difference, *why)) if offer else None
        offer = offer or self._seen_before(key)
        if pin and (offer is None or offer.sha256 == pin.sha256):
            return None
        return self._change(key, pin, offer or _Offer("", ("the server has not listed it yet",)))

    def _seen_before(self, key: Key) -> _Offer | None:
        """Return what another run has seen of a definition that this one has not listed."""
        waiting = self._section.pending.get(key)
        return self._offer(key, waiting) if waiting else None

    def _offer(self, key: Key, definition: Definition) -> _Offer:
        if self._section.trusts(key, definition):
            return _Offer(definition.sha256, ())
        pin = self._section.pinned.get(key)
        from aegis_mcp.pins.difference import summarize  # noqa: PLC0415 - only a change needs it

        lines = summarize(pin.body if pin else None, definition.body)
        if definition.size > MAX_DEFINITION:
            lines = (f"{definition.size} bytes, and at most {MAX_DEFINITION} can be pinned", *lines)
        return _Offer(definition.sha256, lines)

    def _change(self, key: Key, pin: Definition | None, offer: _Offer) -> Change:
        kind, name = key
        is_foreign = self._book.is_foreign(self._binding)
        why = "changed" if pin else "unapproved" if self._is_required or is_foreign else "added"
        # Without a difference it was as pinned, until another one was approved in its place.
        lines = offer.difference or ("another definition was approved meanwhile",)
        if is_foreign:
            lines = ("the server is known from another command or URL, and not trusted from this one", *lines)
        return Change(kind, name, why, pin.sha256 if pin else None, offer.sha256, lines)


def _identity(change: Change) -> tuple[Key, str | None, str]:
    return ((change.kind, change.name), change.pinned_sha256, change.offered_sha256)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
