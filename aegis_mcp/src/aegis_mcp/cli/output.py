"""How the commands answer: JSON for programs in printable ASCII, and for people text that moves no cursor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from aegis_audit.escape import defuse, escape_json
from aegis_mcp.decision import Effect
from aegis_mcp.errors import ConfigError, GatewayError, PolicyError

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)


def print_json(answer: dict[str, Any], status: int) -> None:
    """Write one object: whether all is well, the answer, and the exit status."""
    click.echo(escape_json(json.dumps({"ok": status == 0, **answer, "exit_code": status}, indent=2)))


def print_line(line: str, colour: str | None = None) -> None:
    """Write one line, in a colour where there is a terminal that wants it."""
    is_coloured = colour and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    click.echo(click.style(defuse(line), fg=colour) if is_coloured else defuse(line))


def colour_of(effect: Effect) -> str:
    """Return the colour in which an effect is shown."""
    match effect:
        case Effect.ALLOW:
            return "green"
        case Effect.DENY:
            return "red"
        case Effect.ASK:
            return "yellow"
        case Effect.MONITOR:
            return "cyan"


def many(count: int, one: str, more: str = "") -> str:
    """Return a number with its noun."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


@contextmanager
def refusing(form: str, source: Path | None = None) -> Generator[None]:
    """Show in JSON, where that was asked for, why there is no answer; otherwise whoever calls us does."""
    try:
        yield
    except GatewayError as exc:
        if form != "json":
            raise
        status = 2 if isinstance(exc, ConfigError) else 1
        print_json(_mistakes(exc) if isinstance(exc, PolicyError) else _unusable(exc, source), status)
        sys.exit(status)


def _mistakes(error: PolicyError) -> dict[str, Any]:
    found = [{"line": one.line, "column": one.column, "message": one.message} for one in error.mistakes]
    return {"source": error.source, "mistakes": found}


def _unusable(error: GatewayError, source: Path | None) -> dict[str, Any]:
    return {"source": str(source) if source else None, "error": str(error), "mistakes": []}
