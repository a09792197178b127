"""One line: what an entry is, and that nothing else is one."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aegis_audit import canonical
from aegis_audit.chain import GENESIS, Head, append
from aegis_audit.entry import EVENT_KINDS, MAX_LINE, Draft, Entry, seal
from aegis_audit.errors import MalformedEntry, UnencodableValue
from aegis_audit.finding import FindingCode
from support.logs import reseal, small_log

VECTORS = (Path(__file__).parents[1] / "vectors" / "chain-v1.jsonl").read_bytes().splitlines(keepends=True)
LINE = small_log(1)[1]
SESSION = "5e" * 16
TIME = "2026-11-24T03:31:51.123456Z"


def test_the_vectors_parse_and_seal_to_the_same_bytes() -> None:
    head = GENESIS
    for line in VECTORS:
        entry = Entry.parse(line)
        draft = Draft(entry.event_type, canonical.encode(entry.event), entry.session_id, entry.trace_id)
        sealed, head = append(head, draft, entry.timestamp)
        assert sealed == line
        assert head == Head(entry.seq, entry.entry_hash)
        assert entry.entry_hash == entry.computed_hash


def test_the_hash_is_that_of_the_canonical_form_without_the_hash() -> None:
    for line in VECTORS:
        fields = json.loads(line)
        stated = fields.pop("entry_hash")
        assert hashlib.sha256(b"\x00" + canonical.encode(fields)).hexdigest() == stated


def test_the_hashes_of_the_vectors_are_the_leaves_of_their_merkle_tree() -> None:
    roots = json.loads((Path(__file__).parents[1] / "vectors" / "roots-v1.json").read_text(encoding="utf-8"))
    leaves = [bytes.fromhex(Entry.parse(line).computed_hash) for line in VECTORS]
    computed = [_root(leaves[:size]).hex() for size in range(len(leaves) + 1)]
    assert computed == roots["roots_hex_by_size"]


def _root(leaves: list[bytes]) -> bytes:
    """Return the root over leaf hashes as RFC 6962 §2.1 has it."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + _root(leaves[:split]) + _root(leaves[split:])).digest()


def test_a_wrong_hash_is_not_malformed() -> None:
    entry = Entry.parse(LINE[:15] + b"0" * 64 + LINE[79:])
    assert entry.entry_hash == "0" * 64
    assert entry.computed_hash == Entry.parse(LINE).entry_hash


def test_only_a_security_event_has_a_kind() -> None:
    opened, intent, _ = (Entry.parse(line) for line in small_log(1))
    assert (opened.kind, intent.kind) == ("log_opened", None)
    assert opened.kind in EVENT_KINDS
    called, odd = (
        Entry.parse(seal(Draft(event_type, event, SESSION), TIME, 1, "ab" * 32)[0])
        for event_type, event in (
            ("tool_invocation", b'{"kind":"recovered"}'),
            ("security_event", b'{"kind":["recovered"]}'),
        )
    )
    assert (called.kind, odd.kind) == (None, None)


def test_the_longest_line_is_sealed_and_parsed_and_a_longer_one_neither() -> None:
    def draft(size: int) -> Draft:
        return Draft("tool_invocation", canonical.encode({"a": "x" * size}), SESSION)

    overhead = len(seal(draft(0), TIME, 0, "0" * 64)[0])
    line, _ = seal(draft(MAX_LINE - overhead), TIME, 0, "0" * 64)
    assert len(line) == MAX_LINE
    assert Entry.parse(line).seq == 0
    with pytest.raises(UnencodableValue):
        seal(draft(MAX_LINE - overhead + 1), TIME, 0, "0" * 64)
    for event in (b'{"a":"x"}', b'{"a":"x","b":0.5}'):  # the quick way, and the long one
        overhead = len(with_event(event))
        longest = with_event(event.replace(b"x", b"x" * (MAX_LINE - overhead + 1)))
        assert len(longest) == MAX_LINE
        assert Entry.parse(longest).has_its_hash
        with pytest.raises(MalformedEntry, match="65536 bytes"):
            Entry.parse(reseal(longest.replace(b"xx", b"xxx", 1)))


def test_nesting_counts_from_the_entry_itself() -> None:
    def line(levels: int) -> bytes:
        event = b'{"a":' * levels + b"1" + b"}" * levels
        return reseal(LINE.replace(canonical.encode(Entry.parse(LINE).event), event))

    assert Entry.parse(line(canonical.MAX_NESTING - 1)).seq == 1
    with pytest.raises(MalformedEntry) as caught:
        Entry.parse(line(canonical.MAX_NESTING))
    assert caught.value.code is FindingCode.OUT_OF_PROFILE


def with_event(event: bytes) -> bytes:
    return seal(Draft("tool_invocation", event, SESSION), TIME, 1, "ab" * 32)[0]


def changed(before: bytes, after: bytes) -> bytes:
    """Return the line with something else in one place, and the hash that its bytes have then."""
    assert LINE.count(before) == 1
    return reseal(LINE.replace(before, after))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (changed(b'"phase":"intent"', b'"phase": "intent"'), FindingCode.NOT_CANONICAL),
        (changed(b'"read_text_file"', b'"read\\u005ftext_file"'), FindingCode.NOT_CANONICAL),
        (with_event(b'{"b":1,"a":2}'), FindingCode.NOT_CANONICAL),
        (with_event(b'{"a":-0}'), FindingCode.NOT_CANONICAL),
        (with_event(b'{"a":1.0}'), FindingCode.NOT_CANONICAL),
        (with_event(b'{"a":1e22}'), FindingCode.NOT_CANONICAL),  # as orjson writes it
        (with_event('{"\ufb33":1,"\U0001f511":2}'.encode()), FindingCode.NOT_CANONICAL),  # in the order of orjson
        (LINE[:-1] + b" \n", FindingCode.NOT_CANONICAL),
        (with_event(b'{"a":1,"a":1}'), FindingCode.DUPLICATE_KEY),
        (b'{"a":' * 9000 + b"1" + b"}" * 9000 + b"\n", FindingCode.OUT_OF_PROFILE),
        (with_event(b'{"a":9007199254740992}'), FindingCode.OUT_OF_PROFILE),
        (with_event(b'{"a":NaN}'), FindingCode.OUT_OF_PROFILE),
        (with_event(b'{"a":' + b"9" * 5000 + b"}"), FindingCode.OUT_OF_PROFILE),
        (with_event(b'{"a":}'), FindingCode.NOT_JSON),
        (with_event(b'{"a":"\xff"}'), FindingCode.NOT_UTF8),
        *((one, FindingCode.NOT_JSON) for one in (b"7\n", b"[]\n", b'"a"\n', b"null\n", b"true\n", b"\t\n")),
        (b"\n", FindingCode.BLANK_LINE),
        (LINE[:-1], FindingCode.TORN_TAIL),
        (LINE[:-1] + b"\r\n", FindingCode.CARRIAGE_RETURN),
        (b"\xef\xbb\xbf" + LINE, FindingCode.BYTE_ORDER_MARK),
        (LINE[:-2] + b"\x00" + LINE[-2:], FindingCode.NUL_BYTES),
        (changed(b'"v":1', b'"v":2'), FindingCode.UNKNOWN_VERSION),
        (changed(b'"v":1', b'"v":0'), FindingCode.UNKNOWN_VERSION),
        (changed(b'"v":1', b'"v":true'), FindingCode.MALFORMED_FIELD),
        (changed(b'"v":1', b'"v":"2"'), FindingCode.MALFORMED_FIELD),
        (changed(b',"v":1', b""), FindingCode.MALFORMED_FIELD),
        (changed(b',"v":1', b',"v":1,"w":1'), FindingCode.MALFORMED_FIELD),
        (changed(b'"seq":1', b'"seq":-1'), FindingCode.MALFORMED_FIELD),
        (changed(b'"seq":1', b'"seq":true'), FindingCode.MALFORMED_FIELD),
        (changed(b'"seq":1', b'"seq":"1"'), FindingCode.MALFORMED_FIELD),
        (changed(b'"event_type":"tool_invocation"', b'"event_type":1'), FindingCode.MALFORMED_FIELD),
        (with_event(b"[]"), FindingCode.MALFORMED_FIELD),
        (with_event(b"null"), FindingCode.MALFORMED_FIELD),
        (changed(SESSION.encode(), SESSION.upper().encode()), FindingCode.MALFORMED_FIELD),
        (changed(b'"%b"' % SESSION.encode(), b"5"), FindingCode.MALFORMED_FIELD),
        (changed(SESSION.encode(), SESSION[1:].encode()), FindingCode.MALFORMED_FIELD),
        (changed(b'"trace_id":"', b'"trace_id":"0'), FindingCode.MALFORMED_FIELD),
        (changed(b'"trace_id":"%032x"' % 1, b'"trace_id":null'), FindingCode.MALFORMED_FIELD),
        (changed(b'"timestamp":"2026-', b'"timestamp":"20260-'), FindingCode.MALFORMED_FIELD),
        (changed(b'"prev_hash":"', b'"prev_hash":"A'), FindingCode.MALFORMED_FIELD),
        (LINE.replace(LINE[15:79], LINE[15:79].upper()), FindingCode.MALFORMED_FIELD),
    ],
)
def test_what_is_no_entry_is_named(line: bytes, code: FindingCode) -> None:
    with pytest.raises(MalformedEntry) as caught:
        Entry.parse(line)
    assert caught.value.code is code


@pytest.mark.parametrize(
    "event",
    [b'{"a":1e+22}', b'{"a":0.5}', '{"\U0001f511":2,"\ufb33":1}'.encode(), '{"a":"\u00fc"}'.encode(), b'{"a":[{}]}'],
)
def test_what_is_in_canonical_form_is_an_entry(event: bytes) -> None:
    assert Entry.parse(with_event(event)).has_its_hash


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
events = st.dictionaries(
    text,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, width=32) | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=5,
)


@given(events, st.integers(0, 2**40), st.sampled_from([None, "0af7651916cd43dd8448eb211c80319c"]))
def test_whatever_is_sealed_parses_to_the_same(event: dict[str, Any], seq: int, trace_id: str | None) -> None:
    try:
        draft = Draft("tool_invocation", canonical.encode(event), SESSION, trace_id)
    except UnencodableValue:  # an infinite number
        return
    line, entry_hash = seal(draft, TIME, seq, "ab" * 32)
    entry = Entry.parse(line)
    assert canonical.encode(entry.event) == draft.event
    expected = (seq, "ab" * 32, entry_hash, entry_hash, TIME, SESSION, trace_id)
    fields = (entry.seq, entry.prev_hash, entry.entry_hash, entry.computed_hash)
    assert (*fields, entry.timestamp, entry.session_id, entry.trace_id) == expected


@given(st.binary(max_size=200))
@example(b"")
@example(b"\n")
@example(b"\xef\xbb\xbf{}\n")
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000 + b"\n")
@example(b"7" * 60_000 + b"\n")
@example(b"-0\n")
@example(b'{"v":1e400}\n')
def test_no_bytes_make_the_parser_fail_otherwise_than_by_refusing(data: bytes) -> None:
    with pytest.raises(MalformedEntry):
        Entry.parse(data)


@given(st.data())
def test_a_line_with_other_bytes_is_refused_or_has_another_hash(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(LINE) - 1))
    end = data.draw(st.integers(start, min(len(LINE), start + 8)))
    instead = data.draw(
        st.binary(max_size=8) | st.sampled_from([b'"', b",", b"}", b"0", b" ", b"\n", b"1.0", b"\\u0041"])
    )
    changed = LINE[:start] + instead + LINE[end:]
    with suppress(MalformedEntry):
        entry = Entry.parse(changed)
        assert changed == LINE or entry.computed_hash != entry.entry_hash
