"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

policy_option = click.option(
    "--policy",
    envvar="AEGIS_POLICY",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The policy file.  [default: policy.yaml in the configuration directory, else the one that is shipped]",
)
audit_log_option = click.option(
    "--audit-log",
    envvar="AEGIS_AUDIT_LOG",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The audit log.  [default: audit.log in the state directory]",
)
workspace_option = click.option(
    "--workspace",
    envvar="AEGIS_WORKSPACE",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The root of the embedded server.  [default: a folder of its own in the data directory]",
)
