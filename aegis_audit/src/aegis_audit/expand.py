"""Expanding compressed bytes: gzip, xz, bzip2 and zstd, told apart by their first bytes and never by a name.

What comes out is bounded at every step, so that a small file that expands without end costs time and no memory. A
file may hold several members one after another, as `cat a.gz b.gz` makes them; anything else behind a member is damage.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from aegis_audit.errors import DamagedSegment

MAX_PIECE: Final = 128 << 10
"""Bytes of the longest piece that comes out of `expand`."""

_MAX_WINDOW: Final = 64 << 20  # what `xz -9` and `zstd -19` need, and no more
_ZSTD_BITE: Final = 256
"""Compressed bytes given to zstd at once: its decoder cannot be told a bound, and 4 bytes may stand for 128 KiB."""


class _Decoder(Protocol):
    """What `bz2` and `lzma` offer, and the other two are dressed up as."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, max_length)


class _Zstd:
    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - a gateway that starts has nothing to expand

        self._error = zstandard.ZstdError
        self._stream = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
        self._waiting = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data + bytes(self._waiting)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:  # noqa: ARG002  the bite is what bounds it
        if data:  # given only after `needs_input`, when nothing waits
            self._waiting = memoryview(data)
        bite, self._waiting = self._waiting[:_ZSTD_BITE], self._waiting[_ZSTD_BITE:]
        try:
            return self._stream.decompress(bite)
        except self._error as exc:
            raise OSError(str(exc)) from exc


def _xz() -> _Decoder:
    return lzma.LZMADecompressor(memlimit=_MAX_WINDOW + (8 << 20))


_MAGIC: Final[tuple[tuple[bytes, str, Callable[[], _Decoder]], ...]] = (
    (b"\x1f\x8b", "gzip", _Gzip),
    (b"\xfd7zXZ\x00", "xz", _xz),
    (b"BZh", "bzip2", bz2.BZ2Decompressor),
    (b"\x28\xb5\x2f\xfd", "zstd", _Zstd),
)
_ERRORS: Final = (zlib.error, lzma.LZMAError, OSError, EOFError, MemoryError)


def is_compressed(first: bytes) -> bool:
    """Tell whether a file that begins with these bytes, at least six if it has so many, is one to expand."""
    return any(first.startswith(magic) for magic, _, _ in _MAGIC)


def expand(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the expanded bytes of `pieces`; bytes of no known magic pass through as they are.

    Raises:
        DamagedSegment: the compressed bytes are damaged, or end before their end.
    """
    first = next(pieces, b"")
    while first and len(first) < len(b"\xfd7zXZ\x00") and (more := next(pieces, b"")):
        first += more  # a pipe may give its first bytes one by one
    for magic, name, new_decoder in _MAGIC:
        if first.startswith(magic):
            return _expand_members(first, pieces, name, new_decoder)
    return _pass_through(first, pieces)


def _pass_through(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield from _in_pieces(first)
    yield from pieces


def _expand_members(
    data: bytes, pieces: Iterator[bytes], name: str, new_decoder: Callable[[], _Decoder]
) -> Iterator[bytes]:
    while data:
        decoder = new_decoder()
        yield from _expand_member(decoder, data, pieces, name)
        data = decoder.unused_data or next(pieces, b"")


def _expand_member(decoder: _Decoder, data: bytes, pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    while True:
        try:
            expanded = decoder.decompress(data, MAX_PIECE)
        except _ERRORS as exc:
            raise DamagedSegment(f"a {name} stream", str(exc) or type(exc).__name__) from exc
        yield from _in_pieces(expanded)
        if decoder.eof:
            return
        data = next(pieces, b"") if decoder.needs_input else b""
        if not data and decoder.needs_input:
            raise DamagedSegment(f"the end of the {name} stream", "the end of the file", is_cut_off=True)


def _in_pieces(data: bytes) -> Iterator[bytes]:
    return (data[at : at + MAX_PIECE] for at in range(0, len(data), MAX_PIECE))
