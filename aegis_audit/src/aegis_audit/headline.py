"""The head of a log in one line: what is kept elsewhere, in a release log or a ticket, and held against the log later.

    <origin> <size> <root> <hash>

`size` counts the entries in decimal, `root` is that of the Merkle tree over them in base64, and `hash` is the
`entry_hash` of the last one in hex, which `verify` shows as the head. Where the first entries are not kept, nobody can
know the root: there is a `-` in its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aegis_audit.errors import MalformedNote
from aegis_audit.note import decode64, encode64, is_name
from aegis_audit.tree import HASH_SIZE

_UNKNOWN: Final = "-"
_SIZE: Final = re.compile("[1-9][0-9]{0,18}")
_HASH: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Headline:
    """A log of `size` entries whose last has this hash, and whose tree has this root if that is known."""

    origin: str
    size: int
    root: bytes | None
    entry_hash: str

    def __str__(self) -> str:
        """Return the line, without its LF."""
        root = _UNKNOWN if self.root is None else encode64(self.root)
        return f"{self.origin} {self.size} {root} {self.entry_hash}"

    @classmethod
    def parse(cls, text: str) -> Headline:
        """Read a line, without its LF.

        Raises:
            MalformedNote: it is not exactly in that form.
        """
        parts = text.split(" ")
        if len(parts) != 4 or not is_name(parts[0]) or not _SIZE.fullmatch(parts[1]) or not _HASH.fullmatch(parts[3]):
            raise MalformedNote(
                f"expected 'ORIGIN SIZE ROOT HASH' as `aegis-audit head` prints it, found {text!r:.200}"
            )
        root = None if parts[2] == _UNKNOWN else decode64(parts[2])
        if root is not None and len(root) != HASH_SIZE:
            raise MalformedNote(f"a root of {len(root)} bytes, not {HASH_SIZE}")
        return cls(parts[0], int(parts[1]), root, parts[3])
