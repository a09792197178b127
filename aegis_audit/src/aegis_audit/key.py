"""The private keys of a log, outside its directory: the log's own, and that of the epoch in office.

    <keys>/<origin>/log.key      signs every checkpoint of the log; elsewhere if `AEGIS_SIGNING_KEY` says so
    <keys>/<origin>/epoch.key    the epoch in office, and the next one while a handover is under way
    <keys>/<origin>/public       the public halves of the log's key and of epoch 0: what verifiers pin

Keys are made once, with their log. What is missing later is an error and never made anew: a log that quietly got
another key could not be told from one that was replaced.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import platformdirs

from aegis_audit import key_file
from aegis_audit.checkpoint import Checkpoint
from aegis_audit.epoch import Roots, epoch_name
from aegis_audit.errors import AbsentKey, MalformedNote, UnusableKey
from aegis_audit.note import Note, SigningKey, VerifierKey, is_name, sign
from aegis_audit.value import Value, field

DIRECTORY_VARIABLE: Final = "AEGIS_KEYS"
KEY_VARIABLE: Final = "AEGIS_SIGNING_KEY"
_KEYRING: Final = "keyring:"
_LOG, _EPOCH, _PUBLIC = "log.key", "epoch.key", "public"
_MAX_ORIGIN: Final = 200
"""Characters of the longest origin, escaped for a file name."""


def default_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where keys are kept: `AEGIS_KEYS`, else `keys` in the platform's data directory of this user."""
    return Path(environ.get(DIRECTORY_VARIABLE) or Path(platformdirs.user_data_path("aegis-mcp")) / "keys")


def find_roots(origin: str, directory: Path) -> Roots | None:
    """Return the public halves that are kept for a log, with or without its private keys; None if there are none.

    Raises:
        UnusableKey: they cannot be trusted or read.
    """
    path = _folder(origin, directory) / _PUBLIC
    try:
        keys = [VerifierKey.parse(line) for line in key_file.read(path).splitlines()]
    except AbsentKey:
        return None
    except MalformedNote as exc:
        raise UnusableKey(str(path), str(exc)) from exc
    if [key.name for key in keys] != [origin, epoch_name(origin, 0)]:
        raise UnusableKey(str(path), f"not the two public keys of {origin!r}")
    return Roots(*keys)


def given_key(environ: Mapping[str, str] = os.environ) -> SigningKey | None:
    """Return the log's key if `AEGIS_SIGNING_KEY` has it, or names it as `keyring:SERVICE/NAME`; None if it is unset.

    Its name is the origin of the logs that it is for.

    Raises:
        UnusableKey: what the variable says is no key.
    """
    source = environ.get(KEY_VARIABLE)
    if not source:
        return None
    try:
        return SigningKey.parse(_from_keyring(source) if source.startswith(_KEYRING) else source)
    except MalformedNote as exc:
        raise UnusableKey(f"${KEY_VARIABLE}", str(exc)) from exc


class KeyRing(Value):
    """The keys of one log. Whoever uses it holds the lock of the log.

    The key of an epoch is read when it is needed and not kept: another process may have handed over since.
    """

    roots: Roots
    folder: Path
    _log_key: SigningKey = field(repr=False)

    @classmethod
    def create(cls, origin: str, directory: Path, given: SigningKey | None = None) -> KeyRing:
        """Make the keys of a new log; `given` is its own key if that is kept elsewhere.

        Raises:
            UnusableKey: there are keys of this origin already, or they cannot be kept.
        """
        folder = _folder(origin, directory)
        log_key = _of(origin, given) or SigningKey.generate(origin)
        epoch_key = SigningKey.generate(epoch_name(origin, 0))
        roots = Roots(log_key.verifier, epoch_key.verifier)
        files = {_EPOCH: _lines([epoch_key]), _PUBLIC: f"{roots.log_key}\n{roots.epoch_key}\n"}
        if given is None:
            files[_LOG] = _lines([log_key])
        key_file.create(folder, files)
        return cls(roots, folder, log_key)

    @classmethod
    def open(cls, origin: str, directory: Path, given: SigningKey | None = None) -> KeyRing:
        """Return the keys of a log that has some.

        Raises:
            AbsentKey: there are none, or the private ones are gone.
            UnusableKey: they are not private, or do not belong together.
        """
        folder = _folder(origin, directory)
        roots = find_roots(origin, directory)
        if roots is None:
            raise AbsentKey(str(folder), f"no keys of {origin!r} are kept here. {_REMEDY}")
        log_key = _of(origin, given) or _read(folder / _LOG)[0]
        if log_key.verifier != roots.log_key:
            raise UnusableKey(str(folder), f"the private key is not that of {str(roots.log_key)!r}")
        ring = cls(roots, folder, log_key)
        ring._epoch_keys()  # what is missing is said before the first checkpoint needs it
        return ring

    @property
    def origin(self) -> str:
        """Return the name of the log."""
        return self.roots.log_key.name

    @property
    def epoch(self) -> int:
        """Return the number of the epoch in office.

        Raises:
            UnusableKey: its key cannot be read.
        """
        return _epoch(self._epoch_keys()[0])

    def sign(self, checkpoint: Checkpoint) -> Note | None:
        """Return a checkpoint, signed by the log and the epoch in office; None if a handover has begun.

        It is to be done again then, before anything else is signed.

        Raises:
            UnusableKey: a key cannot be read.
        """
        keys = self._epoch_keys()
        return None if len(keys) > 1 else sign(checkpoint.text, [self._log_key, *keys])

    def prepare(self) -> VerifierKey:
        """Begin a handover: return the public key of the next epoch, which is kept; the same until it is done.

        Raises:
            UnusableKey: the key cannot be kept.
        """
        keys = self._epoch_keys()
        if len(keys) == 1:
            keys = [*keys, SigningKey.generate(epoch_name(self.origin, _epoch(keys[0]) + 1))]
            key_file.replace(self.folder / _EPOCH, _lines(keys))
        return keys[1].verifier

    def hand_over(self, checkpoint: Checkpoint) -> Note:
        """Return the checkpoint that covers the announcement, signed by the log, the epoch in office and the next.

        Raises:
            UnusableKey: a key cannot be read, or `prepare` was not called.
        """
        keys = self._epoch_keys()
        if len(keys) == 1:
            raise UnusableKey(str(self.folder / _EPOCH), "no handover is under way")
        return sign(checkpoint.text, [self._log_key, *keys])

    def commit(self) -> None:
        """End a handover, once its checkpoint is on the disk: the old key is destroyed.

        Raises:
            UnusableKey: the key cannot be replaced; both are still there.
        """
        keys = self._epoch_keys()
        if len(keys) > 1:
            key_file.replace(self.folder / _EPOCH, _lines(keys[1:]))

    def _epoch_keys(self) -> list[SigningKey]:
        """Return the key in office, and the next one if a handover is under way."""
        path = self.folder / _EPOCH
        keys = _read(path)
        first = _epoch(keys[0])
        if [key.name for key in keys] != [epoch_name(self.origin, first + n) for n in range(min(len(keys), 2))]:
            raise UnusableKey(str(path), f"not the keys of an epoch of {self.origin!r}")
        if not first and keys[0].verifier != self.roots.epoch_key:
            raise UnusableKey(str(path), f"the private key is not that of {str(self.roots.epoch_key)!r}")
        return keys


_REMEDY: Final = "Aegis makes no second key for a log: bring the keys back, or move the log away to begin a new one"


def _folder(origin: str, directory: Path) -> Path:
    name = quote(origin, safe="")
    if not is_name(origin) or len(name) > _MAX_ORIGIN or name.startswith("."):
        raise UnusableKey(str(directory), f"{origin!r:.300} is no origin that keys can be kept for")
    return directory / name


def _read(path: Path) -> list[SigningKey]:
    try:
        lines = key_file.read(path).splitlines()
        keys = [SigningKey.parse(line) for line in lines]
    except AbsentKey as exc:
        raise AbsentKey(str(path), f"the private key is gone. {_REMEDY}") from exc
    except MalformedNote as exc:
        raise UnusableKey(str(path), str(exc)) from exc
    if not keys:
        raise UnusableKey(str(path), "empty")
    return keys


def _lines(keys: Sequence[SigningKey]) -> str:
    return "".join(f"{key.encode()}\n" for key in keys)


def _epoch(key: SigningKey) -> int:
    number = key.name.rpartition("/")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0


def _of(origin: str, given: SigningKey | None) -> SigningKey | None:
    if given is not None and given.name != origin:
        raise UnusableKey(f"${KEY_VARIABLE}", f"a key of {given.name!r}, and the log is {origin!r}")
    return given


def _from_keyring(source: str) -> str:
    """Return the secret that `keyring:SERVICE/NAME` names."""
    service, _, name = source.removeprefix(_KEYRING).rpartition("/")
    place = f"${KEY_VARIABLE}"
    if not service or not name:
        raise UnusableKey(place, "expected keyring:SERVICE/NAME")
    try:
        import keyring  # noqa: PLC0415 - an extra
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError as exc:
        raise UnusableKey(place, "keyring: references need the extra: aegis-mcp-audit[keyring]") from exc
    try:
        secret = keyring.get_password(service, name)
    except KeyringError as exc:
        raise UnusableKey(place, f"the keyring does not answer: {type(exc).__name__}") from exc
    if secret is None:
        raise UnusableKey(place, f"the keyring has no {name!r} of {service!r}")
    return secret
