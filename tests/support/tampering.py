"""What can be done to a log by accident or on purpose, each with the exact findings that it must lead to.

It takes the lines of any intact log that begins with its first entry and holds three entries or more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aegis_audit.finding import FindingCode
from aegis_audit.finding import FindingCode as Code
from aegis_audit.verdict import worst
from support.logs import reseal

ZERO: Final = b"0" * 64


@dataclass(frozen=True, slots=True)
class Tampering:
    """A log that something was done to, and the findings that have to follow, notes apart."""

    name: str
    data: bytes
    codes: frozenset[FindingCode]

    @property
    def exit_code(self) -> int:
        return worst(code.verdict for code in self.codes).exit_code


def corpus(lines: Sequence[bytes]) -> list[Tampering]:
    """Return everything that can be done to this log and has one right answer."""
    done = [*_moves(lines), *_forgeries(lines), *_framings(lines), *_foreign_lines(lines), *_bad_entries(lines)]
    return [Tampering(name, data, frozenset(codes)) for name, data, codes in done]


_Done = tuple[str, bytes, set[FindingCode]]


def _moves(lines: Sequence[bytes]) -> Iterator[_Done]:
    """Lines that are gone, exchanged or repeated, each still as it was written."""
    for at in range(1, len(lines) - 1):
        yield f"delete line {at}", _joined(lines, at, ()), {Code.MISSING_RANGE}
    for at in range(len(lines) - 1):
        swapped = (lines[at + 1], lines[at])
        yield f"swap lines {at} and {at + 1}", _joined(lines, at, swapped, length=2), {Code.REORDERED}
    for at, line in enumerate(lines):
        yield f"duplicate line {at}", _joined(lines, at, (line, line)), {Code.DUPLICATED}
        if at + 1 < len(lines):
            yield f"repeat line {at} at the end", b"".join((*lines, line)), {Code.DUPLICATED}
    backwards = b"".join(reversed(lines))
    yield "turn the log around", backwards, {Code.REORDERED}


def _forgeries(lines: Sequence[bytes]) -> Iterator[_Done]:
    """Entries that say something else than what was written."""
    for at, line in enumerate(lines):
        edited = _edited(line)
        yield f"edit line {at}", _joined(lines, at, (edited,)), {Code.HASH_MISMATCH}
        yield f"state another hash in line {at}", _joined(lines, at, (_hashed(line, b"f" * 64),)), {Code.HASH_MISMATCH}
        for field, value in (("seq", b"4711"), ("prev_hash", b'"%b"' % (b"e" * 64))):
            changed = with_field(line, field, value)
            yield f"change {field} of line {at}", _joined(lines, at, (changed,)), {Code.HASH_MISMATCH}
        if at + 1 < len(lines):
            yield f"edit line {at}, its hash as well", _joined(lines, at, (reseal(edited),)), {Code.BROKEN_LINK}
        if at:
            forged = reseal(edited)
            yield f"insert another line {at} behind it", _joined(lines, at, (line, forged)), {Code.EQUIVOCATION}
            unlinked = reseal(with_field(line, "prev_hash", b'"%b"' % (b"e" * 64)))
            codes = {Code.BROKEN_LINK, Code.EQUIVOCATION}
            yield f"insert an unlinked entry before line {at}", _joined(lines, at, (unlinked, line)), codes
    for at in range(1, len(lines) - 1):
        relinked = with_field(lines[at + 1], "prev_hash", b'"%b"' % lines[at - 1][15:79])
        data = _joined(lines, at, (reseal(relinked),), length=2)
        yield f"delete line {at}, link its neighbours", data, {Code.BROKEN_LINK}
    false_start = reseal(with_field(lines[1], "prev_hash", b'"%b"' % ZERO))
    yield (
        "let line 1 begin a log",
        _joined(lines, 1, (false_start, *lines[1:2])),
        {
            Code.FALSE_GENESIS,
            Code.BROKEN_LINK,
            Code.EQUIVOCATION,
        },
    )


def _framings(lines: Sequence[bytes]) -> Iterator[_Done]:
    """The same entries in other bytes, as editors, transfers and crashes leave them."""
    whole, last = b"".join(lines), lines[-1]
    yield "end the lines as Windows does", whole.replace(b"\n", b"\r\n"), {Code.CARRIAGE_RETURN}
    yield "begin with a byte order mark", b"\xef\xbb\xbf" + whole, {Code.BYTE_ORDER_MARK}
    yield "begin with NULs", bytes(4096) + whole, {Code.NUL_BYTES}
    yield "begin with more NULs than fit in a line", bytes(100_000) + whole, {Code.NUL_BYTES}
    yield "end with a blank line", whole + b"\n", {Code.BLANK_LINE}
    yield "lose the last LF", whole[:-1], {Code.TORN_TAIL}
    yield "end in NULs", whole + bytes(512), {Code.NUL_BYTES}
    yield (
        "indent the JSON",
        b"".join(json.dumps(json.loads(line), indent=1).encode() + b"\n" for line in lines),
        {Code.NOT_JSON},
    )
    yield (
        "write the JSON with spaces",
        b"".join(json.dumps(json.loads(line)).encode() + b"\n" for line in lines),
        {Code.NOT_CANONICAL},
    )
    for end in range(1, len(last)):
        yield f"tear the last line after byte {end}", whole[: end - len(last)], {Code.TORN_TAIL}
    for at, line in enumerate(lines):
        yield f"append a space to line {at}", _joined(lines, at, (line[:-1] + b" \n",)), {Code.NOT_CANONICAL}
        yield f"append a CR to line {at}", _joined(lines, at, (line[:-1] + b"\r\n",)), {Code.CARRIAGE_RETURN}
        yield f"overwrite line {at} with NULs", _joined(lines, at, (bytes(len(line) - 1) + b"\n",)), {Code.NUL_BYTES}
        if any(byte in line[15:79] for byte in b"abcdef"):
            upper = _hashed(line, line[15:79].upper())
            yield f"write the hash of line {at} in upper case", _joined(lines, at, (upper,)), {Code.MALFORMED_FIELD}
        if at + 1 < len(lines):
            both = line[:-1] + lines[at + 1]
            yield f"put lines {at} and {at + 1} together", _joined(lines, at, (both,), length=2), {Code.NOT_JSON}


def _foreign_lines(lines: Sequence[bytes]) -> Iterator[_Done]:
    """Lines that are no entries, between entries that are as they were."""
    foreign: list[tuple[str, bytes, FindingCode]] = [
        ("a blank line", b"", Code.BLANK_LINE),
        ("null", b"null", Code.NOT_JSON),
        ("a list", b"[1]", Code.NOT_JSON),
        ("text", b"Nov 24 03:31:51 desk kernel: oops", Code.NOT_JSON),
        ("spaces", b"   ", Code.NOT_JSON),
        ("nesting of 30,000", b"[" * 30_000 + b"]" * 30_000, Code.OUT_OF_PROFILE),
        ("nesting of 100,000", b"[" * 100_000 + b"]" * 100_000, Code.OVERLONG_LINE),
        ("objects 10,000 deep", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, Code.OUT_OF_PROFILE),
        ("an integer of 5,000 digits", b'{"a":%b}' % (b"7" * 5_000), Code.OUT_OF_PROFILE),
        ("an infinite number", b'{"a":1e400}', Code.OUT_OF_PROFILE),
        ("NaN", b'{"a":NaN}', Code.OUT_OF_PROFILE),
        ("a lone surrogate", b'{"a":"\\ud800"}', Code.OUT_OF_PROFILE),
        ("a byte that is not UTF-8", b'{"a":"\xff"}', Code.NOT_UTF8),
        ("an encoded surrogate", b'{"a":"\xed\xa0\x80"}', Code.NOT_UTF8),
        ("a key twice", b'{"a":1,"a":1}', Code.DUPLICATE_KEY),
        ("an escaped slash", b'{"a":"\\/"}', Code.NOT_CANONICAL),
        ("a number with a needless fraction", b'{"a":1.0}', Code.NOT_CANONICAL),
        ("keys out of order", b'{"b":1,"a":1}', Code.NOT_CANONICAL),
        ("an empty object", b"{}", Code.MALFORMED_FIELD),
        ("a line of 200,000 bytes", b"x" * 200_000, Code.OVERLONG_LINE),
    ]
    for name, line, code in foreign:
        for at in (0, 1, len(lines)):
            yield f"put {name} before line {at}", b"".join((*lines[:at], line + b"\n", *lines[at:])), {code}


def _bad_entries(lines: Sequence[bytes]) -> Iterator[_Done]:
    """An entry in the middle that is sealed rightly and is no entry of version 1."""
    at = next(at for at in range(1, len(lines) - 1) if b'"trace_id":' in lines[at])
    line = lines[at]
    bad: list[tuple[str, bytes, FindingCode]] = [
        ("a key twice", line.replace(b'"seq":', b'"seq":1,"seq":'), Code.DUPLICATE_KEY),
        ("an unknown key", line.replace(b',"v":1}', b',"u":1,"v":1}'), Code.MALFORMED_FIELD),
        ("no session", _without(line, "session_id"), Code.MALFORMED_FIELD),
        ("a session in upper case", with_field(line, "session_id", b'"%b"' % (b"AB" * 16)), Code.MALFORMED_FIELD),
        ("an event that is a list", with_field(line, "event", b"[]"), Code.MALFORMED_FIELD),
        ("a fraction as its number", with_field(line, "seq", b"1.5"), Code.MALFORMED_FIELD),
        ("a number below 0", with_field(line, "seq", b"-1"), Code.MALFORMED_FIELD),
        ("true as its number", with_field(line, "seq", b"true"), Code.MALFORMED_FIELD),
        ("a wide number", with_field(line, "seq", b"9007199254740993"), Code.OUT_OF_PROFILE),
        ("a time without a fraction", with_field(line, "timestamp", b'"2026-11-24T03:31:51Z"'), Code.MALFORMED_FIELD),
        ("a 13th month", with_field(line, "timestamp", b'"2026-13-24T03:31:51.123456Z"'), Code.MALFORMED_FIELD),
        ("a trace of null", with_field(line, "trace_id", b"null"), Code.MALFORMED_FIELD),
        ("version 2", with_field(line, "v", b"2"), Code.UNKNOWN_VERSION),
        ("version true", with_field(line, "v", b"true"), Code.MALFORMED_FIELD),
    ]
    for name, changed, code in bad:
        yield f"{name} in line {at}", _joined(lines, at, (reseal(changed),)), {code}


def _joined(lines: Sequence[bytes], at: int, instead: Sequence[bytes], *, length: int = 1) -> bytes:
    return b"".join((*lines[:at], *instead, *lines[at + length :]))


def _hashed(line: bytes, stated: bytes) -> bytes:
    return line[:15] + stated + line[79:]


def _edited(line: bytes) -> bytes:
    """Say that another session has written the line, its hash as it was."""
    session = json.loads(line)["session_id"].encode()
    return with_field(line, "session_id", b'"%b"' % (session[::-1] if session != session[::-1] else b"0" * 32))


def with_field(line: bytes, field: str, value: bytes) -> bytes:
    """Return a line with another value of a top-level field, its hash as it was."""
    entry = json.loads(line)
    member = f'"{field}":'.encode()
    old = json.dumps(entry[field], ensure_ascii=False, separators=(",", ":")).encode()
    head, _, tail = line.rpartition(member + old)
    return head + member + value + tail


def _without(line: bytes, field: str) -> bytes:
    value = json.dumps(json.loads(line)[field]).encode()
    return line.replace(f'"{field}":'.encode() + value + b",", b"")
