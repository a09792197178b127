"""Whose signatures count: keys that somebody has pinned, and keys that are kept on this host.

A pinned key was brought along from elsewhere. What is found on the host is as trustworthy as the host, which is said
wherever it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aegis_audit.epoch import Roots, is_name_of
from aegis_audit.errors import MalformedNote, UnusableKey
from aegis_audit.note import VerifierKey
from aegis_audit.segment import open_file
from aegis_audit.timestamp import Authorities
from aegis_audit.witness import WitnessPolicy

_MAX_KEYS: Final = 65_536


@dataclass(frozen=True, slots=True)
class Pin:
    """A public key that counts, and where it comes from, for a person."""

    key: VerifierKey
    source: str
    is_of_host: bool = False


@dataclass(slots=True)
class Trust:
    """The keys that count; `discover` gives those that this host keeps for a log, by its origin.

    `witnesses` says whose cosignatures count, and `authorities` whose time stamps, None for nobody's.

    Raises of `discover`:
        UnusableKey: they are there, and cannot be used.
    """

    pinned: Sequence[Pin] = ()
    discover: Callable[[str], Roots | None] = lambda _: None
    place: str = "this host"
    witnesses: WitnessPolicy | None = None
    authorities: Authorities | None = None
    problems: dict[str, str] = field(default_factory=dict[str, str])
    _found: dict[str, tuple[Pin, ...]] = field(default_factory=dict[str, tuple[Pin, ...]])

    def pins_of(self, origin: str | None) -> tuple[Pin, ...]:
        """Return the keys that count for the log of this origin: those pinned for it; where none is pinned, the host's.

        With a key pinned for another log the host's do not count: a log that was exchanged for one of its own would.
        """
        if origin is None:
            return ()
        if origin not in self._found:
            self._found[origin] = self._pinned_for(origin) if self.pinned else self._kept_for(origin)
        return self._found[origin]

    def _pinned_for(self, origin: str) -> tuple[Pin, ...]:
        return tuple(pin for pin in self.pinned if is_name_of(origin, pin.key.name))

    def _kept_for(self, origin: str) -> tuple[Pin, ...]:
        try:
            roots = self.discover(origin)
        except UnusableKey as exc:
            self.problems[origin] = str(exc)
            return ()
        if roots is None:
            return ()
        return tuple(Pin(key, self.place, is_of_host=True) for key in (roots.log_key, roots.epoch_key))


def load_pins(text: str) -> list[Pin]:
    """Return the keys that an option names: one key as it is handed around, or a file with one in each line.

    Raises:
        UnusableKey: it is neither.
    """
    try:
        return [Pin(VerifierKey.parse(text), "pinned")]
    except MalformedNote as exc:
        if not Path(text).is_file():
            raise UnusableKey(text.partition("+")[0], f"neither a file nor a public key: {exc}") from exc
    try:
        with open(open_file(text), encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
            held = file.read(_MAX_KEYS + 1)
        if len(held) > _MAX_KEYS:
            raise UnusableKey(text, f"longer than {_MAX_KEYS} characters")
        lines = held.splitlines()
        keys = [VerifierKey.parse(line) for line in lines if line and not line.startswith("#")]
    except (OSError, UnicodeDecodeError, MalformedNote) as exc:
        raise UnusableKey(text, str(exc)) from exc
    if not keys:
        raise UnusableKey(text, "there is no key in it")
    return [Pin(key, f"pinned by {text}") for key in keys]
