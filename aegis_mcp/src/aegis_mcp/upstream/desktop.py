"""The keyring of the desktop: secrets that its owner unlocks, asked for in bounded time.

It is the library `keyring`, an extra. Where it cannot be asked that is an error: nothing else stands in for it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from aegis_mcp.errors import ConfigError

T = TypeVar("T")

_SECONDS: Final = 20.0
"""A keyring that is locked asks its owner first; hosts wait for a server for half a minute or so."""


class Keyring(Protocol):
    """What the library can do."""

    def get_password(self, service: str, username: str, /) -> str | None: ...
    def set_password(self, service: str, username: str, password: str, /) -> None: ...
    def delete_password(self, service: str, username: str, /) -> None: ...


def get(service: str, name: str) -> str | None:
    """Return a secret, None if there is none of this name.

    Raises:
        ConfigError: the keyring cannot be asked.
    """
    return _asked(lambda ring: ring.get_password(service, name))


def put(service: str, name: str, secret: str) -> None:
    """Keep a secret, in the place of the one before.

    Raises:
        ConfigError: the keyring does not take it.
    """
    _asked(lambda ring: ring.set_password(service, name, secret))


def forget(service: str, name: str) -> None:
    """Remove a secret.

    Raises:
        ConfigError: the keyring does not do it, or there is none of this name.
    """
    _asked(lambda ring: ring.delete_password(service, name))


def _asked(act: Callable[[Keyring], T]) -> T:
    answers: queue.SimpleQueue[T | ConfigError] = queue.SimpleQueue()

    def answer() -> None:
        found: T | ConfigError = ConfigError("the keyring has failed")
        try:
            found = _ask(act)
        finally:
            answers.put(found)

    threading.Thread(target=answer, daemon=True).start()
    try:
        found = answers.get(timeout=_SECONDS)
    except queue.Empty as exc:
        raise ConfigError(f"the keyring has not answered within {_SECONDS:g} s; is it locked?") from exc
    if isinstance(found, ConfigError):
        raise found
    return found


def _ask(act: Callable[[Keyring], T]) -> T | ConfigError:
    try:
        import keyring  # noqa: PLC0415 - an extra
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError:
        return ConfigError("the keyring needs an extra: pip install 'aegis-mcp-gateway[keyring]'")
    try:
        return act(keyring)
    except KeyringError as exc:
        return ConfigError(f"the keyring does not answer: {type(exc).__name__}")
