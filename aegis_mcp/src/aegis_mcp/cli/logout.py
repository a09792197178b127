"""`aegis-mcp logout`: give a login at a remote upstream back, and forget it."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_mcp.cli.options import audit_log_option, policy_option
from aegis_mcp.cli.output import print_line


@click.command()
@policy_option
@audit_log_option
@click.option("--url", metavar="URL", help="Where the upstream is, if the policy does not say it.")
@click.argument("upstream")
def logout(policy: Path | None, audit_log: Path | None, url: str | None, upstream: str) -> None:
    """Log out of a remote upstream.

    The authorization server is asked to revoke the tokens, if it can; what is kept here is removed in any case.
    The exit status is 0, also if there was no login; 1 if it cannot be removed; and 2 if there is no such upstream.

    Example: aegis-mcp logout tickets
    """
    from aegis_mcp.cli.account import RemoteAccount  # noqa: PLC0415 - the SDK takes half a second to import

    was_there = RemoteAccount.of(policy, audit_log, upstream, url).log_out()
    print_line(f"logged out of {upstream!r}" if was_there else f"there was no login at {upstream!r}")
