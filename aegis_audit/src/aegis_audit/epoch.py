"""Who may sign at which size of a log: the rules of the epochs, as a pure state machine.

A thief of the key in office cannot touch what an earlier key has signed, because that key is gone. The rules are those
of `docs/adr/0006-who-signs-what.md`, which says what they are worth.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.errors import BrokenSuccession, MalformedNote
from aegis_audit.note import KeyKind, Note, VerifierKey
from aegis_audit.value import Value, replace

_INFIX: Final = "/e/"
_MOST_DIGITS: Final = 20
"""Digits of the highest epoch that is told from a name; no log has so many."""


def epoch_name(origin: str, epoch: int) -> str:
    """Return the name that the key of an epoch, from 0, signs by."""
    return f"{origin}{_INFIX}{epoch}"


def epoch_of(origin: str, name: str) -> int | None:
    """Return the epoch of a log whose key has this name, None for every other name."""
    digits = name.removeprefix(origin + _INFIX)
    return int(digits) if digits != name and len(digits) <= _MOST_DIGITS and digits.isdecimal() else None


def is_name_of(origin: str, name: str) -> bool:
    """Tell whether a name is that of a log's key or of an epoch of it."""
    return name == origin or name.startswith(origin + _INFIX)


class Roots(Value):
    """The public halves that a log declares at its start: of the log's key, and of the key of epoch 0."""

    log_key: VerifierKey
    epoch_key: VerifierKey

    @property
    def members(self) -> dict[str, str]:
        """Return the roots as `log_opened` records them."""
        return {"epoch_key": str(self.epoch_key), "log_key": str(self.log_key)}

    @classmethod
    def declared_in(cls, origin: str, event: Mapping[str, object]) -> Roots | None:
        """Return the roots that an event of the log `origin` declares; None if it declares none.

        Raises:
            BrokenSuccession: it declares something else in their place.
        """
        if "log_key" not in event and "epoch_key" not in event:
            return None
        keys = (_key(origin, event.get("log_key")), _key(epoch_name(origin, 0), event.get("epoch_key")))
        return cls(*keys)


class Term(Value):
    """An epoch, its key, and the size of the first checkpoint that it signed; 0 for epoch 0."""

    epoch: int
    key: VerifierKey
    since: int


class EpochChain(Value):
    """The epochs of a log so far, and the one that is announced: its key, and the number of the entry that says so."""

    origin: str
    log_key: VerifierKey
    terms: tuple[Term, ...]
    announced: tuple[int, VerifierKey] | None = None

    @classmethod
    def begin(cls, origin: str, roots: Roots) -> EpochChain:
        """Return the chain of a log that has declared its roots."""
        return cls(origin, roots.log_key, (Term(0, roots.epoch_key, 0),))

    @property
    def office(self) -> Term:
        """Return the epoch in office."""
        return self.terms[-1]

    def announce(self, seq: int, event: Mapping[str, object]) -> EpochChain:
        """Return the chain after entry `seq`, a `key_epoch`.

        Raises:
            BrokenSuccession: it announces another epoch than the next, or a second key for it.
        """
        epoch = event.get("epoch")
        if type(epoch) is not int or epoch not in {self.office.epoch, self.office.epoch + 1}:
            raise BrokenSuccession(f"epoch {self.office.epoch + 1}", f"epoch {epoch!r:.40}")
        key = _key(epoch_name(self.origin, epoch), event.get("epoch_key"))
        is_next = epoch > self.office.epoch
        known = self.announced[1] if is_next and self.announced else None if is_next else self.office.key
        # After a crash the writer says it again, with the same key.
        if known not in {None, key}:
            raise BrokenSuccession(f"key {str(known)!r}", f"another key of epoch {epoch}, {str(key)!r}")
        return replace(self, announced=(seq, key)) if known is None else self

    def admit(self, note: Note, checkpoint: Checkpoint) -> EpochChain:
        """Return the chain after the next checkpoint in the log, which may hand over to the epoch that is announced.

        Raises:
            BrokenSuccession: it is not signed by whoever must sign at that size.
            ForgedSignature: a line of a known key does not verify.
        """
        self.judge(note, checkpoint)
        return self.advance(checkpoint)

    def advance(self, checkpoint: Checkpoint) -> EpochChain:
        """Return the chain after a checkpoint that was held to the epochs."""
        if self.announced is None or checkpoint.size <= self.announced[0]:
            return self
        term = Term(self.office.epoch + 1, self.announced[1], checkpoint.size)
        return replace(self, terms=(*self.terms, term), announced=None)

    def judge(self, note: Note, checkpoint: Checkpoint) -> bool:
        """Hold a checkpoint of any size to the epochs; False if it is older than the first that is known here.

        The root is not looked at: the caller has the tree.

        Raises:
            BrokenSuccession: it is not of this log, or not signed by whoever must sign at that size.
            ForgedSignature: a line of a known key does not verify.
        """
        signers = self.signers(note, checkpoint)
        note.signed_by(signers)
        return bool(signers)

    def signers(self, note: Note, checkpoint: Checkpoint) -> tuple[VerifierKey, ...]:
        """Return the known keys that the lines of a checkpoint claim to be by, all of which must verify.

        There is none if it is older than the first epoch that is known here.

        Raises:
            BrokenSuccession: it is not of this log, or bears no line of one who must sign at that size, or one of
                somebody who must not.
        """
        if checkpoint.origin != self.origin:
            raise BrokenSuccession(f"a checkpoint of {self.origin!r}", f"one of {checkpoint.origin!r:.200}")
        if checkpoint.size < self.terms[0].since:
            return ()
        required, tolerated = self._signers(checkpoint.size)
        known = {(key.name, key.key_id): key for key in (*required, *tolerated)}
        made = [(one.name, one.key_id) for one in note.signatures]
        for name, key_id in made:
            if self._is_known(name) and (name, key_id) not in known:
                found = f"one by key {key_id.hex()} of {name!r:.300}"
                raise BrokenSuccession(f"signatures by {_names(required)} at size {checkpoint.size}", found)
        if missing := [key for key in required if (key.name, key.key_id) not in made]:
            raise BrokenSuccession(f"a signature by {_names(missing)} at size {checkpoint.size}", "none")
        return tuple(key for place, key in known.items() if place in made)

    def _signers(self, size: int) -> tuple[list[VerifierKey], list[VerifierKey]]:
        """Return the keys that must sign at this size, and those that may."""
        at = bisect_right(self.terms, size, key=lambda term: term.since) - 1
        term, before = self.terms[at], [one.key for one in self.terms[max(at - 1, 0) : at]]
        required = [self.log_key, term.key]
        if term is self.office and self.announced and size > self.announced[0]:
            required.append(self.announced[1])
        # At a handover the epoch before must sign; later it may, for a crash can come before its key is destroyed.
        return ([*required, *before], []) if before and term.since == size else (required, before)

    def _is_known(self, name: str) -> bool:
        """Tell whether a name is of this log, and not of an epoch before the first that is known here."""
        epoch = epoch_of(self.origin, name)
        return is_name_of(self.origin, name) and (epoch is None or epoch >= self.terms[0].epoch)


def _key(name: str, text: object) -> VerifierKey:
    """Return the key that an event declares under this name.

    Raises:
        BrokenSuccession: it is not a key of that name that can sign a log.
    """
    expected = f"a key of {name!r}"
    if not isinstance(text, str):
        raise BrokenSuccession(expected, f"{text!r:.100}")
    try:
        key = VerifierKey.parse(text)
    except MalformedNote as exc:
        raise BrokenSuccession(expected, str(exc)) from exc
    if key.name != name or key.kind is not KeyKind.ED25519:
        raise BrokenSuccession(expected, f"{text!r:.300}")
    return key


def _names(keys: list[VerifierKey]) -> str:
    return " and ".join(repr(key.name) for key in keys)
