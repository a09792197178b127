"""Which witnesses count, and how many of them: a trust policy (c2sp.org/tlog-policy).

A policy that parses has no line without a meaning; anything else is refused, with the number of the line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from aegis_audit.errors import MalformedNote
from aegis_audit.note import KeyKind, VerifierKey

MAX_POLICY: Final = 262_144
"""Bytes of the longest policy that is read."""

NO_QUORUM: Final = "none"
"""The quorum that asks for no cosignature."""

_BLANK: Final = re.compile("[ \t]+")
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_NUMBER: Final = re.compile("[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness: its name in the policy, its key, and the prefix of the URL at which it takes checkpoints."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses and groups of which `threshold` have to have witnessed a checkpoint."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """The logs and witnesses that count, and the quorum: the name of a witness or a group, or `NO_QUORUM`.

    `groups` come in the order in which they are defined: a member stands before its group.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str

    @classmethod
    def parse(cls, raw: bytes) -> WitnessPolicy:
        """Read a policy file.

        Raises:
            MalformedNote: it is not in the form of tlog-policy.
        """
        if len(raw) > MAX_POLICY:
            raise MalformedNote(f"longer than {MAX_POLICY} bytes")
        draft = _Draft()
        # Octets beyond ASCII are opaque ("Character set"), and a key's name among them is UTF-8.
        for number, line in enumerate(raw.decode("utf-8", "surrogateescape").split("\n"), 1):
            try:
                draft.take(line)
            except MalformedNote as exc:
                raise MalformedNote(f"line {number}: {exc}") from exc
        if draft.quorum is None:
            raise MalformedNote("there is no quorum line")
        return cls(tuple(draft.logs), tuple(draft.witnesses), tuple(draft.groups), draft.quorum)

    def is_reached(self, signed: Collection[VerifierKey]) -> bool:
        """Tell whether cosignatures by these keys are a quorum."""
        reached = {NO_QUORUM} | {witness.name for witness in self.witnesses if witness.key in signed}
        for group in self.groups:
            if len(reached.intersection(group.members)) >= group.threshold:
                reached.add(group.name)
        return self.quorum in reached


@dataclass(slots=True)
class _Draft:
    """A policy while its lines are read."""

    logs: list[VerifierKey] = field(default_factory=list[VerifierKey])
    witnesses: list[Witness] = field(default_factory=list[Witness])
    groups: list[Group] = field(default_factory=list[Group])
    quorum: str | None = None
    grouped: set[str] = field(default_factory=set[str])

    def take(self, line: str) -> None:
        if _CONTROL.search(line):
            raise MalformedNote("a control character")
        match items := [item for item in _BLANK.split(line) if item]:
            case []:
                pass
            case [first, *_] if first.startswith("#"):
                pass
            case ["log", key, *url] if len(url) < 2:
                self.logs.append(_key(key, KeyKind.ED25519, self.logs))
            case ["witness", name, key, *url] if len(url) < 2:
                known = [witness.key for witness in self.witnesses]
                self.witnesses.append(Witness(self._new(name), _key(key, KeyKind.COSIGNATURE, known), *url))
            case ["group", name, threshold, _, *_]:
                self.groups.append(self._group(name, threshold, items[3:]))
            case ["quorum", name] if self.quorum is None:
                self.quorum = name if name == NO_QUORUM else self._known(name)
            case _:
                raise MalformedNote("expected a log, a witness, a group, or the one quorum")

    def _group(self, name: str, word: str, members: list[str]) -> Group:
        threshold = {"any": 1, "all": len(members)}.get(word) or (int(word) if _NUMBER.fullmatch(word) else 0)
        if not 1 <= threshold <= len(members):
            raise MalformedNote(f"a threshold of {word[:40]!r}; expected any, all, or 1 to {len(members)}")
        for member in members:
            if self._known(member) in self.grouped:
                raise MalformedNote(f"{member[:200]!r} is a member already")
            self.grouped.add(member)
        return Group(self._new(name), threshold, tuple(members))

    def _new(self, name: str) -> str:
        if name == NO_QUORUM or name in self._names():
            raise MalformedNote(f"the name {name[:200]!r} is taken")
        return name

    def _known(self, name: str) -> str:
        if name not in self._names():
            raise MalformedNote(f"no line above defines {name[:200]!r}")
        return name

    def _names(self) -> Iterator[str]:
        yield from (one.name for one in self.witnesses)
        yield from (one.name for one in self.groups)


def _key(text: str, kind: KeyKind, others: list[VerifierKey]) -> VerifierKey:
    """Return a key that can do what it is for, and that none of the others is, whatever they are called."""
    key = VerifierKey.parse(text)
    if key.kind is not kind:
        raise MalformedNote(f"the key of {key.name!r} has type {key.kind.value:#04x}, expected {kind.value:#04x}")
    if key.public in [other.public for other in others]:
        raise MalformedNote(f"the key of {key.name!r} stands here twice")
    return key
