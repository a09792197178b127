"""What is kept of a login at a remote upstream: the client's registration, the tokens, and where they are renewed.

    DCR_STORAGE_PATH/        0700, and ours
        NAME.json            0600, and ours: one upstream's; replaced as a whole, so that it is never torn
        NAME.lock            one process at a time renews: a refresh token that is used twice is lost to both

Whatever others could read or put there is refused, not repaired: it is to be seen by its owner. What belongs to another
address than the upstream has now is passed over, so that no token goes to a server that it was not made for. A policy
may ask for the keyring in place of the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from aegis_mcp import settings, swap
from aegis_mcp.errors import ConfigError
from aegis_mcp.lock import release, try_hold

PATH_VARIABLE: Final = "DCR_STORAGE_PATH"
MAX_FILE: Final = 1024 * 1024
"""Bytes of the largest file, and of what is kept in its place."""

Json: TypeAlias = dict[str, Any]

_VERSION: Final = 1
_OBJECTS: Final = ("client", "tokens", "server", "resource")
_KINDS: Final = {**dict.fromkeys(_OBJECTS, (dict,)), "expires_at": (int, float), "challenge": (str,)}
_FOR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_PATIENCE: Final = 30.0
_PAUSE: Final = 0.02
_IS_POSIX: Final = os.name == "posix"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One login. `expires_at` is when the access token does, in seconds since 1970, None if nobody said.

    The objects are as the authorization server sent them: `client` its answer to the registration (RFC 7591),
    `tokens` the last token response, `server` and `resource` the metadata of both (RFC 8414, RFC 9728). `challenge` is
    the last demand of the upstream for a wider scope.
    """

    client: Json | None = None
    tokens: Json | None = None
    expires_at: float | None = None
    server: Json | None = None
    resource: Json | None = None
    challenge: str | None = None

    def __repr__(self) -> str:
        return "Credentials(…)"

    def token(self, now: float) -> str | None:
        """Return the access token, None if there is none that is still good."""
        token = (self.tokens or {}).get("access_token")
        is_over = self.expires_at is not None and self.expires_at < now
        return token if isinstance(token, str) and not is_over else None


class CredentialStore(ABC):
    """The credentials of the upstream `name` at `url`; one process at a time has its turn with them."""

    def __init__(self, directory: Path, name: str, url: str) -> None:
        self.name = name
        self.path = directory / f"{name}.json"
        self._directory = directory
        self._url = url

    @property
    @abstractmethod
    def place(self) -> str:
        """Return where they are, to continue "the credentials …"."""

    @abstractmethod
    def _load(self) -> bytes | None:
        """Return the content, None if there is none; raise `ConfigError` or `OSError`."""

    @abstractmethod
    def _save(self, content: bytes) -> None:
        """Put this in the place of the content before; raise `ConfigError` or `OSError`."""

    @abstractmethod
    def _discard(self) -> bool:
        """Remove the content, and return whether there was any; raise `ConfigError` or `OSError`."""

    def read(self) -> Credentials:
        """Return what is kept; nothing if there is nothing, or it belongs to another address.

        Raises:
            ConfigError: it is not ours alone, cannot be read, or is something else.
        """
        try:
            content = self._load()
            url, credentials = _parse(content) if content is not None else (self._url, Credentials())
        except OSError as exc:
            raise self._unusable(_why(exc)) from exc
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
            remedy = f"`aegis-mcp logout {self.name}` removes it"
            raise self._unusable(f"it is not a file of this version of Aegis; {remedy}") from exc
        return credentials if url == self._url else Credentials()

    def write(self, credentials: Credentials) -> None:
        """Keep these in the place of those before; they outlast everything when this returns.

        Raises:
            ConfigError: they could not be kept, and those before are as they were.
        """
        members = {"version": _VERSION, "url": self._url, **asdict(credentials)}
        content = json.dumps(members, indent=1, sort_keys=True).encode("utf-8")
        if len(content) > MAX_FILE:
            raise self._unusable(f"what is to be kept there is larger than {MAX_FILE} bytes")
        try:
            self._save(content)
        except OSError as exc:
            raise self._unusable(_why(exc)) from exc

    def remove(self) -> bool:
        """Forget the credentials; return whether there were any.

        Raises:
            ConfigError: they cannot be removed.
        """
        try:
            return self._discard()
        except OSError as exc:
            raise self._unusable(_why(exc)) from exc

    async def fetch(self) -> Credentials:
        """Return what is kept, as `read` does, in a loop that has other things to do."""
        return self.read()

    async def keep(self, credentials: Credentials) -> None:
        """Keep these, as `write` does, in a loop that has other things to do."""
        self.write(credentials)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Hold the lock between processes; what was read before is to be read again.

        Raises:
            ConfigError: another process holds it for too long, or it cannot be taken.
        """
        lock = await self._hold(time.monotonic() + _PATIENCE)
        try:
            yield
        finally:
            release(lock)

    async def _hold(self, deadline: float) -> int:
        try:
            self._make_directory()
            while (lock := try_hold(self.path.with_suffix(".lock"))) is None:
                if time.monotonic() > deadline:
                    raise self._unusable(f"another process has held their lock for {_PATIENCE:g} s")
                await asyncio.sleep(_PAUSE)
        except OSError as exc:
            raise self._unusable(_why(exc)) from exc
        return lock

    def _make_directory(self) -> None:
        # One by one: `parents` would make those above as wide as the umask allows, and others could put theirs there.
        missing = list(takewhile(lambda each: not each.exists(), (self._directory, *self._directory.parents)))
        for each in reversed(missing):
            with contextlib.suppress(FileExistsError):
                each.mkdir(mode=0o700)
        self._check_directory()

    def _check_directory(self) -> None:
        status = os.lstat(self._directory)
        if stat.S_ISLNK(status.st_mode):
            raise _refusal(self._directory, "is a symlink", f"name the directory itself in {PATH_VARIABLE}")
        if not stat.S_ISDIR(status.st_mode):
            raise _refusal(self._directory, "is not a directory", f"name one in {PATH_VARIABLE}")
        _check_ownership(self._directory, status, "700")

    def _unusable(self, why: str) -> ConfigError:
        return ConfigError(f"the credentials {self.place} cannot be used: {why}")


class CredentialFile(CredentialStore):
    """The credentials of one upstream, in a file."""

    @property
    def place(self) -> str:
        """Return where they are, for messages."""
        return repr(str(self.path))

    def _load(self) -> bytes | None:
        try:
            self._check_directory()
            return self._text()
        except FileNotFoundError:
            return None

    def _save(self, content: bytes) -> None:
        self._make_directory()
        self._sweep()
        swap.replace(self.path, content)

    def _discard(self) -> bool:
        try:
            self._check_directory()
            self._sweep()
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _sweep(self) -> None:
        """Remove what those have left who were killed while they wrote: it holds tokens."""
        for each in swap.remains(self.path):
            each.unlink(missing_ok=True)

    def _text(self) -> bytes:
        with open(self.path, "rb", opener=swap.open_safely) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise self._unusable("it is not a file")
            _check_ownership(self.path, status, "600")
            text = file.read(MAX_FILE + 1)
        if len(text) > MAX_FILE:
            raise self._unusable(f"it is larger than {MAX_FILE} bytes")
        return text


def directory_from(environment: Mapping[str, str]) -> Path:
    """Return where credentials are kept: what the environment says, else the platform's own place.

    Raises:
        ConfigError: that is in the home of nobody.
    """
    chosen = environment.get(PATH_VARIABLE)
    try:
        return Path(chosen).expanduser().absolute() if chosen else settings.default_credentials()
    except RuntimeError as exc:
        raise ConfigError(f"there is no home directory for {chosen!r}, which {PATH_VARIABLE} names") from exc


def _parse(text: bytes) -> tuple[str, Credentials]:
    content = json.loads(text)
    if content.pop("version") != _VERSION:
        raise ValueError("version")
    url = content.pop("url")
    for name, kinds in _KINDS.items():
        if type(content[name]) not in {*kinds, type(None)}:
            raise TypeError(name)
    return url, Credentials(**{each.name: content[each.name] for each in fields(Credentials)})


def _check_ownership(path: Path, status: os.stat_result, mode: str) -> None:
    if not _IS_POSIX:
        return  # there the profile's directory is its owner's by access lists
    if status.st_uid != os.geteuid():
        raise _refusal(path, f"belongs to the user {status.st_uid}", "tokens are only kept where nobody else can")
    if status.st_mode & _FOR_OTHERS:
        open_to = stat.S_IMODE(status.st_mode)
        remedy = f"after making sure that nobody has used it: chmod {mode} '{path}'"
        raise _refusal(path, f"is open to others (mode {open_to:04o})", remedy)


def _refusal(path: Path, found: str, remedy: str) -> ConfigError:
    return ConfigError(f"{str(path)!r}, where logins are kept, {found}; {remedy}")


def _why(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it is a symlink; put the file itself there"
    return cast("str", error.strerror) or type(error).__name__
