"""Where the gateway's files are, and how the log is written.

Paths never depend on the working directory, which a host leaves undefined: argument, environment, then the
platform's own directories.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import platformdirs

from aegis_audit.value import Value

_APP = "aegis-mcp"


class ArgumentMode(Enum):
    """How much of a call's arguments the log keeps (audit-log §3)."""

    REDACTED = "redacted"
    HASHED = "hashed"
    FULL = "full"
    NONE = "none"


class OnFailure(Enum):
    """What happens to a request whose intent cannot be made durable."""

    DENY = "deny"
    DENY_WRITES = "deny_writes"
    ALLOW = "allow"


class Durability(Enum):
    """What is on the disk, and what only with the kernel, before anything moves."""

    SYNC_WRITES = "sync_writes"
    SYNC = "sync"
    FLUSH = "flush"


class AnchorKind(Enum):
    """Where a checkpoint is published outside the host, and what its target is."""

    FILE = "file"
    COMMAND = "command"
    SYSLOG = "syslog"
    GIT = "git"
    TIMESTAMP = "timestamp"
    WITNESS = "witness"


class OnLag(Enum):
    """What happens when an anchor has not taken a checkpoint for too long: `anchor_lagging` is recorded either way."""

    RECORD = "record"
    DENY = "deny"


class Anchor(Value):
    """One place outside the host: a path, a URL, or a command with its arguments."""

    kind: AnchorKind
    target: tuple[str, ...]

    def __str__(self) -> str:
        """Return what names it: of a command only the program, because arguments may hold secrets."""
        return f"{self.kind.value} {self.target[0]}"


class Anchors(Value):
    """The places outside the host; `max_lag` is how many seconds one of them may be behind."""

    places: tuple[Anchor, ...] = ()
    max_lag: float = 600.0
    on_lag: OnLag = OnLag.RECORD


class Signatures(Enum):
    """Whether the log is signed, and whether it goes on where it cannot be."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    OFF = "off"


class Rotation(Value):
    """When the log goes on in a new segment, and how long those that are full are kept; None for no bound.

    `max_bytes` is how large a segment may grow; the newest `keep_segments` of those that were rotated are kept, and of
    them those younger than `keep_days`.
    """

    max_bytes: int | None = None
    keep_segments: int | None = None
    keep_days: int | None = None


class AuditSettings(Value):
    """How the log is written; `deadline` in seconds, more than 0 and at most 60."""

    arguments: ArgumentMode = ArgumentMode.REDACTED
    on_failure: OnFailure = OnFailure.DENY
    durability: Durability = Durability.SYNC_WRITES
    deadline: float = 2.0
    rotation: Rotation = Rotation()
    signatures: Signatures = Signatures.REQUIRED
    anchors: Anchors = Anchors()


def audit_log(given: Path | None) -> Path:
    """Return where the log is: as somebody says, else `audit.log` in the platform's state directory.

    Where that is the data directory as well, as on macOS and Windows, it would hold the keys: there the log has the
    platform's directory for logs.
    """
    is_shared = platformdirs.user_state_path(_APP) == platformdirs.user_data_path(_APP)
    directory = (platformdirs.user_log_path if is_shared else platformdirs.user_state_path)(_APP)
    return (given or Path(directory) / "audit.log").expanduser().absolute()


def default_policy() -> Path:
    """Return where the policy is when nobody says: `policy.yaml` in the platform's configuration directory."""
    return Path(platformdirs.user_config_path(_APP)) / "policy.yaml"


def workspace(given: Path | None) -> Path:
    """Return the root of the embedded server: as somebody says, else a folder in the platform's data directory."""
    return (given or Path(platformdirs.user_data_path(_APP)) / "workspace").expanduser().absolute()


def default_credentials() -> Path:
    """Return where logins are kept when nobody says: a folder of their own in the platform's data directory."""
    return Path(platformdirs.user_data_path(_APP)) / "oauth"


def default_redaction_key() -> Path:
    """Return where the key is that stands in for secrets in the log: never in the log's own directory."""
    return Path(platformdirs.user_data_path(_APP)) / "redaction.key"
