"""Compressed bytes, however they come in pieces: what comes out, in pieces that are bounded, and what is damage."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Iterator
from random import Random
from typing import Final

import pytest

from aegis_audit.errors import DamagedSegment
from aegis_audit.expand import MAX_PIECE, expand, is_compressed
from support.logs import COMPRESSIONS

NOISE: Final = Random(1).randbytes(3000)
DATA: Final = NOISE + b"one line\n" * 100 + NOISE


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 1000, 1 << 20])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_members_expand_to_the_same_however_they_come(compression: str, size: int) -> None:
    member = COMPRESSIONS[compression](DATA)
    other = COMPRESSIONS[compression](b"two\n")
    assert b"".join(expand(cut(member, size))) == DATA
    assert b"".join(expand(cut(member + other + member, size))) == DATA + b"two\n" + DATA
    assert b"".join(expand(iter((member, other)))) == DATA + b"two\n"
    assert list(expand(iter((COMPRESSIONS[compression](b""),)))) == []


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 1 << 20])
@pytest.mark.parametrize("data", [b"", b"a", b"ab\n", b"BZ", b"\xfd7zXZ", b"\x1f", b"(\xb5/", b"line\n" * 3000])
def test_what_is_not_compressed_passes(data: bytes, size: int) -> None:
    assert b"".join(expand(cut(data, size))) == data


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_is_behind_a_member_or_missing_from_its_end_is_damage(compression: str) -> None:
    member = COMPRESSIONS[compression](DATA)
    spoilt = member[:3000] + bytes(40) + member[3040:]
    for size in (100, 1 << 20):
        for data in (member + b"more", member + spoilt if compression != "zst" else member + b"{"):  # has no checksum
            with pytest.raises(DamagedSegment):
                list(expand(cut(data, size)))
        for kept in (10, 500, len(member) - 1):
            with pytest.raises(DamagedSegment) as caught:
                list(expand(cut(member[:kept], size)))
            assert caught.value.is_cut_off


@pytest.mark.parametrize("compression", [*COMPRESSIONS, "none"])
def test_no_more_is_read_and_kept_at_a_time_than_is_asked_for(compression: str) -> None:
    data = bytes(9 * MAX_PIECE) + NOISE
    taken: list[bytes] = []

    def pieces() -> Iterator[bytes]:
        for piece in cut(COMPRESSIONS.get(compression, bytes)(data), 100):
            taken.append(piece)
            yield piece

    expanded = expand(pieces())
    first = next(expanded)
    assert len(taken) < 100
    rest = list(expanded)
    assert max(map(len, (first, *rest))) <= MAX_PIECE
    assert first + b"".join(rest) == data


def test_the_window_of_the_hardest_compression_is_not_too_large() -> None:
    hardest = (lzma.compress(DATA, preset=9 | lzma.PRESET_EXTREME), bz2.compress(DATA, 9))
    assert [b"".join(expand(iter((data,)))) for data in hardest] == [DATA, DATA]


def test_what_is_compressed_is_told_by_its_first_bytes() -> None:
    assert all(is_compressed(compress(b"")[:6]) for compress in COMPRESSIONS.values())
    assert not any(map(is_compressed, (b"", b"{", b'{"entr', b"\x1f", b"BZ")))
