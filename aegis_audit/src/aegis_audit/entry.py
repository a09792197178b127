"""One log line.

An `Entry` that parses encodes back to the same bytes; anything else is refused. `entry_hash` is at once the
SHA-256 over the exact bytes of the line, the hash of the canonical form (RFC 8785) of the entry without
`entry_hash`, and the leaf hash of RFC 6962 §2.1.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final, NamedTuple, cast

import orjson

from aegis_audit import canonical
from aegis_audit.errors import MalformedEntry, UnencodableValue
from aegis_audit.finding import FindingCode
from aegis_audit.value import Value

VERSION: Final = 1
MAX_LINE: Final = 65_535
"""Bytes of the longest line, its LF included (audit-log §2)."""

ZERO_HASH: Final = "0" * 64
"""`prev_hash` of the first entry of a log."""

EVENT_TYPES: Final = frozenset(
    {
        "tool_invocation",
        "access_denied",
        "security_event",
        "resource_access",
        "prompt_access",
        "client_request",
        "checkpoint",
    }
)

EVENT_KINDS: Final = frozenset(
    {
        "log_opened",
        "segment_opened",
        "segments_dropped",
        "recovered",
        "break_acknowledged",
        "signing_suspended",
        "entries_lost",
        "gateway_started",
        "gateway_stopped",
        "policy_loaded",
        "policy_rejected",
        "definition_changed",
        "result_refused",
        "protocol_violation",
        "upstream_started",
        "upstream_lost",
        "credentials_registered",
        "key_epoch",
        "anchor_lagging",
    }
)
"""The kinds of a `security_event` (audit-log §3)."""

_CANONICAL: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER | orjson.OPT_APPEND_NEWLINE
_HASH_PREFIX: Final = b'{"entry_hash":"'
_BODY_START: Final = len(_HASH_PREFIX) + 64 + 2  # the 81 bytes before which no other key may sort
LINE_OVERHEAD: Final = _BODY_START + 1
"""Bytes of a line that are not hashed as they stand there: its own hash, and the LF."""
_LEAF_PREFIX: Final = b"\x00{"
_REQUIRED: Final = ("entry_hash", "event", "event_type", "prev_hash", "seq", "session_id", "timestamp", "v")
_OPTIONAL: Final = "trace_id"
_KINDS: Final = (
    ("event", dict, "an object"),
    ("event_type", str, "a string"),
    ("seq", int, "an integer from 0"),
    ("v", int, "an integer"),
)
_TIMESTAMP: Final = re.compile(
    "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9][.][0-9]{6}Z"
)
_FORMS: Final = (
    ("entry_hash", re.compile("[0-9a-f]{64}"), "64 lower-case hex digits"),
    ("prev_hash", re.compile("[0-9a-f]{64}"), "64 lower-case hex digits"),
    ("session_id", re.compile("[0-9a-f]{32}"), "32 lower-case hex digits"),
    ("timestamp", _TIMESTAMP, "RFC 3339 in UTC with six fraction digits"),
    ("trace_id", re.compile("[0-9a-f]{32}"), "32 lower-case hex digits"),
)


class Entry(Value):
    """One entry, parsed; `computed_hash` is what the bytes hash to, `entry_hash` is what the entry states."""

    seq: int
    prev_hash: str
    entry_hash: str
    computed_hash: str
    timestamp: str
    session_id: str
    trace_id: str | None
    event_type: str
    event: dict[str, Any]

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """Read one line with its LF.

        Raises:
            MalformedEntry: the bytes are not one canonical entry of version 1. A wrong hash is not malformed.
        """
        fields = _parse_plain(line)
        if fields is None:
            fields = _parse_strictly(line)
        _check_fields(fields)
        return cls(
            fields["seq"],
            fields["prev_hash"],
            fields["entry_hash"],
            hashlib.sha256(_LEAF_PREFIX + line[_BODY_START:-1]).hexdigest(),
            fields["timestamp"],
            fields["session_id"],
            fields.get("trace_id"),
            fields["event_type"],
            fields["event"],
        )

    @property
    def has_its_hash(self) -> bool:
        """Tell whether the bytes have the hash that the entry states."""
        return self.computed_hash == self.entry_hash

    @property
    def kind(self) -> str | None:
        """Return the `kind` of a security event, None for every other entry."""
        kind = self.event.get("kind")
        return kind if self.event_type == "security_event" and isinstance(kind, str) else None


class Draft(NamedTuple):
    """What an entry is to say, before its place in the chain is known.

    `event` is the canonical JSON of the event; `session_id` and `trace_id` are as in the line.
    """

    event_type: str
    event: bytes
    session_id: str
    trace_id: str | None = None


def seal(draft: Draft, timestamp: str, seq: int, prev_hash: str) -> tuple[bytes, str]:
    """Return the line of `draft` at its place in the chain, LF included, and its `entry_hash`.

    Every field but the event is ASCII of a known form, so that putting them side by side in order of their
    keys *is* the canonical form.

    Raises:
        UnencodableValue: the line is longer than `MAX_LINE` bytes.
    """
    event_type, event, session_id, trace_id = draft
    trace = "" if trace_id is None else f',"trace_id":"{trace_id}"'
    rest = (
        f',"event_type":"{event_type}","prev_hash":"{prev_hash}","seq":{seq},'
        f'"session_id":"{session_id}","timestamp":"{timestamp}"{trace},"v":{VERSION}}}\n'
    )
    body = b'"event":%b%b' % (event, rest.encode("ascii"))
    entry_hash = hashlib.sha256(_LEAF_PREFIX + body[:-1]).hexdigest()
    line = b'%b%b",%b' % (_HASH_PREFIX, entry_hash.encode("ascii"), body)
    if len(line) > MAX_LINE:
        raise UnencodableValue(f"an entry of {len(line)} bytes, at most {MAX_LINE} fit in a line")
    return line, entry_hash


def is_timestamp(text: str) -> bool:
    """Tell whether `text` is a time as an entry has it: RFC 3339 in UTC with six fraction digits."""
    return _TIMESTAMP.fullmatch(text) is not None


def _parse_plain(line: bytes) -> dict[str, Any] | None:
    """Parse a line the quick way; None if that cannot tell whether the line is in canonical form."""
    try:
        fields = orjson.loads(line)
        if type(fields) is not dict or not canonical.is_plain(cast("object", fields)):
            return None
        is_same = orjson.dumps(fields, option=_CANONICAL) == line
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, UnencodableValue):
        return None
    return cast("dict[str, Any]", fields) if is_same and len(line) <= MAX_LINE else None


def _check_fields(fields: dict[str, Any]) -> None:
    """Refuse an entry whose top level is not exactly that of version 1."""
    version = fields.get("v")
    if type(version) is int and version != VERSION:
        raise MalformedEntry(FindingCode.UNKNOWN_VERSION, f"version {VERSION}", f"version {version}")
    if (*(key for key in fields if key != _OPTIONAL),) != _REQUIRED:
        odd = sorted((fields.keys() ^ set(_REQUIRED)) - {_OPTIONAL})
        raise MalformedEntry(FindingCode.MALFORMED_FIELD, f"the keys of version {VERSION}", f"odd keys {odd!r:.200}")
    for name, kind, form in _KINDS:
        if type(fields[name]) is not kind:
            raise _malformed(name, form, fields[name])
    if fields["seq"] < 0:
        raise _malformed("seq", "an integer from 0", fields["seq"])
    for name, pattern, form in _FORMS:
        value = fields.get(name, "")
        if type(value) is not str or (not pattern.fullmatch(value) and name in fields):
            raise _malformed(name, form, value)


def _malformed(name: str, form: str, value: object) -> MalformedEntry:
    return MalformedEntry(FindingCode.MALFORMED_FIELD, f"{name}: {form}", f"{value!r:.200}")


def _parse_strictly(line: bytes) -> dict[str, Any]:
    """Parse a line that the fast path did not take: name what is wrong, or return what is right after all."""
    _refuse_framing(line)
    try:
        text = line[:-1].decode("utf-8")
    except UnicodeDecodeError as exc:
        raise MalformedEntry(FindingCode.NOT_UTF8, "UTF-8", f"byte 0x{line[exc.start]:02x} at {exc.start}") from exc
    try:
        fields = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        encoded = canonical.encode(fields)
    except UnencodableValue as exc:
        raise MalformedEntry(FindingCode.OUT_OF_PROFILE, "a value within the profile", str(exc)[:200]) from exc
    except RecursionError as exc:
        found = "nesting beyond the parser's bound"
        raise MalformedEntry(FindingCode.OUT_OF_PROFILE, f"nesting of at most {canonical.MAX_NESTING}", found) from exc
    except json.JSONDecodeError as exc:
        raise MalformedEntry(FindingCode.NOT_JSON, "one JSON object", f"{exc.msg} at character {exc.pos}") from exc
    except ValueError as exc:  # an integer of more digits than the interpreter converts
        raise MalformedEntry(FindingCode.OUT_OF_PROFILE, "an integer within ±(2^53-1)", "a wider one") from exc
    if type(fields) is not dict:
        raise MalformedEntry(FindingCode.NOT_JSON, "one JSON object", f"{text:.40}")
    if encoded != line[:-1]:
        at = next((i for i, (a, b) in enumerate(zip(encoded, line, strict=False)) if a != b), len(encoded))
        expected = encoded[at : at + 40].decode("utf-8", "replace")
        raise MalformedEntry(FindingCode.NOT_CANONICAL, f"{expected!r} at byte {at}", f"{line[at : at + 40]!r}")
    return cast("dict[str, Any]", fields)


def _refuse_framing(line: bytes) -> None:
    """Refuse what is wrong about the line as bytes, before anything is parsed."""
    if len(line) > MAX_LINE:
        raise MalformedEntry(FindingCode.OVERLONG_LINE, f"at most {MAX_LINE} bytes", f"{len(line)} bytes")
    if not line.endswith(b"\n"):
        raise MalformedEntry(FindingCode.TORN_TAIL, "a line that ends in LF", f"{line[-1:]!r} as the last byte")
    if line == b"\n":
        raise MalformedEntry(FindingCode.BLANK_LINE, "an entry", "an empty line")
    if b"\x00" in line:
        raise MalformedEntry(FindingCode.NUL_BYTES, "an entry", f"{line.count(0)} NUL bytes")
    if line.startswith(b"\xef\xbb\xbf"):
        raise MalformedEntry(FindingCode.BYTE_ORDER_MARK, "an entry", "a byte order mark")
    if line.endswith(b"\r\n"):
        raise MalformedEntry(FindingCode.CARRIAGE_RETURN, "LF", "CR LF")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise MalformedEntry(FindingCode.DUPLICATE_KEY, "each key once", f"{twice!r:.100} twice")
    return fields


def _refuse_constant(name: str) -> None:
    raise MalformedEntry(FindingCode.OUT_OF_PROFILE, "a finite number", name)
