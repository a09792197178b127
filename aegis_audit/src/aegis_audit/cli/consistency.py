"""`aegis-audit consistency`: does one checkpoint extend another."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_audit.archive import find_segments
from aegis_audit.cli.options import FORM, KEYS, Answering, read_file, read_note
from aegis_audit.errors import MalformedNote, Unprovable
from aegis_audit.escape import defuse
from aegis_audit.export import document
from aegis_audit.note import decode64, encode64
from aegis_audit.proving import extends, growth
from aegis_audit.screen import progress
from aegis_audit.tree import MAX_PROOF
from aegis_audit.trust import Pin

_MAX_FILE = MAX_PROOF * 45


@click.command(cls=Answering)
@click.argument("a", type=click.Path(path_type=Path), metavar="A")
@click.argument("b", type=click.Path(path_type=Path), metavar="B")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option(
    "--proof",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With the log, where the proof is written; without it, where it is read.",
)
@KEYS
@FORM
def consistency(
    a: Path, b: Path, paths: tuple[str, ...], *, proof: Path | None, pins: tuple[Pin, ...], form: str
) -> int:
    """Judge whether one checkpoint extends another.

    A and B are files with a signed checkpoint each, in any order: one that was kept elsewhere, and a later one. With
    the log, the proof is made from its entries; whoever does not have it takes a proof that was made before. Two
    checkpoints of one size need neither. The proof is one hash a line in base64, as a witness takes it.

    The exit status is 0 if the log only grew from one to the other, 1 if it did not or a signature is false, 3 for a
    file that is no checkpoint, 5 if it cannot be told.

    Example: aegis-audit consistency kept.checkpoint audit.tlog/checkpoint ~/.local/state/aegis-mcp/
    """

    def hashes(old_size: int, new_size: int) -> tuple[bytes, ...]:
        if not paths:
            return _read(proof)
        segments = find_segments(paths)
        with progress(sum(one.size for one in segments), "reading") as advance:
            return growth(segments, old_size, new_size, advance)

    first, second, made = extends(read_note(a), read_note(b), [pin.key for pin in pins], hashes)
    lines = list(map(encode64, made))
    if proof and paths:
        proof.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    if form == "json":
        members = {"origin": first.origin, "old_size": first.size, "new_size": second.size}
        click.echo(document({**members, "proof": lines, "is_signed": bool(pins), "exit_code": 0}))
    else:
        signed = "both are signed" if pins else "signatures were not looked at: there was no --key"
        click.echo(defuse(f"VALID  {first.origin} grew from {first.size:,} entries to {second.size:,}; {signed}"))
    return 0


def _read(proof: Path | None) -> tuple[bytes, ...]:
    if proof is None:
        raise Unprovable("two checkpoints of different sizes need the log, or a proof made from it")
    lines = read_file(proof, _MAX_FILE).split(b"\n")
    if lines.pop():
        raise MalformedNote("a proof whose last line has no end")
    return tuple(decode64(line.decode("latin-1")) for line in lines)
