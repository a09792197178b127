"""Where the keys of the log are, for every command that writes to it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from aegis_mcp.audit.signing import Keys
from aegis_mcp.settings import AuditSettings, Signatures


def signing_keys(audit: AuditSettings, publish: Callable[[bytes], None]) -> Keys | None:
    """Return what the log is signed with, None if the policy wants no signatures."""
    if audit.signatures is Signatures.OFF:
        return None
    return Keys(audit.signatures, warn, publish=publish)


def warn(message: str) -> None:
    """Say something on stderr, where hosts look."""
    print(f"aegis-mcp: {message}", file=sys.stderr, flush=True)  # noqa: T201
