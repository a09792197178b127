"""Credentials in the keyring of the desktop, where the policy says `store: keyring`.

In the folder of the files is only the lock: what shares that shares the entry, which is named after it. While its owner
is asked to unlock the keyring, a running gateway goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from aegis_mcp.errors import ConfigError
from aegis_mcp.upstream import desktop
from aegis_mcp.upstream.aside import aside
from aegis_mcp.upstream.credentials import Credentials, CredentialStore

SERVICE: Final = "aegis-mcp"
"""The service of the entries; the name of each is the path that the file would have."""

T = TypeVar("T")


class CredentialVault(CredentialStore):
    """The credentials of one upstream, in the keyring."""

    @property
    def place(self) -> str:
        """Return where they are, for messages."""
        return f"of {self.name!r} in the keyring"

    async def fetch(self) -> Credentials:
        """Return what is kept, as `read` does, and let others go on meanwhile."""
        return await aside(self.read)

    async def keep(self, credentials: Credentials) -> None:
        """Keep these, as `write` does, and let others go on meanwhile."""
        await aside(partial(self.write, credentials))

    def _load(self) -> bytes | None:
        found = self._asked(partial(desktop.get, SERVICE, str(self.path)))
        return None if found is None else found.encode("utf-8")

    def _save(self, content: bytes) -> None:
        self._asked(partial(desktop.put, SERVICE, str(self.path), content.decode("utf-8")))

    def _discard(self) -> bool:
        if self._load() is None:
            return False
        self._asked(partial(desktop.forget, SERVICE, str(self.path)))
        return True

    def _asked(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except ConfigError as exc:
            raise self._unusable(str(exc)) from exc
