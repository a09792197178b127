"""`aegis-mcp wrap`: serve one upstream, whose command a host's configuration entry gives."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_mcp import stdio
from aegis_mcp.cli.options import audit_log_option, policy_option


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@policy_option
@audit_log_option
@click.option("--name", default="upstream", show_default=True, help="What policy and log call the upstream.")
@click.option(
    "--env", "passed", metavar="NAME", multiple=True, help="A variable to hand on to the upstream; repeatable."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def wrap(
    policy: Path | None, audit_log: Path | None, name: str, passed: tuple[str, ...], command: tuple[str, ...]
) -> None:
    """Serve one upstream, as a host's configuration entry does.

    COMMAND is the upstream's program and its arguments, after `--`.

    Example: aegis-mcp wrap --name files -- npx -y @modelcontextprotocol/server-filesystem ~/work
    """
    wire = stdio.claim()
    from aegis_mcp.cli.serving import serve_command  # noqa: PLC0415 - only once nothing can print on the wire

    serve_command(wire, policy, audit_log, (name, command), passed)
