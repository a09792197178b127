"""Checkpoints: how large a log is, and the root of its tree (c2sp.org/tlog-checkpoint v1.0.0).

A `Checkpoint` that parses has the text that it was read from; anything else is refused.
"""

from __future__ import annotations

import re

from aegis_audit.errors import MalformedNote
from aegis_audit.note import decode64, encode64, is_name
from aegis_audit.tree import HASH_SIZE
from aegis_audit.value import Value

_SIZE = re.compile("0|[1-9][0-9]{0,18}")


class Checkpoint(Value):
    """The first `size` entries of the log `origin`, whose tree has the 32-byte `root`.

    `extensions` are lines of other programs' checkpoints: read, kept and never written by Aegis.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return the text of the note, which is what is signed."""
        root = encode64(self.root)
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a note.

        Raises:
            MalformedNote: it is not exactly in the form of tlog-checkpoint.
        """
        origin, *rest = text.removesuffix("\n").split("\n")
        if len(rest) < 2 or not text.endswith("\n") or not is_name(origin) or "" in rest:
            raise MalformedNote("a checkpoint is an origin, a size, a root, and no empty line")
        size, root, *extensions = rest
        if not _SIZE.fullmatch(size):
            raise MalformedNote(f"a size in decimal digits, not {size!r:.40}")
        raw = decode64(root)
        if len(raw) != HASH_SIZE:
            raise MalformedNote(f"a root of {len(raw)} bytes, not {HASH_SIZE}")
        return cls(origin, int(size), raw, tuple(extensions))
