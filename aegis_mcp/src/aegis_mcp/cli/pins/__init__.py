"""`aegis-mcp pins`: what is pinned, what has changed, and what a person approves."""

from __future__ import annotations

import click

from aegis_mcp.cli.pins.approve import approve
from aegis_mcp.cli.pins.diff import diff
from aegis_mcp.cli.pins.list import list_pins


@click.group()
@click.pass_context
def pins(ctx: click.Context) -> None:
    """Look at what servers say of themselves, and approve what has changed.

    The definitions that a server offers are pinned in a lock file beside the policy. What differs is quarantined.

    Example: aegis-mcp pins diff --server files
    """
    # Options before the group's name are those of its commands: aegis-mcp --policy FILE pins list
    ctx.default_map = dict.fromkeys(pins.commands, ctx.default_map)


for command in (approve, diff, list_pins):
    pins.add_command(command)
