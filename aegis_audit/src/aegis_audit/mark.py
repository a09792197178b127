"""The mark: what the writer keeps beside a log about its end, shared by writer and verifier.

The file `<stem>.tlog/head` has two slots, written in turns, so that a torn write of one leaves the other. A mark is
stored after its entries are in the log: it may lag behind the log, and is never ahead of it.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from aegis_audit.chain import Head
from aegis_audit.tree import HASH_SIZE, CompactRange

SLOT_SIZE: Final = 2560
"""Bytes of one slot: the widest tree of which seq counts the leaves fits in it."""

SLOTS_SIZE: Final = 2 * SLOT_SIZE
"""Bytes of both."""

_SLOT: Final = struct.Struct("<4sQq32sQQQ200sqQB")
_MAGIC: Final = b"AEH2"
_CHECKSUM: Final = struct.Struct("<I")
_MOST_HASHES: Final = 64
_NO_TREE: Final = 255


class Mark(NamedTuple):
    """What the sidecar knows of the log.

    `head` is the last entry; `inode` and `offset` say in which file it stands and where it ends; `ring` counts the
    bytes ever written to the tail; `generation` counts the marks that were stored; `origin` names the log, in at most
    200 bytes.

    `tree` is the compact range of all entries up to the head, None if it is not known. `signed` says behind how many
    entries the last checkpoint ends, its own included; -1 in a log that has no keys. `epoch_start` is that number of
    the last handover.
    """

    head: Head
    inode: int
    offset: int
    ring: int
    generation: int
    origin: str
    tree: CompactRange | None = None
    signed: int = -1
    epoch_start: int = 0

    @property
    def place(self) -> int:
        """Return where in the file the slot of this mark begins."""
        return (self.generation - 1) % 2 * SLOT_SIZE

    @property
    def unsigned(self) -> int:
        """Return how many entries no checkpoint covers."""
        return self.head.seq + 1 - max(0, self.signed)

    def succeed(self, head: Head, tree: CompactRange | None, size: int) -> Mark:
        """Return the mark behind so many bytes more, which end with `head`."""
        _, inode, offset, ring, generation, origin, _, signed, epoch_start = self
        return Mark(head, inode, offset + size, ring + size, generation, origin, tree, signed, epoch_start)

    def encode(self) -> bytes:
        """Return one slot."""
        (seq, entry_hash), inode, offset, ring, generation, origin, tree, signed, epoch_start = self
        last, name = bytes.fromhex(entry_hash), origin.encode("ascii")
        hashes, count = (b"", _NO_TREE) if tree is None else (tree.encode(), len(tree.hashes))
        body = _SLOT.pack(_MAGIC, generation, seq, last, inode, offset, ring, name, signed, epoch_start, count) + hashes
        return (body + _CHECKSUM.pack(zlib.crc32(body))).ljust(SLOT_SIZE, b"\0")

    @classmethod
    def decode(cls, slot: bytes) -> Mark | None:
        """Return what a slot says, None for one that is torn or was never written."""
        if len(slot) < SLOT_SIZE:
            return None
        magic, generation, seq, entry_hash, inode, offset, ring, origin, signed, epoch_start, hashes = _SLOT.unpack(
            slot[: _SLOT.size]
        )
        end = _SLOT.size + (0 if hashes == _NO_TREE else HASH_SIZE * min(hashes, _MOST_HASHES))
        if magic != _MAGIC or _CHECKSUM.unpack_from(slot, end)[0] != zlib.crc32(slot[:end]):
            return None
        tree = None if hashes == _NO_TREE else CompactRange.decode(seq + 1, slot[_SLOT.size : end])
        name = origin.rstrip(b"\0").decode("ascii")
        return cls(Head(seq, entry_hash.hex()), inode, offset, ring, generation, name, tree, signed, epoch_start)


def newest(slots: bytes) -> Mark | None:
    """Return the newest whole mark in the bytes of both slots; None if there is none."""
    marks = (Mark.decode(slots[at : at + SLOT_SIZE]) for at in range(0, SLOTS_SIZE, SLOT_SIZE))
    return max((mark for mark in marks if mark), key=lambda mark: mark.generation, default=None)
