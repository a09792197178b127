"""`aegis-audit verify`: is a log whole and unchanged, as far as its level can tell."""

from __future__ import annotations

import click

from aegis_audit import render
from aegis_audit.archive import find_segments
from aegis_audit.export import document
from aegis_audit.verify import verify as judge


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--from-genesis", is_flag=True, help="Demand that the log begins with its first entry.")
@click.option("--allow-empty", is_flag=True, help="Accept files and directories that are there and hold no entry.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@click.option("--quiet", is_flag=True, help="Print nothing; the exit status is the verdict.")
def verify(paths: tuple[str, ...], *, from_genesis: bool, allow_empty: bool, form: str, quiet: bool) -> int:
    """Judge whether a log is whole and unchanged.

    Takes files, directories, globs or '-', plain or compressed (.gz, .xz, .bz2, .zst), in any order: segments are
    put in order by what is in them.

    Example: aegis-audit verify --from-genesis ~/.local/state/aegis-mcp/
    """
    size = sum(segment.size for segment in find_segments(paths))
    with render.progress(size, "verifying") as advance:
        report = judge(paths, from_genesis=from_genesis, allow_empty=allow_empty, progress=advance)
    if quiet:
        return report.verdict.exit_code
    if form == "json":
        click.echo(document(report.to_json()))
    else:
        render.verification(report)
    return report.verdict.exit_code
