"""`aegis-mcp demo`: the whole corridor, end to end."""

from __future__ import annotations

import sys

import click


@click.command()
def demo() -> None:
    """Drive the real thing end to end and show the log.

    Works in a temporary folder that is gone afterwards. The exit status is 0 only if every step did what it says.

    Example: aegis-mcp demo
    """
    from aegis_mcp.demo import Show, run  # noqa: PLC0415 - the SDK takes half a second to import

    def mark(word: str, is_good: bool) -> str:
        return click.style(word, fg="green" if is_good else "red", bold=True)

    is_good = run(Show(click.echo, mark))
    click.echo("\nEverything did what it says." if is_good else "\nNot everything did what it says.")
    sys.exit(0 if is_good else 1)
