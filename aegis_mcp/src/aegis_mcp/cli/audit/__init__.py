"""`aegis-mcp audit`: what a person does to the log."""

from __future__ import annotations

import click

from aegis_mcp.cli.audit.acknowledge import acknowledge
from aegis_mcp.cli.audit.checkpoint import checkpoint
from aegis_mcp.cli.audit.rotate import rotate


@click.group()
@click.pass_context
def audit(ctx: click.Context) -> None:
    """Rotate the log, sign it to its end, and acknowledge a break in it.

    Gateways that use the log go on meanwhile. To judge and read it there is aegis-audit.

    Example: aegis-mcp audit rotate --audit-log ~/aegis/audit.log
    """
    # Options before the group's name are those of its commands: aegis-mcp --audit-log FILE audit rotate
    ctx.default_map = dict.fromkeys(audit.commands, ctx.default_map)


for command in (acknowledge, checkpoint, rotate):
    audit.add_command(command)
