"""Checkpoints of a log while it is written: when one is due, and who signs it (decision 6).

Between two signatures the key of the epoch is on the disk and nowhere else: another process may have handed over. A key
that is missing or refused is never made anew; the policy says whether the log goes on without.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aegis_audit.errors import UnusableKey
from aegis_audit.mark import Mark
from aegis_audit.value import Value
from aegis_mcp.audit.writer import Writer
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.settings import Signatures

if TYPE_CHECKING:
    from aegis_audit.checkpoint import Checkpoint
    from aegis_audit.key import KeyRing

MOST_UNSIGNED: Final = 256
"""Entries after which a checkpoint is due, however busy the log is (audit-log §5)."""

_PAUSE: Final = 5.0
"""Seconds after which a log that goes on unsigned looks for its keys again."""

EPOCH: Final = 1024
"""Entries after which an epoch ends at the next checkpoint that nobody waits for."""

LONGEST_EPOCH: Final = 16_384
"""Entries after which it ends whoever waits."""


class Keys(Value):
    """Whether the log may go on without its private keys, and where they are: None for the usual place.

    `warn` tells a person; `publish` gets each checkpoint that is on the disk, and must not wait.
    """

    mode: Signatures
    warn: Callable[[str], None]
    directory: Path | None = None
    publish: Callable[[bytes], None] = lambda _: None


_NO_TREE: Final = UnusableKey(
    "the log", "its sidecar is lost, and so are earlier entries; move it away to begin a new one"
)


class Signing:
    """Signs the log of one writer; whoever uses it holds the lock of the log."""

    def __init__(self, writer: Writer, keys: Keys | None) -> None:
        self._writer = writer
        self._keys = keys
        self._refusal: str | None = None
        self._retry_at = 0.0
        self._ring: KeyRing | None = None

    def origin(self) -> str | None:
        """Return the name that a new log must have, None if any will do.

        Raises:
            AuditUnavailable: the key that would say so cannot be read, and must be.
        """
        if self._keys is None:
            return None
        from aegis_audit.key import given_key  # noqa: PLC0415 - as below

        try:
            given = given_key()
        except UnusableKey as exc:
            self._refuse(exc)
            return None
        return given.name if given else None

    def create(self, origin: str) -> dict[str, str]:
        """Make the keys of a new log; return what its first entry says of them, nothing if it is not signed.

        Raises:
            AuditUnavailable: they cannot be made, and must be.
        """
        if self._keys is None:
            return {}
        try:
            return _roots(origin, self._keys.directory)
        except UnusableKey as exc:
            self._refuse(exc)
            return {}

    def demand(self, mark: Mark) -> Mark:
        """Return the mark of a log that has keys, and whose last checkpoint has not failed, or does not any longer.

        Raises:
            AuditUnavailable: the log has to be signed, and cannot be.
        """
        if self._keys is None or self._is_content(mark):
            return mark
        if self._keys.mode is Signatures.OPTIONAL and time.monotonic() < self._retry_at:
            return mark
        return self.checkpoint(mark, is_synced=False) if mark.signed >= 0 else self._declare(mark)

    def room(self, mark: Mark) -> int:
        """Return how many entries may follow a mark before there is something to sign, or to demand."""
        if self._keys is None:
            return sys.maxsize
        return MOST_UNSIGNED - 1 - mark.unsigned if self._is_content(mark) else 0

    def _is_content(self, mark: Mark) -> bool:
        return mark.signed >= 0 and mark.tree is not None and self._refusal is None

    def _declare(self, mark: Mark) -> Mark:
        """Give keys to a log that has none; from here on it is signed."""
        try:
            if mark.tree is None or self._keys is None:
                raise _NO_TREE
            declared = _roots(mark.origin, self._keys.directory)
        except UnusableKey as exc:
            return self._suspend(mark, exc)
        event = {"epoch": 0, "kind": "key_epoch", "origin": mark.origin} | declared
        mark = self._writer.put(mark, [self._writer.event(event)], is_synced=True)
        return self._writer.storage.store(mark._replace(signed=0))

    def is_due(self, mark: Mark) -> bool:
        """Tell whether so many entries are not signed that it cannot wait."""
        return self._keys is not None and mark.signed >= 0 and mark.unsigned >= MOST_UNSIGNED

    def checkpoint(self, mark: Mark, *, is_synced: bool, epoch: int = LONGEST_EPOCH) -> Mark:
        """Append the checkpoint that covers all entries so far, and hand over if the epoch has so many.

        Raises:
            AuditUnavailable: a key is missing or refused, and the log must be signed.
        """
        if self._keys is None or mark.signed < 0:
            return mark
        try:
            if mark.tree is None:
                raise _NO_TREE
            ring = self._open(mark, self._keys.directory, is_hurried=epoch == LONGEST_EPOCH)
            is_over = mark.head.seq + 1 - mark.epoch_start >= epoch
            note = None if is_over else ring.sign(_checkpoint(mark))
            mark = self._append(mark, str(note), is_synced=is_synced) if note else self._hand_over(ring, mark)
        except UnusableKey as exc:
            self._ring = None
            # A handover may have got as far as its announcement.
            return self._suspend(self._writer.storage.mark() or mark, exc)
        self._refusal = None
        return mark

    def _open(self, mark: Mark, directory: Path | None, *, is_hurried: bool) -> KeyRing:
        """Return the keys; the log's own is read again only where nobody waits, which takes half of the time."""
        if self._ring is None or not is_hurried or self._ring.origin != mark.origin:
            self._ring = _open(mark.origin, directory)
        return self._ring

    def _hand_over(self, ring: KeyRing, mark: Mark) -> Mark:
        """Go on with the key of the next epoch, and destroy the one before, in the order of decision 6."""
        key = ring.prepare()
        event = {"epoch": ring.epoch + 1, "epoch_key": str(key), "kind": "key_epoch", "origin": mark.origin}
        mark = self._writer.write(mark, [self._writer.event(event)], is_synced=False)
        note = str(ring.hand_over(_checkpoint(mark)))
        mark = self._append(mark._replace(epoch_start=mark.head.seq + 1), note, is_synced=True)
        ring.commit()
        return mark

    def _append(self, mark: Mark, note: str, *, is_synced: bool) -> Mark:
        mark = self._writer.put(mark, [self._writer.checkpoint(note)], is_synced=is_synced)
        mark = self._writer.storage.store(mark._replace(signed=mark.head.seq + 1))
        if is_synced:
            # What a crash of the machine could take back is not shown to anybody.
            self._writer.storage.publish(note.encode("utf-8"))
            if self._keys:
                self._keys.publish(note.encode("utf-8"))
        return mark

    def _suspend(self, mark: Mark, error: UnusableKey) -> Mark:
        """Record that the log goes on without signatures, if it may."""
        if not self._refuse(error):
            return mark
        event = {"kind": "signing_suspended", "origin": mark.origin, "reason": str(error)}
        return self._writer.write(mark, [self._writer.event(event)])

    def _refuse(self, error: UnusableKey) -> bool:
        """Say that there is no signature; tell whether that is new.

        Raises:
            AuditUnavailable: the log may not go on without.
        """
        assert self._keys is not None  # noqa: S101 - who has no keys has none to lose
        is_new = self._refusal != str(error)
        self._refusal = str(error)
        if self._keys.mode is Signatures.REQUIRED:
            raise AuditUnavailable(f"the log cannot be signed: {error}") from error
        self._retry_at = time.monotonic() + _PAUSE
        if is_new:
            self._keys.warn(f"the log goes on unsigned: {error}")
        return is_new


# Cryptography takes as long to import as all the rest of a gateway's start: it is, when there is something to sign.


def _open(origin: str, directory: Path | None) -> KeyRing:
    from aegis_audit.key import KeyRing, default_directory, given_key  # noqa: PLC0415

    return KeyRing.open(origin, directory or default_directory(), given_key())


def _roots(origin: str, directory: Path | None) -> dict[str, str]:
    """Return the public keys of a log that is not signed yet: of new ones, or of those made before a crash."""
    from aegis_audit.key import KeyRing, default_directory, find_roots, given_key  # noqa: PLC0415

    directory = directory or default_directory()
    is_new = find_roots(origin, directory) is None
    ring = KeyRing.create(origin, directory, given_key()) if is_new else _open(origin, directory)
    return ring.roots.members


def _checkpoint(mark: Mark) -> Checkpoint:
    """Return the checkpoint of all entries up to a mark that has a tree."""
    from aegis_audit.checkpoint import Checkpoint  # noqa: PLC0415

    assert mark.tree is not None  # noqa: S101 - who signs has looked
    return Checkpoint(mark.origin, mark.tree.size, mark.tree.root())
