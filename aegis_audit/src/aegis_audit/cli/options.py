"""What several commands take: keys that count, and small files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Final

import click

from aegis_audit.errors import AuditError, UnreadableSegment, UnusableKey
from aegis_audit.export import document
from aegis_audit.note import MAX_NOTE, Note
from aegis_audit.segment import open_file
from aegis_audit.trust import Pin, load_pins


def _pins(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[Pin, ...]:
    try:
        return tuple(pin for text in given for pin in load_pins(text))
    except UnusableKey as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc


KEYS: Final = click.option(
    "--key", "pins", multiple=True, callback=_pins, metavar="KEY|FILE", help="A public key that counts; repeatable."
)


class Answering(click.Command):
    """A command that says in JSON as well, where that was asked for, why there is no answer."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the error goes on to whoever tells people and ends the process."""
        try:
            return super().invoke(ctx)
        except AuditError as exc:
            if ctx.params.get("form") == "json" and not ctx.params.get("quiet"):
                click.echo(document({"error": str(exc), "exit_code": exc.verdict.exit_code}))
            raise


FORM: Final = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="Default: text."
)


def read_file(path: Path, most: int) -> bytes:
    """Return what a file holds.

    Raises:
        UnreadableSegment: it cannot be read, or is longer than `most` bytes.
    """
    descriptor = open_file(str(path))
    try:
        with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UnreadableSegment(str(path), "not a regular file")
            data = file.read(most + 1)
    except OSError as exc:
        raise UnreadableSegment(str(path), exc.strerror or str(exc)) from exc
    if len(data) > most:
        raise UnreadableSegment(str(path), f"longer than {most} bytes")
    return data


def read_note(path: Path) -> Note:
    """Return the signed note in a file.

    Raises:
        MalformedNote: there is none in it.
        UnreadableSegment: it cannot be read.
    """
    return Note.parse(read_file(path, MAX_NOTE))
