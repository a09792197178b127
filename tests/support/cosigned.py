"""Witnesses: keys that cosign checkpoints (cosignature/v1), and policies that name them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from aegis_audit import signature
from aegis_audit.note import KeyKind, Note, Signature, VerifierKey

WHEN: Final = 1_764_125_511
"""The second at which a witness sees a checkpoint."""


@dataclass(frozen=True)
class Witness:
    """A witness by its name and its 32-byte seed."""

    name: str
    seed: bytes

    @property
    def key(self) -> VerifierKey:
        """Return the public half."""
        return VerifierKey(self.name, signature.public_key(signature.private_key(self.seed)), KeyKind.COSIGNATURE)

    def cosign(self, text: str, when: int = WHEN) -> Signature:
        """Return the line of this witness below a note."""
        made = signature.sign(signature.private_key(self.seed), f"cosignature/v1\ntime {when}\n{text}".encode())
        return Signature(self.name, self.key.key_id, struct.pack(">Q", when) + made)


WITNESSES: Final = tuple(Witness(f"witness.example/{number}", bytes([number]) * 32) for number in (1, 2, 3))


def cosign(note: str, *witnesses: Witness) -> str:
    """Return the note with a line more for each witness."""
    return note + "".join(f"{witness.cosign(Note.parse(note.encode()).text)}\n" for witness in witnesses)


def policy_of(log: VerifierKey, threshold: int, *witnesses: Witness) -> str:
    """Return a policy by which so many of these witnesses are the quorum."""
    names = [f"w{number}" for number in range(len(witnesses))]
    lines = [f"witness {name} {witness.key}" for name, witness in zip(names, witnesses, strict=True)]
    return "\n".join(
        [f"log {log}", *lines, f"group all-of-them {threshold} {' '.join(names)}", "quorum all-of-them", ""]
    )
