"""`aegis-mcp pins list`: what is pinned, and what is quarantined."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_mcp.cli.options import policy_option
from aegis_mcp.cli.output import format_option, print_json, print_line, refusing
from aegis_mcp.cli.pins.options import lock_file, server_option
from aegis_mcp.pins import report


@click.command("list")
@policy_option
@server_option
@format_option
def list_pins(policy: Path | None, server: str | None, form: str) -> None:
    """Show what is pinned, and what is quarantined.

    The exit status is 0, or 2 if the lock file cannot be used.

    Example: aegis-mcp pins list --server files
    """
    with refusing(form, policy):
        file = lock_file(policy)
        book = file.read()
    if form == "json":
        print_json({"path": str(file.path), "servers": report.inventory_json(book, server)}, 0)
        return
    for line in list(report.inventory(book, server)) or [f"nothing is pinned in {file.path}"]:
        print_line(line)
