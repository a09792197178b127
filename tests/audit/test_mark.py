"""The mark beside a log: its bytes, and that nothing else is one."""

from __future__ import annotations

import zlib
from typing import Final

import pytest

from aegis_audit.chain import Head
from aegis_audit.mark import Mark, newest
from aegis_audit.tree import EMPTY, CompactRange

TREE: Final = EMPTY.extend([bytes([number]) * 32 for number in range(7)])
PLAIN: Final = Mark(Head(6, "ab" * 32), 17, 4096, 5000, 3, "desk.example/aegis")
SIGNED: Final = PLAIN._replace(generation=4, tree=TREE, signed=5, epoch_start=2)


def number(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "little", signed=True)


def slot(mark: Mark, count: int, hashes: bytes = b"", magic: bytes = b"AEH2") -> bytes:
    """Return the bytes of a slot, put together by hand."""
    body = b"".join(
        (
            magic,
            number(mark.generation),
            number(6),
            b"\xab" * 32,
            *map(number, (17, 4096, 5000)),
            b"desk.example/aegis".ljust(200, b"\0"),
            *map(number, (mark.signed, mark.epoch_start)),
            bytes([count]),
            hashes,
        )
    )
    return (body + zlib.crc32(body).to_bytes(4, "little")).ljust(2560, b"\0")


def test_a_mark_has_these_bytes_and_reads_back() -> None:
    assert (PLAIN.signed, PLAIN.epoch_start, PLAIN.tree) == (-1, 0, None)
    for mark, expected in ((PLAIN, slot(PLAIN, 255)), (SIGNED, slot(SIGNED, 3, TREE.encode()))):
        assert mark.encode() == expected
        assert Mark.decode(expected) == mark


def test_a_mark_of_a_tree_without_leaves_reads_back() -> None:
    mark = PLAIN._replace(head=Head(-1, "00" * 32), tree=CompactRange(0, ()))
    assert Mark.decode(mark.encode()) == mark


@pytest.mark.parametrize("mark", [PLAIN, SIGNED], ids=["plain", "signed"])
def test_a_slot_in_which_a_byte_has_changed_is_none(mark: Mark) -> None:
    whole = mark.encode()
    end = len(whole.rstrip(b"\0"))
    for at in range(end):
        torn = bytearray(whole)
        torn[at] ^= 0x41
        assert Mark.decode(bytes(torn)) is None
    for kept in (0, 1, 100, 2559):
        assert Mark.decode(whole[:kept]) is None


def test_a_slot_of_another_make_is_none() -> None:
    assert Mark.decode(slot(PLAIN, 255, magic=b"AEH1")) is None
    assert Mark.decode(bytes(2560)) is None


def test_the_newest_whole_mark_counts_wherever_it_stands() -> None:
    one, other, torn = PLAIN.encode(), SIGNED.encode(), b"x" * 2560
    pairs = ((one + other, SIGNED), (other + one, SIGNED), (one + torn, PLAIN), (torn + other, SIGNED))
    assert [newest(slots) for slots, _ in pairs] == [mark for _, mark in pairs]
    assert [newest(slots) for slots in (b"", one, torn + torn, torn + torn + one)] == [None, PLAIN, None, None]


def test_a_mark_stands_in_the_other_slot_than_the_one_before_it_and_says_what_is_not_signed() -> None:
    following = SIGNED.succeed(Head(8, "cd" * 32), None, 100)
    stored = following._replace(generation=following.generation + 1)
    assert [mark.place for mark in (PLAIN, SIGNED, stored)] == [0, 2560, 0]
    assert following == SIGNED._replace(head=Head(8, "cd" * 32), offset=4196, ring=5100, tree=None)
    assert [mark.unsigned for mark in (PLAIN, SIGNED, following)] == [7, 2, 4]
