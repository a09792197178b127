"""Lines that are taken together: all of them if everything about them is right, and none if anything is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from aegis_audit.chain import Head
from aegis_audit.checks.pairing import Pairing
from aegis_audit.checks.run import Run
from aegis_audit.checks.skim import Skimmer, Stretch
from aegis_audit.entry import Entry
from aegis_audit.finding import Place
from aegis_audit.segment import Block
from aegis_audit.shape import Shapes
from support.logs import reseal, small_log, trace_of

FIRST, *LINES = small_log(4)
SESSION: Final = "5e" * 16
MINUTE: Final = b"2026-11-24T03:31:"


class Told:
    """What the ledgers of a scan would be told."""

    def __init__(self) -> None:
        self.grown: list[tuple[int, str, list[bytes]]] = []

    def extend(self, first_seq: int, prev_hash: str, leaves: Sequence[bytes]) -> None:
        self.grown.append((first_seq, prev_hash, [*leaves]))


class Stand:
    """A skimmer that knows the shapes of calls, behind the first entry of a log."""

    def __init__(self) -> None:
        shapes = Shapes()
        for line in LINES[:2]:
            for _ in range(512):
                shapes.learn(Entry.parse(line))
        self.pairing, self.told = Pairing("audit.log"), Told()
        self.run = Run.begin(Entry.parse(FIRST), Place("audit.log"))
        self.skimmer = Skimmer(shapes, self.pairing, self.told, {SESSION})

    def stretches(self, lines: bytes, length: int | None = None) -> list[Stretch | None]:
        return [*self.skimmer.stretches(Block(0, lines, len(lines) if length is None else length))]

    def skim(self, lines: Sequence[bytes]) -> bool:
        (stretch,) = self.stretches(b"".join(lines))
        assert stretch is not None
        return self.skimmer.skim(self.run, stretch, 1)

    def state(self) -> tuple[object, ...]:
        return self.run.last_seq, self.run.last_hash, self.run.last_timestamp, self.pairing.intents, self.told.grown


def relinked(lines: Sequence[bytes], *changes: tuple[int, bytes, bytes]) -> list[bytes]:
    """Return the lines with something in each of these exchanged, sealed, and linked to each other again."""
    given = [*lines]
    for at, old, new in changes:
        assert old in given[at]
        given[at] = given[at].replace(old, new)
    found: list[bytes] = []
    for before, line in zip((None, *lines), given, strict=False):
        linked = line.replace(before[15:79], found[-1][15:79]) if before else line
        found.append(reseal(linked))
    return found


def timed(*times: bytes) -> list[bytes]:
    """Return as many lines with these times, from the minute on."""
    lines = LINES[: len(times)]
    stated = [line[line.index(b'"timestamp":"') + 13 :][:27] for line in lines]
    return relinked(lines, *((at, stated[at], b"2026-11-24T" + time) for at, time in enumerate(times)))


def test_lines_that_are_right_are_taken_as_the_long_way_takes_them() -> None:
    stand, last = Stand(), Entry.parse(LINES[-2])
    before = stand.run.last_hash
    assert stand.skim(LINES[:-1])
    leaves = [bytes.fromhex(line[15:79].decode()) for line in LINES[:-1]]
    assert stand.state() == (
        *(last.seq, last.entry_hash, last.timestamp),
        {trace_of(3): (7, 8, None)},
        [(1, before, leaves)],
    )
    assert stand.skim(LINES[-1:])
    assert (stand.run.last_seq, stand.pairing.intents, stand.run.entries) == (8, {}, 9)


def stated_hash() -> list[bytes]:
    """Return lines of which one states another hash than it has, and the next one links to what it states."""
    wrong = LINES[2].replace(LINES[2][15:79], b"0" * 64, 1)
    return [*LINES[:2], wrong, *relinked([LINES[3].replace(LINES[2][15:79], b"0" * 64), *LINES[4:]])]


def unlinked(at: int) -> list[bytes]:
    """Return lines of which one names another as the one before it."""
    prev_hash = FIRST[15:79] if at == 0 else LINES[at - 1][15:79]
    return [*LINES[:at], *relinked(LINES[at:], (0, prev_hash, b"1" * 64))]


WRONG: Final = {
    "a hash": stated_hash(),
    "bytes of an intent": [*LINES[:2], LINES[2].replace(b"notes/1", b"notes/9"), *LINES[3:]],
    "bytes of an outcome": [*LINES[:-1], LINES[-1].replace(b"1203", b"1204")],
    "the link of the first": unlinked(0),
    "the link of the second": unlinked(1),
    "the link of the last": unlinked(7),
    "a number": relinked(LINES, (3, b'"seq":4,', b'"seq":5,')),
    "the last number": relinked(LINES, (7, b'"seq":8,', b'"seq":9,')),
    "a number too low": relinked(LINES, (0, b'"seq":1,', b'"seq":0,')),
    "a number too high": relinked(LINES, (0, b'"seq":1,', b'"seq":2,')),
    "a trace": relinked(LINES, (4, trace_of(2).encode(), b"g" * 32)),
    "a session": relinked(LINES, (4, b'session_id":"5e', b'session_id":"6e')),
    "the first time": timed(b"03:31:51.000000Z", b"03:31:51.200000Z"),
    "a time": timed(b"03:31:52.000000Z", b"03:31:51.900000Z", b"03:31:52.000000Z"),
    "a minute of its own": timed(b"03:99:52.000000Z", b"03:99:53.000000Z"),
    "a minute between": timed(b"03:31:52.000000Z", b"03:3x:53.000000Z", b"03:40:00.000000Z"),
    "the first minute": timed(b"03:3x:52.000000Z", b"03:40:53.000000Z"),
    "the last minute": timed(b"03:31:52.000000Z", b"03:60:53.000000Z"),
    "the first left out": LINES[1:],
    "one left out": LINES[:3] + LINES[4:],
    "one twice": [LINES[0], LINES[0]],
    "two exchanged": [LINES[1], LINES[0]],
}


@pytest.mark.parametrize("lines", WRONG.values(), ids=WRONG)
def test_of_lines_of_which_one_is_not_right_none_is_taken(lines: list[bytes]) -> None:
    stand = Stand()
    before = stand.state()
    assert not stand.skim(lines)
    assert stand.state() == before


@pytest.mark.parametrize(
    "lines",
    [
        timed(b"03:31:51.124456Z", b"03:31:51.124456Z"),  # the time of the first entry
        timed(b"03:31:59.999999Z", b"03:32:00.000000Z", b"23:59:59.999999Z"),
        timed(b"04:00:00.000000Z", b"04:00:00.000001Z"),
    ],
)
def test_times_in_order_are_right(lines: list[bytes]) -> None:
    assert Stand().skim(lines)


def test_a_run_that_ends_with_another_number_or_hash_is_not_gone_on_with() -> None:
    for head in (Head(1, FIRST[15:79].decode()), Head(0, "0" * 64)):
        stand = Stand()
        stand.run.heads = (head,)
        assert not stand.skim(LINES)


def test_lines_of_a_known_shape_are_told_from_others() -> None:
    stand, other = Stand(), FIRST
    found = stand.stretches(b"".join([*LINES[:3], other, LINES[3], other, other, *LINES[4:], other]))
    assert [one and (one.length, len(one.bodies), one.seqs[0]) for one in found] == [
        (sum(map(len, LINES[:3])), 3, b"1"),
        None,
        (len(LINES[3]), 1, b"4"),
        None,
        None,
        (sum(map(len, LINES[4:])), 4, b"5"),
        None,
    ]
    assert [bool(one) for one in stand.stretches(other + LINES[0])] == [False, True]
    (whole,) = stand.stretches(b"".join(LINES))
    assert whole is not None
    assert (whole.length, [bool(one) for one in whole.intents]) == (sum(map(len, LINES)), [True, False] * 4)
    assert [bool(one) for one in whole.outcomes] == [False, True] * 4


def test_lines_that_are_cut_or_have_no_end_are_left_to_the_long_way() -> None:
    lines = b"".join(LINES)
    stand = Stand()
    assert stand.stretches(lines[:-1]) == []
    assert stand.stretches(lines, len(lines) + 1) == []
    assert stand.stretches(FIRST[:-1] + b"\x80\n") == [None]
