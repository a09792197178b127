"""What is pinned and what waits, for people and for programs.

Text is printable characters alone, whatever a server wrote: what is invisible, or would move a cursor, is shown as its
code. A person sees everything that an approval would let through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aegis_audit.escape import defuse, escape
from aegis_mcp.pins.approval import Waiting
from aegis_mcp.pins.book import Binding, Book, Section
from aegis_mcp.pins.definition import Key, Kind
from aegis_mcp.pins.difference import NOTHING, Difference, differences, summarize


def inventory(book: Book, server: str | None) -> Iterator[str]:
    """Yield the lines of a list: each server at each origin, and its definitions."""
    for binding, section in _sections(book, server):
        yield f"{escape(binding.server)}: {_origin(binding, section)}, {_since(section)}"
        for key in _keys(section):
            state = _state(section, key)
            yield f"  {state if state == 'pinned' else f'quarantined ({state})':21}  {_name(*key)}"


def inventory_json(book: Book, server: str | None) -> list[dict[str, Any]]:
    """Return what `inventory` says, for a program."""
    return [
        {
            "server": binding.server,
            "origin_sha256": binding.origin_sha256,
            "program": section.program,
            "first_pinned": section.first_pinned or None,
            "settled": sorted(kind.value for kind in section.settled),
            "definitions": [_entry(section, key) for key in _keys(section)],
        }
        for binding, section in _sections(book, server)
    ]


def comparison(one: Waiting) -> Iterator[str]:
    """Yield how a definition differs from its pin: each place, then lines that begin with `-` and `+`."""
    yield _headline(one)
    for difference in differences(one.pinned.body if one.pinned else {}, one.offered.body):
        yield f"  {escape(difference.place)}"
        yield from _sides(difference)


def approval(one: Waiting) -> Iterator[str]:
    """Yield what was approved, in short."""
    yield f"approved: {_headline(one)}"
    for line in summarize(one.pinned.body if one.pinned else None, one.offered.body):
        yield f"  {line}"


def comparison_json(one: Waiting) -> dict[str, Any]:
    """Return what `comparison` says, for a program: a side that has nothing is left out."""
    found = differences(one.pinned.body if one.pinned else {}, one.offered.body)
    return {
        "server": one.binding.server,
        "origin_sha256": one.binding.origin_sha256,
        "kind": one.kind.value,
        "name": one.name,
        "state": "changed" if one.pinned else "new",
        "pinned_sha256": one.pinned.sha256 if one.pinned else None,
        "offered_sha256": one.offered.sha256,
        "differences": [_places(difference) for difference in found],
    }


def _headline(one: Waiting) -> str:
    return f"{escape(one.binding.server)}: {_name(*one.key)} {'has changed' if one.pinned else 'is new'}"


def _sides(difference: Difference) -> Iterator[str]:
    old, new = _lines(difference.pinned, difference.offered), _lines(difference.offered, difference.pinned)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    yield from (f"    - {line}" for line in old[start : len(old) - end])
    yield from (f"    + {line}" for line in new[start : len(new) - end])


def _lines(value: Any, other: Any) -> list[str]:
    """Return a value line by line: a text as it is, where the other side is no value that looks like it."""
    if value is NOTHING:
        return []
    if isinstance(value, str) and (other is NOTHING or isinstance(other, str)):
        return [escape(line) for line in value.split("\n")]
    return [defuse(line) for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n")]


def _places(difference: Difference) -> dict[str, Any]:
    sides = {"pinned": difference.pinned, "offered": difference.offered}
    return {"place": difference.place, **{side: value for side, value in sides.items() if value is not NOTHING}}


def _sections(book: Book, server: str | None) -> list[tuple[Binding, Section]]:
    return sorted((at, section) for at, section in book.sections.items() if server in {None, at.server})


def _keys(section: Section) -> list[Key]:
    return sorted({*section.pinned, *section.pending}, key=lambda key: (key[0].value, key[1]))


def _entry(section: Section, key: Key) -> dict[str, Any]:
    kind, name = key
    pinned, offered = section.pinned.get(key), section.pending.get(key)
    return {
        "kind": kind.value,
        "name": name,
        "state": _state(section, key),
        "pinned_sha256": pinned.sha256 if pinned else None,
        "pending_sha256": offered.sha256 if offered else None,
    }


def _state(section: Section, key: Key) -> str:
    if key not in section.pending:
        return "pinned"
    return "changed" if key in section.pinned else "new"


def _name(kind: Kind, name: str) -> str:
    match kind:
        case Kind.SERVER:
            return "instructions"
        case Kind.TOOL | Kind.PROMPT:
            return f"{kind.value} {escape(name)}"


def _origin(binding: Binding, section: Section) -> str:
    return f"{escape(section.program) or 'unnamed'} {binding.origin_sha256[:12]}"


def _since(section: Section) -> str:
    return f"first pinned {escape(section.first_pinned)}" if section.first_pinned else "nothing pinned"
