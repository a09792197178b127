"""The policy as frozen values: what the loader makes of the file, and all that deciding reads.

A `Policy` that exists is right: patterns compile, ids are unique, paths in `within` are absolute and resolved.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """How the log is written; `deadline` in seconds, more than 0 and at most 60."""

    arguments: ArgumentMode = ArgumentMode.REDACTED
    on_failure: OnFailure = OnFailure.DENY
    durability: Durability = Durability.SYNC_WRITES
    deadline: float = 2.0
