"""`aegis-mcp pins approve`: trust what a person has chosen."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from aegis_mcp.cli.options import policy_option
from aegis_mcp.cli.output import format_option, print_json, print_line, refusing
from aegis_mcp.cli.pins.options import lock_file, server_option
from aegis_mcp.pins import approval, report
from aegis_mcp.pins.approval import Choice
from aegis_mcp.pins.definition import Kind

_DIGITS: Final = 64


@click.command()
@policy_option
@server_option
@click.option("--tool", "tools", metavar="NAME", multiple=True, help="A tool; repeatable.")
@click.option("--prompt", "prompts", metavar="NAME", multiple=True, help="A prompt; repeatable.")
@click.option("--instructions", is_flag=True, help="What the server tells a model to do.")
@click.option(
    "--sha256", "digests", metavar="HEX", multiple=True, help="The definition that `pins diff` has shown; repeatable."
)
@click.option("--all", "is_all", is_flag=True, help="Everything that waits.")
@format_option
def approve(policy: Path | None, server: str | None, form: str, **chosen: Any) -> None:
    """Trust definitions as their server offers them now.

    A gateway that runs notices within about a second. With --sha256 nothing but what was shown is approved, even if
    the server has changed it since. The exit status is 0 if something was approved, 1 if nothing that was chosen
    waits, and 2 for wrong usage or if the lock file cannot be used.

    Example: aegis-mcp pins approve --server files --tool read_file
    """
    choice = _choice(server, chosen)
    with refusing(form, policy):
        done = approval.approve(lock_file(policy), choice, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    status = 0 if done else 1
    if form == "json":
        print_json({"approved": [report.comparison_json(one) for one in done]}, status)
    else:
        for line in [line for one in done for line in report.approval(one)] or ["nothing that was chosen waits"]:
            print_line(line)
    sys.exit(status)


def _choice(server: str | None, chosen: dict[str, Any]) -> Choice:
    """Return what the options choose."""
    if not any(chosen.values()):
        raise click.UsageError("say what to approve: --tool, --prompt, --instructions, --sha256 or --all")
    # A server that makes two definitions with one beginning of their hash needs not long for half of it.
    if short := [digest for digest in chosen["digests"] if len(digest) != _DIGITS]:
        raise click.UsageError(f"--sha256 {short[0]!r} is not a whole hash of {_DIGITS} digits")
    keys = {*((Kind.TOOL, name) for name in chosen["tools"]), *((Kind.PROMPT, name) for name in chosen["prompts"])}
    keys |= {(Kind.SERVER, "")} if chosen["instructions"] else set()
    return Choice(server, chosen["is_all"], frozenset(keys), frozenset(chosen["digests"]))
