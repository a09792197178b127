"""`aegis-audit head`: the head of a log in one line."""

from __future__ import annotations

import click

from aegis_audit.archive import find_segments
from aegis_audit.cli.options import FORM, Answering
from aegis_audit.escape import defuse
from aegis_audit.export import document
from aegis_audit.note import encode64
from aegis_audit.proving import head_of
from aegis_audit.screen import progress


@click.command(cls=Answering)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@FORM
def head(paths: tuple[str, ...], form: str) -> int:
    """Print the head of a log in one line, to be kept elsewhere.

    The line is 'ORIGIN SIZE ROOT HASH': the log's name, how many entries it has, the root of the Merkle tree over them
    in base64 ('-' where the first entries are not there), and the hash of the last one in hex. Put it where the host of
    the log cannot change it, as a release log: a log that does not hold that entry any more was cut or replaced.

    The log is walked from its first entry to its last. The exit status is 0, or 5 if they do not follow from each other
    or if there is none.

    Example: aegis-audit head ~/.local/state/aegis-mcp/ >> releases.txt
    """
    segments = find_segments(paths)
    with progress(sum(segment.size for segment in segments), "reading") as advance:
        found = head_of(segments, advance)
    if form == "json":
        root = found.root and encode64(found.root)
        members = {"origin": found.origin, "size": found.size, "root": root, "entry_hash": found.entry_hash}
        click.echo(document({**members, "line": str(found), "exit_code": 0}))
    else:
        click.echo(defuse(str(found)))
    return 0
