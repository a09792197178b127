"""`aegis-mcp policy`: look at a policy before a host does, try it, and begin one."""

from __future__ import annotations

import click

from aegis_mcp.cli.policy.check import check
from aegis_mcp.cli.policy.explain import explain
from aegis_mcp.cli.policy.replay import replay
from aegis_mcp.cli.policy.suggest import suggest
from aegis_mcp.cli.policy.test import test


@click.group()
@click.pass_context
def policy(ctx: click.Context) -> None:
    """Check, explain and try a policy, and begin one.

    Example: aegis-mcp policy check --policy ~/aegis/policy.yaml
    """
    # Options before the group's name are those of its commands: aegis-mcp --policy FILE policy check
    ctx.default_map = dict.fromkeys(policy.commands, ctx.default_map)


for command in (check, explain, replay, suggest, test):
    policy.add_command(command)
