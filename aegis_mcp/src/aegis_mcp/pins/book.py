"""What is pinned of every server, as values, and as the text of the lock file.

Each server has a section for each origin that it was started from, so that a server of the same name from somewhere
else never inherits its trust. An origin may hold a secret: the file has its SHA-256 and the program's name alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast
from urllib.parse import urlsplit

from aegis_audit.escape import escape
from aegis_audit.value import Value, replace
from aegis_mcp.pins.definition import MAX_DEFINITION, Definition, Key, Kind

MAX_DEFINITIONS: Final = 10_000
"""Definitions of one section that are pinned, and as many again that wait to be approved."""

MAX_PENDING: Final = 16 * 1024 * 1024
"""Bytes of the definitions of one section that wait to be approved."""

_VERSION: Final = 1
_Definitions: TypeAlias = Mapping[Key, Definition]


class Binding(Value):
    """A server and what it was started from: the name in the policy and the SHA-256 of its command or URL."""

    server: str
    origin_sha256: str

    @classmethod
    def of(cls, server: str, origin: str) -> Binding:
        """Return the binding of a server to its origin."""
        return cls(server, hashlib.sha256(origin.encode("utf-8", "surrogatepass")).hexdigest())

    def __lt__(self, other: Binding) -> bool:
        """Tell which stands first where bindings are listed."""
        return (self.server, self.origin_sha256) < (other.server, other.origin_sha256)


class Section(Value):
    """What is known of one server at one origin.

    `first_pinned` is a time as RFC 3339 has it, empty before it. What is new of a kind that is `settled` is not trusted
    by itself any more. `pending` is what was offered last and differs from what is pinned, or is not pinned.
    """

    program: str
    first_pinned: str = ""
    settled: frozenset[Kind] = frozenset()
    pinned: _Definitions = MappingProxyType[Key, Definition]({})
    pending: _Definitions = MappingProxyType[Key, Definition]({})

    def has(self, kind: Kind) -> bool:
        """Tell whether anything of this kind is pinned."""
        return any(pinned is kind for pinned, _ in self.pinned)

    def trusts(self, key: Key, offered: Definition) -> bool:
        """Tell whether a definition is the one that is pinned."""
        pin = self.pinned.get(key)
        return pin is not None and pin.sha256 == offered.sha256

    def pin(self, definitions: _Definitions, now: str) -> Section:
        """Return the section with these definitions trusted, as far as there is room for them; `now` is the time."""
        pinned = dict(self.pinned)
        for key, definition in definitions.items():
            if definition.size <= MAX_DEFINITION and (key in pinned or len(pinned) < MAX_DEFINITIONS):
                pinned[key] = definition
        if pinned == self.pinned:
            return self
        done = {key for key, definition in definitions.items() if pinned.get(key) is definition}
        pending = {key: waiting for key, waiting in self.pending.items() if key not in done}
        return replace(self, first_pinned=self.first_pinned or now, pinned=pinned, pending=pending)

    def settle(self, *kinds: Kind) -> Section:
        """Return the section with no more first use of these kinds."""
        return replace(self, settled=self.settled.union(kinds))

    def hold(self, offered: _Definitions) -> Section:
        """Return the section in which of these waits what is not pinned, as far as there is room for it.

        What waits under a name is what was offered last, or nothing: nobody approves what is no longer offered.
        """
        pending = {key: waiting for key, waiting in self.pending.items() if key not in offered}
        room = MAX_PENDING - sum(waiting.size for waiting in pending.values())
        for key, definition in offered.items():
            is_small = definition.size <= min(room, MAX_DEFINITION) and len(pending) < MAX_DEFINITIONS
            if is_small and not self.trusts(key, definition):
                pending[key] = definition
                room -= definition.size
        return replace(self, pending=pending)


class Book(Value):
    """Every section."""

    sections: Mapping[Binding, Section] = MappingProxyType[Binding, Section]({})

    def section(self, binding: Binding) -> Section | None:
        """Return the section of a server at its origin, None if there is none."""
        return self.sections.get(binding)

    def with_section(self, binding: Binding, section: Section) -> Book:
        """Return the book with this section."""
        return Book({**self.sections, binding: section})

    def is_foreign(self, binding: Binding) -> bool:
        """Tell whether a server is trusted from another origin, and not at all from this one."""
        own = self.sections.get(binding)
        others = (section for at, section in self.sections.items() if at.server == binding.server and at != binding)
        return not (own and own.pinned) and any(section.pinned for section in others)


def program_of(origin: str) -> str:
    """Return the part of an origin that names it to a person and is no secret: a program or a host."""
    try:
        command: Any = json.loads(origin)
        return PurePath(command[0]).name
    except (ValueError, LookupError, TypeError):
        pass
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def encode(book: Book) -> bytes:
    """Return the text of the file: sorted, indented, and in ASCII, so that nothing in it is invisible in a review."""
    servers: dict[str, dict[str, Any]] = {}
    for binding, section in book.sections.items():
        servers.setdefault(binding.server, {})[binding.origin_sha256] = {
            "first_pinned": section.first_pinned,
            "pending": _by_kind(section.pending),
            "pinned": _by_kind(section.pinned),
            "program": section.program,
            "settled": sorted(kind.value for kind in section.settled),
        }
    document = {"version": _VERSION, "servers": servers}
    return json.dumps(document, indent=2, sort_keys=True).encode("ascii") + b"\n"


def _by_kind(definitions: _Definitions) -> dict[str, dict[str, Any]]:
    kinds: dict[str, dict[str, Any]] = {}
    for (kind, name), definition in definitions.items():
        kinds.setdefault(kind.value, {})[name] = {"definition": definition.body, "sha256": definition.sha256}
    return kinds


def decode(text: bytes) -> Book:
    """Return what the text of a file says; what is not understood is refused, never passed over.

    Raises:
        ValueError: it is not the text of such a file; the message says where and why.
    """
    try:
        document = _object(_load(text), "the file")
        if document.get("version") != _VERSION:
            raise ValueError(f"its version is not {_VERSION}; another release has written it")
        _expect(document, {"version", "servers"}, "the file")
        return Book(_sections(document["servers"]))
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def _load(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except UnicodeDecodeError as exc:
        raise ValueError("it is not UTF-8") from exc
    except json.JSONDecodeError as exc:
        raise ValueError(f"line {exc.lineno} is not JSON") from exc


def _sections(servers: Any) -> dict[Binding, Section]:
    return {
        Binding(server, origin): _section(section, f"servers/{escape(server)}/{escape(origin[:12])}")
        for server, origins in _object(servers, "servers").items()
        for origin, section in _object(origins, f"servers/{escape(server)}").items()
    }


def _section(value: Any, place: str) -> Section:
    members = _object(value, place)
    _expect(members, {"first_pinned", "pending", "pinned", "program", "settled"}, place)
    if not isinstance(members["program"], str) or not isinstance(members["first_pinned"], str):
        raise ValueError(f"{place}: `program` and `first_pinned` are texts")  # noqa: TRY004 - of the file
    return Section(
        members["program"],
        members["first_pinned"],
        _kinds(members["settled"], f"{place}/settled"),
        _definitions(members["pinned"], f"{place}/pinned"),
        _definitions(members["pending"], f"{place}/pending"),
    )


def _definitions(value: Any, place: str) -> dict[Key, Definition]:
    kinds = _object(value, place)
    definitions = {
        (kind, name): _definition(pin, f"{place}/{kind.value}/{escape(name[:64])}")
        for kind in _kinds(list(kinds), place)
        for name, pin in _object(kinds[kind.value], f"{place}/{kind.value}").items()
    }
    if len(definitions) > MAX_DEFINITIONS:
        raise ValueError(f"{place}: more than {MAX_DEFINITIONS} definitions")
    return definitions


def _definition(value: Any, place: str) -> Definition:
    members = _object(value, place)
    _expect(members, {"definition", "sha256"}, place)
    definition = Definition.of(_object(members["definition"], f"{place}/definition"))
    if definition.sha256 != members["sha256"]:
        raise ValueError(f"{place}: the definition is not the one that its sha256 speaks of")
    if definition.size > MAX_DEFINITION:
        raise ValueError(f"{place}: larger than {MAX_DEFINITION} bytes")
    return definition


def _kinds(value: Any, place: str) -> frozenset[Kind]:
    try:
        return frozenset(Kind(word) for word in cast("list[Any]", value))
    except (ValueError, TypeError) as exc:
        raise ValueError(f"{place}: only {', '.join(kind.value for kind in Kind)} are known here") from exc


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{place} is not an object")  # noqa: TRY004 - of the file
    return cast("dict[str, Any]", value)


def _expect(members: dict[str, Any], names: set[str], place: str) -> None:
    if members.keys() != names:
        raise ValueError(f"{place} has not exactly {', '.join(sorted(names))}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has the same key twice")
    return members


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
