"""The mark: what the writer keeps beside a log about its end, shared by writer and verifier.

The file `<stem>.tlog/head` has two slots, written in turns, so that a torn write of one leaves the other. A mark is
stored after its entries are in the log: it may lag behind the log, and is never ahead of it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from aegis_audit.chain import Head

SLOT_SIZE: Final = 512
"""Bytes of one slot."""

SLOTS_SIZE: Final = 2 * SLOT_SIZE
"""Bytes of both."""

_SLOT: Final = struct.Struct("<4sQq32sQQQ200s")
_MAGIC: Final = b"AEH1"
_CHECKSUM: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Mark:
    """What the sidecar knows of the log.

    `head` is the last entry; `inode` and `offset` say in which file it stands and where it ends; `ring` counts the
    bytes ever written to the tail; `generation` counts the marks; `origin` names the log, in at most 200 bytes.
    """

    head: Head
    inode: int
    offset: int
    ring: int
    generation: int
    origin: str

    @property
    def place(self) -> int:
        """Return where in the file the slot of this mark begins."""
        return (self.generation - 1) % 2 * SLOT_SIZE

    def encode(self) -> bytes:
        """Return one slot."""
        seq, entry_hash = self.head.seq, bytes.fromhex(self.head.entry_hash)
        fields = (
            _MAGIC,
            self.generation,
            seq,
            entry_hash,
            self.inode,
            self.offset,
            self.ring,
            self.origin.encode("ascii"),
        )
        body = _SLOT.pack(*fields)
        return (body + _CHECKSUM.pack(zlib.crc32(body))).ljust(SLOT_SIZE, b"\0")

    @classmethod
    def decode(cls, slot: bytes) -> Mark | None:
        """Return what a slot says, None for one that is torn or was never written."""
        body, checksum = slot[: _SLOT.size], slot[_SLOT.size : _SLOT.size + _CHECKSUM.size]
        if len(checksum) < _CHECKSUM.size or _CHECKSUM.unpack(checksum)[0] != zlib.crc32(body):
            return None
        magic, generation, seq, entry_hash, inode, offset, ring, origin = _SLOT.unpack(body)
        if magic != _MAGIC:
            return None
        return cls(Head(seq, entry_hash.hex()), inode, offset, ring, generation, origin.rstrip(b"\0").decode("ascii"))


def newest(slots: bytes) -> Mark | None:
    """Return the newest whole mark in the bytes of both slots; None if there is none."""
    marks = (Mark.decode(slots[at : at + SLOT_SIZE]) for at in range(0, SLOTS_SIZE, SLOT_SIZE))
    return max((mark for mark in marks if mark), key=lambda mark: mark.generation, default=None)
