"""How two definitions differ: place by place, each with what is pinned there and what is offered.

A place is a member of the definition, and within it a JSON pointer (RFC 6901): `inputSchema/properties/path`. Whatever
a server wrote, a line of a summary is printable characters on one line, and the lines are few and short.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice, zip_longest
from typing import Any, Final, TypeAlias, cast

from aegis_audit.escape import defuse, escape
from aegis_audit.value import Value
from aegis_mcp.pins.definition import encode

MAX_LINES: Final = 8
"""Lines of a summary."""

_MOST_TEXT: Final = 72
_CONTEXT: Final = 16
_MOST_ABOVE: Final = 1000

Members: TypeAlias = Mapping[str, Any]


class Nothing:
    """What a definition has at a place where only the other one has something."""


NOTHING: Final = Nothing()


class Difference(Value):
    """One place where two definitions differ; `NOTHING` on the side that has nothing there.

    Of a place that is very long the end is kept.
    """

    place: str
    pinned: Any
    offered: Any


def differences(pinned: Members, offered: Members) -> Iterator[Difference]:
    """Yield where two definitions differ, sorted by member; nothing for equal ones."""
    return _within("", pinned, offered)


def summarize(pinned: Members | None, offered: Members) -> tuple[str, ...]:
    """Say in at most `MAX_LINES` lines how a definition differs from its pin, or what it says if it has none."""
    if pinned is None:
        lines = (f"{_label(name)}: {_show(offered[name])}" for name in sorted(offered))
        return _few(lines, len(offered))
    found = list(differences(pinned, offered))
    return _few(map(_line, found), len(found))


def _few(lines: Iterator[str], count: int) -> tuple[str, ...]:
    """Take what a summary may have of so many lines; no more are made."""
    if count <= MAX_LINES:
        return tuple(lines)
    return (*islice(lines, MAX_LINES - 1), f"and {count - MAX_LINES + 1} more")


def _within(place: str, pinned: Members, offered: Members) -> Iterator[Difference]:
    for name in sorted({*pinned, *offered}):
        token = name.replace("~", "~0").replace("/", "~1")
        yield from _between(
            _below(place, token) if place else token, pinned.get(name, NOTHING), offered.get(name, NOTHING)
        )


def _between(place: str, pinned: Any, offered: Any) -> Iterator[Difference]:
    if isinstance(pinned, dict) and isinstance(offered, dict):
        yield from _within(place, cast("Members", pinned), cast("Members", offered))
    elif _has_structure(pinned) and _has_structure(offered):
        items = zip_longest(cast("list[Any]", pinned), cast("list[Any]", offered), fillvalue=NOTHING)
        for index, (old, new) in enumerate(items):
            yield from _between(_below(place, str(index)), old, new)
    elif not _is_same(pinned, offered):
        yield Difference(place, pinned, offered)


def _below(place: str, token: str) -> str:
    # A server chooses its names: long ones above many others would make of a small definition places without end.
    above = place if len(place) <= _MOST_ABOVE else f"…{place[-_MOST_ABOVE:]}"
    return f"{above}/{token}"


def _has_structure(value: Any) -> bool:
    """Tell whether a value is a list that is worth a look at each item; a list of words is read as a whole."""
    return isinstance(value, list) and any(isinstance(item, dict | list) for item in cast("list[Any]", value))


def _is_same(pinned: Any, offered: Any) -> bool:
    return pinned is not NOTHING and offered is not NOTHING and encode(pinned) == encode(offered)


def _line(difference: Difference) -> str:
    """Show one place; of long texts the part in which they begin to differ."""
    old, new = difference.pinned, difference.offered
    start = 0
    if isinstance(old, str) and isinstance(new, str):
        start = max(0, _common(old, new) - _CONTEXT)
        old, new = (f"{'…' if start else ''}{text[start : start + _MOST_TEXT]}" for text in (old, new))
    return f"{_label(difference.place)}: {_show(old)} -> {_show(new)}"


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common before they differ."""
    both = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in both if a != b), min(len(one), len(other)))


def _label(place: str) -> str:
    return _cut(escape(_cut(place)))


def _show(value: Any) -> str:
    """Return a value, or its beginning, as printable characters on one line: a text in quotes, the rest as JSON."""
    if value is NOTHING:
        return "nothing"
    if isinstance(value, str):
        return f"'{_cut(escape(_cut(value)))}'"
    return _cut(defuse(_cut(json.dumps(value, ensure_ascii=False))))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
