"""`aegis-audit summarize`: what a log holds, in counts."""

from __future__ import annotations

import sys

import click

from aegis_audit import render
from aegis_audit.archive import find_segments
from aegis_audit.cli.options import FORM
from aegis_audit.export import document
from aegis_audit.reading import Reading, in_order
from aegis_audit.screen import Screen, progress
from aegis_audit.summary import Summary


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@FORM
def summarize(paths: tuple[str, ...], form: str) -> int:
    """Count what a log holds: types, decisions, servers, tools, denials by rule, slow tools, unanswered requests.

    Takes files, directories, globs or '-'. Each entry is checked against its own hash; one that fails is not counted
    but named, on standard error or in the JSON, and the exit status tells: 1 if a hash is wrong, 3 if a line is
    damaged, 4 if the end is torn, 5 if there is no entry, 6 if a file cannot be read.

    Example: aegis-audit summarize ~/.local/state/aegis-mcp/
    """
    segments = in_order(find_segments(paths))
    summed = Summary()
    with progress(sum(segment.size for segment in segments), "reading") as advance:
        reading = Reading(advance)
        for found in reading.read(segments):
            summed.add(found.entry)
    if form == "json":
        click.echo(document({**summed.to_json(), **reading.to_json()}))
    else:
        render.summary(summed)
        sys.stdout.flush()
        render.damage(Screen(sys.stderr), reading)
    return reading.verdict.exit_code
