"""Signed logs made entry by entry: what the real writer does, and with the keys at hand what it never would."""

from __future__ import annotations

import json
from typing import Any, Final

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.epoch import Roots, epoch_name
from aegis_audit.note import SigningKey, sign
from aegis_audit.tree import EMPTY, CompactRange
from support.logs import ORIGIN, LogBuilder

LOG_KEY: Final = SigningKey(ORIGIN, b"L" * 32)


def epoch_key(epoch: int, make: int = 0, origin: str = ORIGIN) -> SigningKey:
    """Return the key of an epoch, the same each time; another `make` is another key of the same name."""
    return SigningKey(epoch_name(origin, epoch), bytes([epoch + 1, make]) * 16)


class SignedBuilder(LogBuilder):
    """Appends entries and signs them; `tree` is that of all entries so far."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.tree = EMPTY
        self.log_key = SigningKey(self.origin, LOG_KEY.seed)
        self.epoch_keys = [epoch_key(0, origin=self.origin)]

    @property
    def roots(self) -> Roots:
        """Return the public halves that the log declares."""
        return Roots(self.log_key.verifier, self.epoch_keys[0].verifier)

    def add(self, event_type: str, event: Any, trace_id: str | None = None) -> bytes:
        """Append one entry, and its leaf."""
        line = super().add(event_type, event, trace_id)
        self.tree = self.tree.append(bytes.fromhex(self.head.entry_hash))
        return line

    def open_log(self) -> bytes:
        """Append the first entry, which declares the keys."""
        opened = {"kind": "log_opened", "origin": self.origin, "version": "0.1.0"}
        return self.add("security_event", opened | self.roots.members)

    def open_segment(self, reason: str = "rotated", **details: Any) -> bytes:
        """Append the first entry of a later segment, which brings the tree along."""
        return super().open_segment(reason, **{"tree": [node.hex() for node in self.tree.hashes]} | details)

    def checkpoint(self, *keys: SigningKey, **other: Any) -> bytes:
        """Append a checkpoint, signed by the log and the epoch in office, or by `keys`; `other` fields are false."""
        true: dict[str, Any] = {"origin": self.origin, "size": self.tree.size, "root": self.tree.root()}
        note = sign(Checkpoint(**(true | other)).text, keys or (self.log_key, self.epoch_keys[-1]))
        return self.note(str(note))

    def note(self, note: object) -> bytes:
        """Append a checkpoint entry that holds this note."""
        return self.add("checkpoint", {"note": note})

    def announce(self, epoch: int, key: SigningKey) -> bytes:
        """Append the announcement of an epoch."""
        return self.security("key_epoch", epoch=epoch, epoch_key=str(key.verifier), origin=self.origin)

    def hand_over(self) -> None:
        """Go on to the next epoch."""
        old, epoch = self.epoch_keys[-1], len(self.epoch_keys)
        self.epoch_keys.append(epoch_key(epoch, origin=self.origin))
        self.announce(epoch, self.epoch_keys[-1])
        self.checkpoint(self.log_key, old, self.epoch_keys[-1])


def signed_log(*calls: int) -> SignedBuilder:
    """Return a log with as many calls in each epoch, and a checkpoint after each call."""
    log = SignedBuilder()
    log.open_log()
    number = 0
    for epoch, count in enumerate(calls):
        if epoch:
            log.hand_over()
        for _ in range(count):
            log.call(number)
            log.checkpoint()
            number += 1
    return log


def note_in(line: bytes) -> str:
    """Return the note that a checkpoint entry holds."""
    note: str = json.loads(line)["event"]["note"]
    return note


def tree_of(lines: list[bytes]) -> CompactRange:
    """Return the tree of the entries in these lines."""
    return EMPTY.extend(bytes.fromhex(line[15:79].decode("ascii")) for line in lines)
