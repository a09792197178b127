"""The shape of a line: all of its bytes apart from the values.

To parse an entry, encode it again and compare proves that it is in canonical form, and is most of what verifying
costs. A line of the same shape as one that was proved so is in canonical form as well: its keys are the same, in the
same order, and each value has a form that is canonical wherever it stands: a string with the shortest escapes, an
integer of at most 15 digits. Whatever is not of a known shape is parsed, so that shapes change how long a verdict
takes and never which one it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import filterfalse
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias, cast

import orjson

from aegis_audit.entry import EVENT_TYPES, VERSION, Entry

MAX_SHAPES: Final = 32
"""Shapes that are remembered, the latest learnt."""

MAX_PATTERN: Final = 16_384
"""Bytes of the longest pattern for the members of an event, and of all patterns for the arguments of one shape."""

_LESSON: Final = 64
"""So many lines of no known shape come before one is learnt from: to compile a shape takes as long as to parse them."""
_BYTES_PER_LINE: Final = 8
"""So many bytes of patterns compile in the time in which a line is parsed."""

_ORDINARY: Final = bytes({*range(0x20, 0x100)} - {*b"\\"})
"""All but control characters and the backslash."""
_INTEGER: Final = rb"(?>[1-9][0-9]{0,14}+|0|-[1-9][0-9]{0,14}+)"
_ARGUMENTS: Final = b"\x00"
"""Where the pattern of the arguments comes: of all members they alone differ from call to call."""
_STRING: Final = b"\x01"
"""Where the pattern of a string comes."""
# Strings in canonical form (RFC 8785 §3.2.2.2) where all bytes are valid UTF-8 and none is a control character: most
# lines have no escape, and to look for nothing but the quote takes a quarter of the time.
_WITHOUT_ESCAPES: Final = rb'"[^"]*+"'
_WITH_ESCAPES: Final = rb'"[^"\\]*+(?:\\["\\bfnrt][^"\\]*+)*+"'
_RARE: Final = 16
"""Where no more than one line of so many has an escape, those are left to be parsed, such as every checkpoint."""
_LINE: Final = (
    rb'\{"entry_hash":"(.{64}+)",("event":(?:%b),"prev_hash":"(.{64}+)","seq":([^,]{1,15}+),"session_id":"(.{32}+)",'
    rb'"timestamp":"(.{17}+[0-5][0-9]\.[0-9]{6}+Z)","trace_id":"(.{32}+)","v":%d\})\n|[^\n]*+\n'
)
_MARKED_PHASES: Final = ("intent", "outcome")
"""The phases that have a mark each."""
_NOTHING: Final = rb"(?!)"
"""What matches nowhere."""
_LEARNT: Final = EVENT_TYPES - {"security_event", "checkpoint"}
"""What is worth learning: the others are few, and each has something of its own to say."""

Record: TypeAlias = "tuple[bytes, ...]"
"""What stands in one line of a known shape: `entry_hash`, the bytes that are hashed, a mark that is not empty if it is
an intent, another if it is an outcome, `prev_hash`, `seq`, `session_id`, `timestamp`, `trace_id`.

What has to be compared with something known anyway is not checked here, because that takes time: all of these may hold
any characters, of the timestamp only the date, the hour and the minute. In a line of no known shape all are empty.
"""


_UNKNOWN: Final[Record] = (b"",) * 9
_BODY: Final = itemgetter(1)


class _Shape(NamedTuple):
    """Events of one type and one phase with the same members; `arguments` are those that these may have."""

    event_type: str
    phase: str | None
    event: bytes
    arguments: tuple[bytes, ...]

    @property
    def size(self) -> int:
        return len(self.event) + sum(map(len, self.arguments))

    @property
    def pattern(self) -> bytes:
        event = self.event.replace(_ARGUMENTS, b"(?>" + b"|".join(self.arguments) + b")")
        return event + b',"event_type":"' + self.event_type.encode("ascii")

    def allow(self, arguments: bytes) -> _Shape:
        """Return the shape with one form of arguments more, if there is room for it."""
        if arguments in self.arguments or sum(map(len, self.arguments)) + len(arguments) > MAX_PATTERN:
            return self
        return self._replace(arguments=(*self.arguments, arguments))


class Shapes:
    """The shapes that were learnt, the latest last."""

    def __init__(self) -> None:
        self._shapes: list[_Shape] = []
        self._unknown = 0
        self._until_lesson = _LESSON
        self._find_all: dict[bytes, Callable[[bytes], list[Record]]] = {}

    def read(self, lines: bytes) -> list[Record]:
        """Return a record for each of these whole lines; none at all if no line can be told from them."""
        if not self._shapes:
            return []
        odd = lines.translate(None, _ORDINARY)
        are_rare = odd.count(b"\\\n") * _RARE <= odd.count(b"\n")  # the lines with escapes
        string = _WITHOUT_ESCAPES if are_rare else _WITH_ESCAPES
        if string not in self._find_all:
            self._find_all[string] = _compiled(self._shapes, string)
        records = self._find_all[string](lines)
        if odd.replace(b"\\", b"") != b"\n" * len(records):  # within a line there is no control character
            return []
        if not (lines.isascii() or _are_utf8(map(_BODY, records))):
            return []
        end = -1
        while are_rare and (end := odd.find(b"\\\n", end + 1)) >= 0:
            records[odd.count(b"\n", 0, end)] = _UNKNOWN
        return records

    def learn(self, entry: Entry) -> None:
        """Take note of an entry that had no known shape, and remember its shape if it is its turn."""
        self._unknown += 1
        if self._unknown < self._until_lesson or entry.trace_id is None or entry.event_type not in _LEARNT:
            return
        self._unknown = 0
        event, arguments = _event_pattern(entry.event), _pattern(entry.event.get("arguments"))
        phase = entry.event.get("phase")
        if event is None or arguments is None or len(event) > MAX_PATTERN or not isinstance(phase, str | None):
            return
        shape = _Shape(entry.event_type, phase, event, ())
        known = next((one for one in self._shapes if one[:3] == shape[:3]), shape)
        others = [one for one in self._shapes if one is not known]
        learnt = known.allow(arguments)
        if learnt not in self._shapes:
            self._find_all.clear()
        self._shapes = [*others[-MAX_SHAPES + 1 :], learnt]
        self._until_lesson = _LESSON + sum(one.size for one in self._shapes) // _BYTES_PER_LINE


def _compiled(shapes: Sequence[_Shape], string: bytes) -> Callable[[bytes], list[Record]]:
    """Return what finds all records in whole lines; `string` is the pattern of a string."""
    of_phase = (
        b"|".join(shape.pattern for shape in shapes if shape.phase == phase) or _NOTHING for phase in _MARKED_PHASES
    )
    others = b"|".join(shape.pattern for shape in shapes if shape.phase not in _MARKED_PHASES) or _NOTHING
    events = b'(?:%b)(")|(?:%b)(")|(?:%b)"' % (*of_phase, others)
    return re.compile((_LINE % (events, VERSION)).replace(_STRING, string), re.DOTALL).findall


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


def _are_utf8(bodies: Iterable[bytes]) -> bool:
    """Tell whether all of these are UTF-8; each begins and ends with a character of ASCII, or is empty."""
    try:
        # Together they are what each of them is, and most have nothing beyond ASCII that had to be decoded.
        b"".join(filterfalse(bytes.isascii, bodies)).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
