"""What the commands on the log share: which log, and how it is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from aegis_audit import canonical
from aegis_mcp import settings
from aegis_mcp.audit import redaction
from aegis_mcp.audit.anchor import TIMEOUT
from aegis_mcp.audit.anchoring import Anchoring
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.record import EventKind, Recordkeeper
from aegis_mcp.cli.signing import signing_keys
from aegis_mcp.errors import ConfigError
from aegis_mcp.policy import loader
from aegis_mcp.settings import Signatures

PATIENCE: Final = 10.0
"""Seconds that a command waits for the lock of the log."""


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A log that is there, its journal, what makes entries of this run, and what takes checkpoints from the host."""

    path: Path
    journal: Journal
    keeper: Recordkeeper
    anchoring: Anchoring

    def close(self) -> None:
        """Close the files, once the anchors have had their time."""
        self.journal.close()
        self.anchoring.close(TIMEOUT)


def open_log(policy: Path | None, audit_log: Path | None, *, is_signed: bool = False) -> OpenLog:
    """Return a log that is there.

    Raises:
        ConfigError: there is none, the policy has mistakes, or does not sign a log that has to be.
    """
    loaded = loader.chosen(policy)
    path = (audit_log or settings.default_audit_log()).expanduser().absolute()
    if not any(map(os.path.lexists, (path, path.with_suffix(".tlog") / "head"))):
        raise ConfigError(f"there is no log {str(path)!r}; name it with --audit-log")
    if is_signed and loaded.audit.signatures is Signatures.OFF:
        raise ConfigError(f"the policy {loaded.source!r} wants no signatures")
    keeper = Recordkeeper(policy_sha256=loaded.sha256, redact=canonical.encode, scrub=redaction.scrub)
    anchoring = Anchoring(loaded.audit.anchors, partial(keeper.security, EventKind.ANCHOR_LAGGING))
    keys = signing_keys(loaded.audit, anchoring.offer)
    return OpenLog(path, Journal(path, keeper.session_id, loaded.audit.rotation, keys), keeper, anchoring)
