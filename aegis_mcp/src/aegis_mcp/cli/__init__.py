"""The command line: one file a command, loaded only when it is used, so that a host's start is quick."""

from __future__ import annotations

import gc
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from aegis_mcp import __version__, ending, stdio
from aegis_mcp.cli.options import audit_log_option, policy_option, workspace_option

_COMMANDS: Final = {
    "audit": "Rotate the log, sign it to its end, and acknowledge a break in it.",
    "demo": "Drive the real thing end to end and show the log.",
    "login": "Log in at a remote upstream.",
    "logout": "Log out of a remote upstream.",
    "pins": "Look at what servers say of their tools, and approve what has changed.",
    "policy": "Check, explain and try a policy, and begin one.",
    "workspace": "Serve the embedded workspace server itself, without the gateway.",
    "wrap": "Serve one upstream, as a host's configuration entry does.",
}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"aegis_mcp.cli.{cmd_name}"), cmd_name)
        if cmd_name != "wrap":  # what serves has more to load, and looks for garbage and for signals from then on
            gc.enable()
            ending.let_interrupt()
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@policy_option
@audit_log_option
@workspace_option
@click.option("--upstream", metavar="NAME", help="Which upstream of the policy to serve, if it names several.")
@click.version_option(__version__, message="aegis-mcp %(version)s")
@click.pass_context
def cli(ctx: click.Context, **options: Any) -> None:
    """Serve MCP over stdio: what the policy file names, or an embedded workspace server if it names nothing.

    A desktop host starts this command. Policy decides on every request, and the audit log has it before the upstream.

    The exit status is 0 after the host has closed the input or a signal has asked to end, 1 if the server could not be
    started, and 2 for wrong usage or a policy with mistakes; of every command, 70 is an error in Aegis itself.

    Example: aegis-mcp --policy ~/aegis/policy.yaml --audit-log ~/aegis/audit.log
    """
    if ctx.invoked_subcommand is None:
        _serve(**options)
    else:
        # Options before a command's name are those of the command: aegis-mcp --policy FILE wrap …
        given = {name: value for name, value in options.items() if value is not None}
        ctx.default_map = dict.fromkeys(_COMMANDS, given)


def _serve(policy: Path | None, audit_log: Path | None, workspace: Path | None, upstream: str | None) -> None:
    wire = stdio.claim()
    from aegis_mcp.cli.serving import serve_policy  # noqa: PLC0415 - only once nothing can print on the wire

    serve_policy(wire, policy, audit_log, workspace, upstream)
