"""The log as a command writes to it, beside the gateways that do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from aegis_audit import canonical
from aegis_mcp.audit import redaction
from aegis_mcp.audit.anchor import TIMEOUT
from aegis_mcp.audit.anchoring import Anchoring
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.record import EventKind, Recordkeeper
from aegis_mcp.cli.signing import signing_keys, warn
from aegis_mcp.policy.model import Policy
from aegis_mcp.upstream.incident import Incident

PATIENCE: Final = 10.0
"""Seconds that a command waits for the lock of the log."""


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A log, its journal, what makes entries of this run, and what takes checkpoints from the host."""

    path: Path
    journal: Journal
    keeper: Recordkeeper
    anchoring: Anchoring

    def close(self) -> None:
        """Close the files, once the anchors have had their time."""
        self.journal.close()
        self.anchoring.close(TIMEOUT)


def open_journal(policy: Policy, path: Path) -> OpenLog:
    """Return the log at a path, which is begun with its first entry if it is not there.

    Raises:
        ConfigError: the keys that the policy signs with cannot be used.
    """
    keeper = Recordkeeper(policy_sha256=policy.sha256, redact=canonical.encode, scrub=redaction.scrub)
    lagging = partial(keeper.security, EventKind.ANCHOR_LAGGING)
    anchoring = Anchoring(policy.audit.anchors, path, entry=lagging, warn=warn)
    keys = signing_keys(policy.audit, anchoring.offer)
    return OpenLog(path, Journal(path, keeper.session_id, policy.audit.rotation, keys), keeper, anchoring)


def record(policy: Policy, path: Path, incidents: Sequence[Incident]) -> None:
    """Write down what has happened at a remote upstream, if something has.

    Raises:
        ConfigError: the keys that the policy signs with cannot be used.
        AuditUnavailable: the log cannot take it.
    """
    if incidents:
        log = open_journal(policy, path)
        drafts = [log.keeper.security(EventKind(each.kind.value), each.details) for each in incidents]
        log.journal.append(drafts, is_synced=True, patience=PATIENCE)
        log.close()
