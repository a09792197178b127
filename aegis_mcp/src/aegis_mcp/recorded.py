"""Requests as a log has them: what was asked, what was decided, and what the log left out.

Only intact entries count, each once; what else stands in a log is named, never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from aegis_audit.archive import find_segments
from aegis_audit.entry import Entry
from aegis_audit.reading import Reading, in_order
from aegis_mcp.decision import Access, AccessFrom, Effect, Request

_DIGEST: Final = re.compile(r"hmac-sha256:[0-9a-f]{8}:[0-9a-f]{64}")
_REDACTED: Final = "[redacted]"
_OMITTED: Final = {"bytes", "omitted", "sha256"}
_NAMES: Final = ("server", "method", "tool", "uri", "prompt")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request and the decision on it.

    `arguments` are as the log has them, anything but an object if it has none. `obscure` are the members of the
    request that the log does not tell; they are None, or "", in `request`.
    """

    seq: int
    timestamp: str
    request: Request
    arguments: object
    obscure: frozenset[str]
    effect: Effect
    rule: str


class RecordedLog:
    """The requests in the segments at these paths: files, directories, globs, or `-` for standard input.

    `unusable` counts entries of requests that say too little.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._segments = in_order(find_segments(paths))
        self._reading = Reading()
        self.unusable = 0

    @property
    def size(self) -> int:
        """Return the bytes of the segments on the disk."""
        return sum(segment.size for segment in self._segments)

    @property
    def damage(self) -> Sequence[str]:
        """Return what was found that is no intact entry, each with its place."""
        return [
            f"{finding.place.path}{f', line {line}' if (line := finding.place.line) else ''}: {finding.code.title}"
            for finding in self._reading.findings()
        ]

    def requests(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[Recorded]:
        """Yield the requests in the order of their entries; `progress` is called with the bytes of each step."""
        self._reading = Reading(progress)
        for found in self._reading.read(self._segments):
            event = found.entry.event
            if event.get("phase") == "intent" or found.entry.event_type == "access_denied":
                recorded = _recorded(found.entry)
                if recorded:
                    yield recorded
                else:
                    self.unusable += 1


def is_left_out(value: object) -> bool:
    """Tell whether the log has something else in the place of a value, in whole or in part.

    What only looks so counts as well: nobody can tell the two apart.
    """
    if isinstance(value, str):
        return _DIGEST.search(value) is not None
    return isinstance(value, dict) and set(cast("dict[str, Any]", value)) == _OMITTED


def _recorded(entry: Entry) -> Recorded | None:
    event = entry.event
    names = {name: event[name] for name in _NAMES if name in event}
    obscure = frozenset(name for name, value in names.items() if not isinstance(value, str) or _REDACTED in value)
    known: dict[str, Any] = {name: value for name, value in names.items() if name not in obscure}
    rule = event.get("rule")
    try:
        effect = Effect(event.get("decision"))
        access, access_from = Access(event.get("access")), AccessFrom(event.get("access_from"))
    except ValueError:
        return None
    if not isinstance(rule, str) or not {"server", "method"} <= names.keys():
        return None
    arguments = event.get("arguments")
    is_annotated = access_from is AccessFrom.ANNOTATION
    request = Request(
        **({"server": "", "method": ""} | known),
        arguments=_members(arguments),
        read_only_hint=access is Access.READ if is_annotated else None,
        is_listed=rule != "unlisted-tool",
        is_from_upstream=access is Access.CLIENT_REQUEST,
    )
    obscure |= frozenset() if is_annotated else {"read_only_hint"}
    return Recorded(entry.seq, entry.timestamp, request, arguments, obscure, effect, rule)


def _members(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
