"""The shape of a line: all of its bytes apart from the values.

To parse an entry, encode it again and compare proves that it is in canonical form, and is most of what verifying
costs. A line of the same shape as one that was proved so is in canonical form as well: its keys are the same, in the
same order, and each value has a form that is canonical wherever it stands: a string with the shortest escapes, an
integer of at most 15 digits. Whatever is not of a known shape is parsed, so that shapes change how long a verdict
takes and never which one it is.

Patterns match bytes that were decoded as Latin-1, byte for byte: in text a number is read and a hash compared sooner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, cast

import orjson

from aegis_audit.entry import EVENT_TYPES, VERSION, Entry

MAX_SHAPES: Final = 16
"""Shapes that are remembered, the latest used."""

MAX_PATTERN: Final = 16_384
"""Bytes of the longest pattern for the members of an event, and of all patterns for the arguments of one shape."""

_LESSON: Final = 256
"""One in so many lines of no known shape is learnt from: to compile a shape takes as long as to parse 200 lines."""

# A string in canonical form (RFC 8785 §3.2.2.2), if the bytes around it are valid UTF-8: few strings have an escape.
_STRING: Final = rb'"[ !#-\[\]-\xff]*+(?:"|(?:\\["\\bfnrt][ !#-\[\]-\xff]*)+")'
_INTEGER: Final = rb"(?:0|-?[1-9][0-9]{0,14})"
_LINE: Final = (
    rb'\{"entry_hash":"(.{64})",("event":%b,"event_type":"%b","prev_hash":"(.{64})","seq":(0|[1-9][0-9]{0,14}),'
    rb'"session_id":"(.{32})","timestamp":"(.{17}[0-5][0-9]\.[0-9]{6}Z)","trace_id":"([0-9a-f]{32})","v":%d\})\n'
)
_ARGUMENTS: Final = b"\x00"
"""Where the pattern of the arguments comes: of all members they alone differ from call to call."""
_LEARNT: Final = EVENT_TYPES - {"security_event"}
"""What is worth learning: security events are few, and each has something of its own to say."""


class Shape:
    """A shape: `match` is that of a pattern for a line, `phase` that of every event which has this shape.

    Groups: `entry_hash`, the bytes that are hashed, `prev_hash`, `seq`, `session_id`, `timestamp`, `trace_id`. What
    has to be compared with something known anyway is not checked here, because that takes time: the two hashes and
    the session may be any characters, and so may the date, the hour and the minute.
    """

    __slots__ = ("_arguments", "_frame", "match", "phase", "successor")

    def __init__(self, frame: bytes, phase: str | None) -> None:
        self.phase = phase
        self.successor = self  # the shape that followed this one the last time
        self._frame = frame
        self._arguments: list[bytes] = []
        self.match = re.compile("(?!)").match

    def is_framed_by(self, frame: bytes) -> bool:
        """Tell whether this is the shape with that frame, arguments apart."""
        return self._frame == frame

    def allow(self, arguments: bytes) -> None:
        """Match lines with arguments of this form, too."""
        known = self._arguments
        if arguments not in known and sum(map(len, known)) + len(arguments) <= MAX_PATTERN:
            known.append(arguments)
            pattern = self._frame.replace(_ARGUMENTS, b"(?:" + b"|".join(known) + b")")
            self.match = re.compile(pattern.decode("latin-1"), re.DOTALL).match


NO_SHAPE: Final = Shape(b"", None)
"""A shape that no line has: what stands before the first line."""


class Shapes:
    """The shapes that were learnt, the latest used first."""

    def __init__(self) -> None:
        self._shapes: list[Shape] = []
        self._unknown = 0

    def find(self, text: str, at: int) -> Shape | None:
        """Return the shape of the line at a place in `text`; None if it has none of those that are known."""
        for index, shape in enumerate(self._shapes):
            if shape.match(text, at):
                self._shapes.insert(0, self._shapes.pop(index))
                return shape
        return None

    def learn(self, entry: Entry) -> None:
        """Take note of an entry that had no known shape, and remember its shape if it is its turn."""
        self._unknown += 1
        if self._unknown % _LESSON or entry.trace_id is None or entry.event_type not in _LEARNT:
            return
        event, arguments = _event_pattern(entry.event), _pattern(entry.event.get("arguments"))
        phase = entry.event.get("phase")
        if event is None or arguments is None or len(event) > MAX_PATTERN or not isinstance(phase, str | None):
            return
        frame = _LINE % (event, entry.event_type.encode("ascii"), VERSION)
        shape = next((known for known in self._shapes if known.is_framed_by(frame)), None)
        if shape is None:
            shape = Shape(frame, phase)
            self._shapes = [shape, *self._shapes[: MAX_SHAPES - 1]]
        shape.allow(arguments)


def _event_pattern(event: dict[str, Any]) -> bytes | None:
    members = ((key, _event_member_pattern(key, value)) for key, value in event.items())
    return _joined(b"{", map(_member, members), b"}")


def _event_member_pattern(key: str, value: object) -> bytes | None:
    if key == "arguments":
        return _ARGUMENTS
    # What an event means to the verifier depends on its phase.
    return re.escape(orjson.dumps(value)) if key == "phase" and type(value) is str else _pattern(value)


def _pattern(value: object) -> bytes | None:
    """Return what matches every value of the same form; None for a float, which has no simple canonical form."""
    if type(value) is dict:
        members = ((key, _pattern(member)) for key, member in cast("dict[str, object]", value).items())
        return _joined(b"{", map(_member, members), b"}")
    if type(value) is list:
        return _joined(b"[", map(_pattern, cast("list[object]", value)), b"]")
    if type(value) is str:
        return _STRING
    if type(value) is int:
        return _INTEGER
    return None if type(value) is float else orjson.dumps(value)


def _member(member: tuple[str, bytes | None]) -> bytes | None:
    key, pattern = member
    return pattern and re.escape(orjson.dumps(key)) + b":" + pattern


def _joined(opening: bytes, patterns: Iterable[bytes | None], closing: bytes) -> bytes | None:
    parts = list(patterns)
    return None if None in parts else re.escape(opening) + b",".join(filter(None, parts)) + re.escape(closing)
