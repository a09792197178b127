"""Shapes change how long a verdict takes, and never which one it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit import canonical, chain
from aegis_audit.chain import Head
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.scan import Inquiry, scan
from aegis_audit.entry import Draft, Entry, seal
from aegis_audit.segment import Segment
from aegis_audit.shape import Shapes
from aegis_audit.trust import Trust
from support.logs import LogBuilder, overwrite, reseal, small_log, write
from support.tampering import Tampering, corpus

ENOUGH = 512
"""Lines after which one more of the same kind is learnt from, be it beside a few others."""
LINES = small_log(3)


def taught(lines: Sequence[bytes]) -> Shapes:
    """Return shapes learnt from these lines."""
    shapes = Shapes()
    for line in lines:
        for _ in range(ENOUGH):
            shapes.learn(Entry.parse(line))
    return shapes


def judged(path: Path, shapes: Shapes) -> tuple[object, ...]:
    """Return all that a scan says."""
    found = Findings()
    result = scan(Segment(str(path)), Inquiry(found, shapes, Ledgers(found, Trust())))
    pairing = result.pairing.intents, result.pairing.outcomes
    return found.kept(), result.runs, result.entries, result.size, result.sessions, result.lost, pairing


def sealed(event: bytes, seq: int = 1, prev_hash: str = "ab" * 32) -> bytes:
    return seal(Draft("tool_invocation", event, "5e" * 16, "7f" * 16), "2026-11-24T03:31:51.123456Z", seq, prev_hash)[0]


def is_known(shapes: Shapes, line: bytes) -> bool:
    return [bool(record[0]) for record in shapes.read(line)] == [True]


def test_a_line_like_one_that_was_learnt_is_known() -> None:
    shapes = taught(LINES[1:3])
    assert [is_known(shapes, line) for line in LINES] == [False, True, True, True, True, True, True]


@pytest.mark.parametrize("tampering", corpus(LINES), ids=lambda one: one.name)
def test_every_tampering_is_judged_the_same_with_shapes_and_without(tmp_path: Path, tampering: Tampering) -> None:
    path = write(tmp_path / "audit.log", [tampering.data])
    assert judged(path, taught(LINES[1:3])) == judged(path, Shapes())


def test_every_bit_that_changes_is_judged_the_same_with_shapes_and_without(tmp_path: Path) -> None:
    path, data, shapes = tmp_path / "audit.log", b"".join(small_log(1)), taught(LINES[1:3])
    for bit in range(0, 8 * len(data), 3):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        overwrite(path, flipped)
        assert judged(path, shapes) == judged(path, Shapes())


@pytest.mark.parametrize(
    "time", ["{}T02:31:51.123456Z", "{}T03:31:51.000000Z", "{}T03:3x:51.123456Z", "2026-13-24T03:31:59.000000Z"]
)
@pytest.mark.parametrize("rest", ["{}T03:31:52.{:06}Z", "{}T03:32:52.{:06}Z", "2026-13-24T04:00:00.{1:06}Z"])
def test_times_that_go_back_or_are_none_are_judged_the_same_with_shapes_and_without(
    tmp_path: Path, time: str, rest: str
) -> None:
    day = "2026-11-24"
    drafts = [
        Draft("tool_invocation", canonical.encode(Entry.parse(line).event), "5e" * 16, "7f" * 16) for line in LINES[1:3]
    ]
    for odd in range(1, 7):
        lines, head = LINES[:1], Head(0, LINES[0][15:79].decode("ascii"))
        for seq in range(1, 7):
            at = (
                time.format(day)
                if seq == odd
                else rest.format(day, seq)
                if seq > odd
                else f"{day}T03:31:51.{123456 + seq}Z"
            )
            line, head = chain.append(head, drafts[seq % 2], at)
            lines = [*lines, line]
        path = write(tmp_path / "audit.log", lines)
        assert judged(path, taught(LINES[1:3])) == judged(path, Shapes())


def test_a_long_log_of_several_sessions_is_judged_the_same_with_shapes_and_without(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    for number in range(300):
        log.session_id = f"{number // 50:032x}"
        log.call(number % 40)
        if number % 7 == 0:
            log.intent(number, "schreibe_größe")
    path = write(tmp_path / "audit.log", log.lines)
    assert judged(path, taught(log.lines[1:3])) == judged(path, Shapes())


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ['"', "\\", "a\nb", "\x7f", "\x00"]
)
leaves = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | text | st.just(0.5)
members = st.dictionaries(st.sampled_from(["arguments", "phase", "a", "b", "ü", "\U0001f511", "דּ", "\x01"]), leaves)
events = st.dictionaries(st.sampled_from(["arguments", "phase", "tool", "z", "é"]), leaves | members | st.lists(leaves))


@given(events, events)
def test_a_line_of_a_known_shape_is_an_entry(learnt: dict[str, Any], other: dict[str, Any]) -> None:
    shapes = taught([sealed(canonical.encode(learnt))])
    for event in (learnt, other):
        line = sealed(canonical.encode(event))
        if is_known(shapes, line):
            assert Entry.parse(line).event.get("phase") == learnt.get("phase")


instead = st.sampled_from(
    [b"", b" ", b"0", b"1.0", b"e", b"\\", b"\\n", b"\\/", b"\\u0041", b'"', b"\n", b"\x1f", b"-", b"\xff", b"\xc3\xbc"]
)


@given(events, st.lists(events, max_size=3), st.data())
def test_a_line_that_was_changed_and_sealed_again_is_judged_the_same_with_shapes_and_without(
    tmp_path_factory: pytest.TempPathFactory, learnt: dict[str, Any], others: list[dict[str, Any]], data: st.DataObject
) -> None:
    events = [learnt, learnt, *others, learnt, learnt]
    changed = data.draw(st.integers(0, len(events) - 1))
    log = [sealed(canonical.encode({"kind": "log_opened", "origin": "desk.example"}), 0, "0" * 64)]
    for seq, event in enumerate(events, 1):
        line = sealed(canonical.encode(event), seq, log[-1][15:79].decode("ascii"))
        if seq - 1 == changed:
            at = data.draw(st.integers(81, len(line) - 2))
            line = reseal(line[:at] + data.draw(instead) + line[at + data.draw(st.integers(0, 2)) :])
        log.append(line)
    path = write(tmp_path_factory.mktemp("log") / "audit.log", log)
    shapes = taught([sealed(canonical.encode(learnt))])
    assert judged(path, shapes) == judged(path, Shapes())


PLAIN = canonical.encode({"arguments": {"path": "/tmp/a"}, "phase": "intent", "tool": "read"})


@given(st.sampled_from([PLAIN, PLAIN.replace(b"/tmp", b"c:\\\\tmp"), PLAIN.replace(b"/tmp", b"\\n")]), st.data())
def test_a_rare_line_with_escapes_is_judged_the_same_with_shapes_and_without(
    tmp_path_factory: pytest.TempPathFactory, event: bytes, data: st.DataObject
) -> None:
    log = [sealed(canonical.encode({"kind": "log_opened", "origin": "desk.example"}), 0, "0" * 64)]
    for seq in range(1, 60):
        line = sealed(event if seq == 30 else PLAIN, seq, log[-1][15:79].decode("ascii"))
        if seq == 30:
            at = data.draw(st.integers(81, len(line) - 2))
            line = reseal(line[:at] + data.draw(instead) + line[at + data.draw(st.integers(0, 2)) :])
        log.append(line)
    path = write(tmp_path_factory.mktemp("log") / "audit.log", log)
    shapes = taught([sealed(PLAIN)])
    assert [bool(record[0]) for record in shapes.read(b"".join(log[1:30]))] == [True] * 29
    assert judged(path, shapes) == judged(path, Shapes())


def test_what_is_learnt_again_stays_known() -> None:
    shapes, line = taught([sealed(PLAIN)]), sealed(PLAIN.replace(b"/tmp", b"\\n"))
    for _ in range(ENOUGH):
        shapes.learn(Entry.parse(line))
    assert [is_known(shapes, one) for one in (sealed(PLAIN), line)] == [True, True]


MANY = [sealed(PLAIN)] * 40


@pytest.mark.parametrize("odd", [(0,), (1,), (20,), (39,), (0, 1), (3, 30), (38, 39)])
@pytest.mark.parametrize("text", [b"\\n", b"\\/", b"\\u0041"])
def test_lines_with_escapes_among_many_without_are_left_to_be_parsed(odd: tuple[int, ...], text: bytes) -> None:
    lines = [sealed(PLAIN.replace(b"/tmp", text)) if at in odd else line for at, line in enumerate(MANY)]
    records = taught(MANY[:1]).read(b"".join(lines))
    assert [at for at, record in enumerate(records) if not record[0]] == [*odd]
    assert [record for record in records if not any(record)] == [(b"",) * 9] * len(odd)


@pytest.mark.parametrize("text", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\n", b"\x00", b"\x1f", b"\n\\"])
@pytest.mark.parametrize("at", [0, 20, 39])
def test_what_stands_in_no_line_is_in_no_line_of_a_known_shape(text: bytes, at: int) -> None:
    lines = [*MANY[:at], sealed(PLAIN.replace(b"/tmp", text)), *MANY[at + 1 :]]
    records = taught(MANY[:1]).read(b"".join(lines))
    assert not records or not all(record[0] for record in records)


WITH_UMLAUT = PLAIN.replace(b"/tmp", "größe".encode())


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (PLAIN, True),
        (WITH_UMLAUT, True),
        (PLAIN.replace(b"/tmp", b"\\n\\\\"), True),
        (PLAIN.replace(b"/tmp", b"\\/"), False),
        (PLAIN.replace(b"/tmp", b"\\u0041"), False),
        (PLAIN.replace(b"/tmp", b"\\"), False),
        (PLAIN.replace(b"/tmp", b'"'), False),
        (PLAIN.replace(b"intent", b"outcome"), False),
        (PLAIN.replace(b"intent", b""), False),
        (PLAIN.replace(b'"read"', b"1"), False),
        (PLAIN.replace(b'"read"', b'"read","z":1'), False),
        (PLAIN.replace(b'"tool":', b'"toot":'), False),
        (PLAIN.replace(b'"path":', b'"past":'), False),
        (PLAIN.replace(b'"/tmp/a"', b"[]"), False),
        (PLAIN.replace(b'{"path":"/tmp/a"}', b"null"), False),
        (b"", False),
        (b'"', False),
    ],
)
def test_a_line_is_known_by_its_keys_its_phase_and_the_form_of_its_values(event: bytes, expected: bool) -> None:
    assert is_known(taught([sealed(PLAIN)]), sealed(event)) is expected


@pytest.mark.parametrize(
    ("value", "known", "unknown"),
    [
        (
            1,
            (b"0", b"7", b"-1", b"999999999999999", b"-999999999999999"),
            (b"00", b"-0", b"1.0", b"1e1", b"+1", b'"1"'),
        ),
        (True, (b"true",), (b"false", b"null", b"True")),
        (None, (b"null",), (b"true", b"0", b'""')),
        ("a", (b'""', b'"b"'), (b"1", b"[]", b'"a" ')),
        ([1, "a"], (b'[2,"b"]',), (b"[1]", b'["a",1]', b'[1,"a",1]', b'[1, "a"]', b"[]")),
        ([], (b"[]",), (b"[1]", b"{}")),
        ({"k": [1]}, (b'{"k":[2]}',), (b'{"k":1}', b'{"l":[1]}', b"{}", b'{"k":[1],"k":[1]}', b'{"k": [1]}')),
    ],
)
@pytest.mark.parametrize("key", ["arguments", "z"])
def test_a_value_is_known_by_its_form(
    key: str, value: object, known: tuple[bytes, ...], unknown: tuple[bytes, ...]
) -> None:
    shapes = taught([sealed(canonical.encode({key: value}))])
    lines = [sealed(b'{"%b":%b}' % (key.encode("ascii"), one)) for one in (*known, *unknown)]
    assert [is_known(shapes, line) for line in lines] == [True] * len(known) + [False] * len(unknown)


@pytest.mark.parametrize("phases", [("intent",), ("outcome",), ("intent", "outcome"), ("other",)])
def test_a_line_of_a_known_shape_is_marked_by_its_phase(phases: tuple[str, ...]) -> None:
    lines = [sealed(PLAIN.replace(b"intent", phase.encode("ascii"))) for phase in phases]
    marks = [[bool(mark) for mark in record[2:4]] for record in taught(lines).read(b"".join(lines))]
    assert marks == [[phase == "intent", phase == "outcome"] for phase in phases]
    without_event = lines[0].replace(PLAIN.replace(b"intent", phases[0].encode("ascii")), b"")
    without_type = without_event.replace(b',"event_type":"tool_invocation"', b'"')
    assert [is_known(taught(lines), reseal(line)) for line in (without_event, without_type)] == [False, False]


def test_each_field_of_a_line_of_a_known_shape_is_told() -> None:
    line = sealed(PLAIN, 17, "cd" * 32)
    (record,) = taught([line]).read(line)
    assert (record[0], record[1]) == (line[15:79], line[81:-1])
    assert [bool(mark) for mark in record[2:4]] == [True, False]
    timestamp = b"2026-11-24T03:31:51.123456Z"
    assert record[4:] == (b"cd" * 32, b"17", b"5e" * 16, timestamp, b"7f" * 16)


@pytest.mark.parametrize(
    "event",
    [
        {"z": 0.5},
        {"arguments": 0.5},
        {"arguments": {"a": [0.5]}},
        {"phase": 1},
        {"phase": ["intent"]},
        {f"key{number:04}": 1 for number in range(500)},
    ],
)
def test_an_event_that_has_no_simple_form_is_not_learnt(event: dict[str, Any]) -> None:
    line = sealed(canonical.encode(event))
    assert not is_known(taught([line]), line)


@pytest.mark.parametrize("event_type", ["security_event", "checkpoint"])
def test_what_has_something_of_its_own_to_say_is_not_learnt(event_type: str) -> None:
    draft = Draft(event_type, b'{"kind":"entries_lost"}', "5e" * 16, "7f" * 16)
    line, _ = seal(draft, "2026-11-24T03:31:51.123456Z", 1, "ab" * 32)
    assert not is_known(taught([line]), line)
