"""Proofs that travel alone (c2sp.org/tlog-proof@v1): an entry's place, its way to the root, and the checkpoint.

The entry itself comes along as the extra data, so that whoever is shown it needs nothing else. A proof that parses
encodes back to the same bytes; anything else is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aegis_audit.errors import MalformedNote
from aegis_audit.note import Note, decode64, encode64
from aegis_audit.tree import HASH_SIZE, MAX_PROOF

MAX_FILE: Final = 524_288
"""Bytes of the longest proof that is read: the longest entry, the longest note and the way to the root."""

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile("index (0|[1-9][0-9]{0,18})")
_EXTRA: Final = "extra "


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The proof that leaf `index` is in the tree of a checkpoint: the hashes beside its way to the root, and the note.

    `extra` is what is needed to know the leaf: for a log of Aegis its line, without the LF. Nothing vouches for it but
    its hash.
    """

    index: int
    hashes: tuple[bytes, ...]
    note: Note
    extra: bytes | None = None

    def encode(self) -> bytes:
        """Return the bytes of a `.tlog-proof` file."""
        lines = [_HEADER]
        if self.extra is not None:
            lines.append(_EXTRA + encode64(self.extra))
        lines += [f"index {self.index}", *map(encode64, self.hashes)]
        return ("\n".join(lines) + f"\n\n{self.note}").encode("utf-8")

    @classmethod
    def parse(cls, raw: bytes) -> TlogProof:
        """Read a `.tlog-proof` file.

        Raises:
            MalformedNote: it is not exactly in that form.
        """
        if len(raw) > MAX_FILE:
            raise MalformedNote(f"a proof of more than {MAX_FILE} bytes")
        above, _, note = raw.partition(b"\n\n")
        try:
            header, *lines = above.decode("ascii").split("\n")
        except UnicodeDecodeError as exc:
            raise MalformedNote("a proof that is not in ASCII above its checkpoint") from exc
        if header != _HEADER:
            raise MalformedNote(f"expected a proof that begins with {_HEADER!r}, found {header!r:.80}")
        extra = decode64(lines.pop(0).removeprefix(_EXTRA)) if lines and lines[0].startswith(_EXTRA) else None
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if index is None:
            raise MalformedNote("a proof without the index of its entry")
        hashes = tuple(map(decode64, lines[: MAX_PROOF + 1]))
        if len(hashes) > MAX_PROOF or any(len(one) != HASH_SIZE for one in hashes):
            raise MalformedNote(f"a proof is at most {MAX_PROOF} hashes of {HASH_SIZE} bytes")
        return cls(int(index[1]), hashes, Note.parse(note), extra)
