"""`aegis-mcp pins diff`: how what waits to be approved differs from what is pinned."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

import click

from aegis_audit.escape import escape
from aegis_mcp.cli.options import policy_option
from aegis_mcp.cli.output import format_option, print_json, print_line, refusing
from aegis_mcp.cli.pins.options import lock_file, server_option
from aegis_mcp.pins import approval, report
from aegis_mcp.pins.approval import Choice, Waiting

_COLOURS: Final = {"    -": "red", "    +": "green"}


@click.command()
@policy_option
@server_option
@format_option
def diff(policy: Path | None, server: str | None, form: str) -> None:
    """Show how quarantined definitions differ from what is pinned.

    The exit status is 0 if nothing waits to be approved, 1 if something does, and 2 if the lock file cannot be used.

    Example: aegis-mcp pins diff --server files
    """
    with refusing(form, policy):
        found = approval.waiting(lock_file(policy).read(), Choice(server, is_all=True))
    status = 1 if found else 0
    if form == "json":
        print_json({"waiting": [report.comparison_json(one) for one in found]}, status)
    elif found:
        _print(found, policy)
    else:
        print_line("nothing waits to be approved")
    sys.exit(status)


def _print(found: list[Waiting], policy: Path | None) -> None:
    for one in found:
        for line in report.comparison(one):
            print_line(line, _COLOURS.get(line[:5]))
        print_line(f"  to approve: {_command(one, policy)}")
        print_line("")


def _command(one: Waiting, policy: Path | None) -> str:
    """Return the command that approves exactly this; a name with something invisible in it is left to the hash."""
    words = ["aegis-mcp", "pins", "approve", *(("--policy", str(policy)) if policy else ())]
    if escape(one.binding.server) == one.binding.server:
        words += ["--server", one.binding.server]
    return shlex.join([*words, "--sha256", one.offered.sha256])
