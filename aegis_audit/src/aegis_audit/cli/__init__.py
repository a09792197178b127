"""The command line: one file a command, loaded only when it is used, so that `--help` and `--version` are quick."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

_COMMANDS: Final = {
    "compare": "Say how two copies of a log differ.",
    "consistency": "Judge whether one checkpoint extends another.",
    "head": "Print the head of a log in one line, to be kept elsewhere.",
    "inspect": "Show the entries of a log, filtered.",
    "keygen": "Make the keys of a log before it begins.",
    "prove": "Write, or check, a proof that an entry is in a log.",
    "repair": "Say what a damaged log needs.",
    "summarize": "Count what a log holds: calls, denials, sessions, slow tools.",
    "verify": "Judge whether a log is whole and unchanged.",
}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for: `cli/<name>.py` holds the command `<name>`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"aegis_audit.cli.{cmd_name}"), cmd_name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aegis-mcp-audit", message="aegis-audit %(version)s")
def cli() -> None:
    """Read and judge the audit log of the Aegis MCP gateway.

    \b
    Exit status: 0 valid, 1 tampered, 2 wrong usage, 3 corrupt, 4 incomplete,
    5 unverifiable, 6 unreadable input or an error in Aegis itself; 130 after
    Ctrl-C, 141 if the reader of the output has gone.

    Example: aegis-audit verify ~/.local/state/aegis-mcp/
    """
