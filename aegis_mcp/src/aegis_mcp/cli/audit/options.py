"""What the commands on the log share: which log it is."""

from __future__ import annotations

import os
from pathlib import Path

from aegis_mcp import settings
from aegis_mcp.cli.log import OpenLog, open_journal
from aegis_mcp.errors import ConfigError
from aegis_mcp.policy import loader
from aegis_mcp.settings import Signatures


def open_log(policy: Path | None, audit_log: Path | None, *, is_signed: bool = False) -> OpenLog:
    """Return a log that is there.

    Raises:
        ConfigError: there is none, the policy has mistakes, or does not sign a log that has to be.
    """
    loaded = loader.chosen(policy)
    path = settings.audit_log(audit_log)
    if not any(map(os.path.lexists, (path, path.with_suffix(".tlog") / "head"))):
        raise ConfigError(f"there is no log {str(path)!r}; name it with --audit-log")
    if is_signed and loaded.audit.signatures is Signatures.OFF:
        raise ConfigError(f"the policy {loaded.source!r} wants no signatures")
    return open_journal(loaded, path)
