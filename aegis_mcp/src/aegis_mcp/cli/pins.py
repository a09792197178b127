"""`aegis-mcp pins`: what is pinned, what has changed, and what a person approves."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from aegis_audit.escape import defuse, escape, escape_json
from aegis_mcp import settings
from aegis_mcp.cli.options import policy_option
from aegis_mcp.errors import ConfigError
from aegis_mcp.pins import approval, report
from aegis_mcp.pins.approval import Choice, Waiting
from aegis_mcp.pins.definition import Kind
from aegis_mcp.pins.difference import summarize
from aegis_mcp.pins.quarantine import default_path
from aegis_mcp.pins.storage import PinFile

_SHORT: Final = 16
_COLOURS: Final = {"    -": "red", "    +": "green"}

_server_option = click.option("--server", metavar="NAME", help="Only definitions of this server.")
_format_option = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group()
@click.pass_context
def pins(ctx: click.Context) -> None:
    """Look at what servers say of themselves, and approve what has changed.

    The definitions that a server offers are pinned in a lock file beside the policy. What differs is quarantined.
    """
    # Options before the group's name are those of its commands: aegis-mcp --policy FILE pins list
    ctx.default_map = dict.fromkeys(pins.commands, ctx.default_map)


@pins.command("list")
@policy_option
@_server_option
@_format_option
def list_pins(policy: Path | None, server: str | None, form: str) -> None:
    """Show what is pinned, and what is quarantined.

    The exit status is 0, or 2 if the lock file cannot be used.

    Example: aegis-mcp pins list --server files
    """
    with _refusing(form):
        file = _file(policy)
        book = file.read()
    if form == "json":
        _print_json({"path": str(file.path), "servers": report.inventory_json(book, server)}, 0)
    elif lines := [*report.inventory(book, server)]:
        _print_lines(lines)
    else:
        _print_lines([f"nothing is pinned in {escape(str(file.path))}"])


@pins.command()
@policy_option
@_server_option
@_format_option
def diff(policy: Path | None, server: str | None, form: str) -> None:
    """Show how quarantined definitions differ from what is pinned.

    The exit status is 0 if nothing waits to be approved, 1 if something does, and 2 if the lock file cannot be used.

    Example: aegis-mcp pins diff --server files
    """
    with _refusing(form):
        found = approval.waiting(_file(policy).read(), Choice(server, is_all=True))
    status = 1 if found else 0
    if form == "json":
        _print_json({"waiting": [report.comparison_json(one) for one in found]}, status)
    else:
        for one in found:
            _print_lines([*report.comparison(one), f"  to approve: {_command(one, policy)}", ""])
        _print_lines([] if found else ["nothing waits to be approved"])
    sys.exit(status)


@pins.command()
@policy_option
@_server_option
@click.option("--tool", "tools", metavar="NAME", multiple=True, help="A tool; repeatable.")
@click.option("--prompt", "prompts", metavar="NAME", multiple=True, help="A prompt; repeatable.")
@click.option("--instructions", is_flag=True, help="What the server tells a model to do.")
@click.option(
    "--sha256", "digests", metavar="HEX", multiple=True, help="The definition that `pins diff` has shown; repeatable."
)
@click.option("--all", "is_all", is_flag=True, help="Everything that waits.")
@_format_option
def approve(policy: Path | None, server: str | None, form: str, **chosen: Any) -> None:
    """Trust definitions as their server offers them now.

    A gateway that runs notices within about a second. With --sha256 nothing but what was shown is approved, even if
    the server has changed it since. The exit status is 0 if something was approved, 1 if nothing that was chosen
    waits, and 2 for wrong usage or if the lock file cannot be used.

    Example: aegis-mcp pins approve --server files --tool read_file
    """
    choice = _choice(server, chosen)
    with _refusing(form):
        done = approval.approve(_file(policy), choice, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    status = 0 if done else 1
    if form == "json":
        _print_json({"approved": [report.comparison_json(one) for one in done]}, status)
    else:
        _print_lines([line for one in done for line in _approved(one)] or ["nothing that was chosen waits"])
    sys.exit(status)


def _file(policy: Path | None) -> PinFile:
    """Return the lock file beside a policy.

    Raises:
        ConfigError: neither of them is there, so that the path must be wrong.
    """
    path = default_path(policy or settings.default_policy())
    if policy and not (os.path.lexists(path) or policy.expanduser().exists()):
        raise ConfigError(f"the policy {str(policy)!r} does not exist, nor does its lock file {str(path)!r}")
    return PinFile(path)


def _choice(server: str | None, chosen: dict[str, Any]) -> Choice:
    """Return what the options of `approve` choose."""
    if not any(chosen.values()):
        raise click.UsageError("say what to approve: --tool, --prompt, --instructions, --sha256 or --all")
    if short := [digest for digest in chosen["digests"] if len(digest) < _SHORT]:
        raise click.UsageError(f"--sha256 {short[0]!r} is too short: at least {_SHORT} digits")
    keys = {*((Kind.TOOL, name) for name in chosen["tools"]), *((Kind.PROMPT, name) for name in chosen["prompts"])}
    keys |= {(Kind.SERVER, "")} if chosen["instructions"] else set()
    return Choice(server, chosen["is_all"], frozenset(keys), chosen["digests"])


def _approved(one: Waiting) -> list[str]:
    first, *_ = report.comparison(one)
    lines = summarize(one.pinned.body if one.pinned else None, one.offered.body)
    return [f"approved: {first}", *(f"  {line}" for line in lines)]


def _command(one: Waiting, policy: Path | None) -> str:
    """Return the command that approves exactly this; a name with something invisible in it is left to the hash."""
    words = ["aegis-mcp", "pins", "approve", *(("--policy", str(policy)) if policy else ())]
    if escape(one.binding.server) == one.binding.server:
        words += ["--server", one.binding.server]
    return defuse(shlex.join([*words, "--sha256", one.offered.sha256[:_SHORT]]))


def _print_lines(lines: list[str]) -> None:
    is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for line in lines:
        colour = _COLOURS.get(line[:5]) if is_coloured else None
        click.echo(click.style(line, fg=colour) if colour else line)


def _print_json(answer: dict[str, Any], status: int) -> None:
    click.echo(escape_json(json.dumps({"ok": status == 0, **answer, "exit_code": status}, indent=2)))


@contextmanager
def _refusing(form: str) -> Generator[None]:
    """Show in JSON, where that was asked for, why a lock file cannot be used; otherwise whoever calls us does."""
    try:
        yield
    except ConfigError as exc:
        if form == "json":
            _refuse(exc)
        raise


def _refuse(error: ConfigError) -> NoReturn:
    _print_json({"error": str(error)}, 2)
    sys.exit(2)
