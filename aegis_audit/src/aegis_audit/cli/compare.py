"""`aegis-audit compare`: two copies of a log."""

from __future__ import annotations

import sys

import click

from aegis_audit import render
from aegis_audit.archive import find_segments
from aegis_audit.cli.options import FORM, Answering
from aegis_audit.comparison import Comparison, Ranges
from aegis_audit.export import document
from aegis_audit.screen import Screen, many, progress


@click.command(cls=Answering)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@FORM
def compare(a: str, b: str, form: str) -> int:
    """Say how two copies of a log differ.

    A and B are a file, a directory or a glob each. They are 'identical'; or one is 'truncated'; or they 'overlap' and
    begin or end elsewhere; or one was 'edited' between entries that are the same; or they are 'forked', going on
    differently from an entry on; or 'unrelated'.

    The exit status is 0 for identical and overlap, 4 for truncated, 1 for edited and forked, 5 for unrelated and for
    entries that stand behind later ones, which are not compared; or that of 'inspect' for damage in a copy. Which of
    two copies is the true one, 'verify' with a key says.

    Example: aegis-audit compare ~/.local/state/aegis-mcp/ /mnt/backup/aegis-mcp/
    """
    copies = find_segments([a]), find_segments([b])
    with progress(sum(one.size for copy in copies for one in copy), "comparing") as advance:
        found = Comparison(advance)
        found.compare(*copies)
    if form == "json":
        click.echo(document(found.to_json()))
        return found.verdict.exit_code
    click.echo(f"{found.likeness.word.upper()}  {found.likeness.meaning}; exit status {found.verdict.exit_code}")
    click.echo(f"the same: {many(found.same, 'entry', 'entries')}")
    if parted := found.divergence:
        click.echo(f"first difference: entry {parted.seq}\n  in A {parted.a}\n  in B {parted.b}")
    for name, only in zip("AB", found.only, strict=True):
        if only.count:
            click.echo(f"only in {name}: {many(only.count, 'entry', 'entries')}, {_named(only)}")
    for name, count in zip("AB", found.misplaced, strict=True):
        if count:
            entries = many(count, "entry", "entries")
            click.echo(f"not compared: {entries} of {name} that stand behind later ones, or are of another log")
    sys.stdout.flush()
    for reading in found.readings:
        render.damage(Screen(sys.stderr), reading)
    return found.verdict.exit_code


def _named(only: Ranges) -> str:
    ranges = [f"{low} to {high}" if high > low else str(low) for low, high in only.kept]
    return ", ".join(ranges if only.last == only.kept[-1][1] else [*ranges, f"… {only.last}"])
