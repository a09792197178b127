"""Shapes change how long a verdict takes, and never which one it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit import canonical
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.scan import Inquiry, scan
from aegis_audit.entry import Draft, Entry, seal
from aegis_audit.segment import Segment
from aegis_audit.shape import Shapes
from aegis_audit.trust import Trust
from support.logs import LogBuilder, reseal, small_log, write
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
        path.write_bytes(flipped)
        assert judged(path, shapes) == judged(path, Shapes())


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
