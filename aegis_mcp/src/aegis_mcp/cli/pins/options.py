"""What the commands on pins share: which lock file, and which server."""

from __future__ import annotations

import os
from pathlib import Path

import click

from aegis_mcp import settings
from aegis_mcp.errors import ConfigError
from aegis_mcp.pins.quarantine import default_path
from aegis_mcp.pins.storage import PinFile

server_option = click.option("--server", metavar="NAME", help="Only definitions of this server.")


def lock_file(policy: Path | None) -> PinFile:
    """Return the lock file beside a policy, by default beside the operator's own.

    Raises:
        ConfigError: neither of them is there, so that the path must be wrong.
    """
    path = default_path(policy or settings.default_policy())
    if policy and not any(map(os.path.lexists, (path, path.with_name(policy.name)))):
        raise ConfigError(f"the policy {str(policy)!r} does not exist, nor does its lock file {str(path)!r}")
    return PinFile(path)
