"""`aegis-audit prove`: that an entry is in a log, for somebody who does not have the log."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click

from aegis_audit.archive import find_segments
from aegis_audit.cli.options import FORM, KEYS, Answering, read_file, read_note
from aegis_audit.errors import Unprovable
from aegis_audit.escape import defuse, escape_json
from aegis_audit.export import document
from aegis_audit.note import VerifierKey
from aegis_audit.proof import MAX_FILE, TlogProof
from aegis_audit.proving import check, latest_checkpoint
from aegis_audit.proving import prove as prove_entry
from aegis_audit.screen import progress
from aegis_audit.trust import Pin

_FILE = partial(click.Path, path_type=Path)


@click.command(cls=Answering)
@click.argument("what", nargs=-1, metavar="[SEQ PATH...]")
@click.option("--checkpoint", type=_FILE(), metavar="FILE", help="The signed checkpoint. Default: the last in the log.")
@click.option("--output", "-o", type=_FILE(), metavar="FILE", help="Write the proof there, not to standard output.")
@click.option("--check", "proof", type=_FILE(), metavar="FILE", help="Check the proof in FILE; needs --key and no log.")
@KEYS
@FORM
def prove(
    what: tuple[str, ...],
    *,
    checkpoint: Path | None,
    output: Path | None,
    proof: Path | None,
    pins: tuple[Pin, ...],
    form: str,
) -> int:
    """Write, or check, a proof that an entry is in a log.

    A proof holds the entry, its way to the root of the log's tree, and a signed checkpoint
    (c2sp.org/tlog-proof@v1, extension .tlog-proof). Whoever has it and the log's public key needs nothing else.

    The exit status is 0 if the proof is written, and 5 if entries or a checkpoint are missing; with --check 0 if the
    entry is in the log of a key that was given, 1 if something contradicts that, 3 if FILE is no proof, and 5 if no key
    that was given has signed.

    Example: aegis-audit prove 1207 ~/.local/state/aegis-mcp/ -o 1207.tlog-proof

    \b
    Example: aegis-audit prove --check 1207.tlog-proof --key builds.keys
    """
    if proof:
        if what or checkpoint or output or not pins:
            raise click.UsageError("--check takes a proof and --key, and no log, --checkpoint or --output.")
        return _check(proof, [pin.key for pin in pins], form)
    if len(what) < 2 or not what[0].isascii() or not what[0].isdigit() or len(what[0]) > 18:
        raise click.UsageError("Name the number of an entry, and the log.")
    if pins:
        raise click.UsageError("--key is for --check: a proof is judged by whoever is given it.")
    made = _prove(int(what[0]), what[1:], checkpoint).encode()
    if output:
        output.write_bytes(made)
    else:
        click.echo(made, nl=False)
    return 0


def _prove(seq: int, paths: tuple[str, ...], checkpoint: Path | None) -> TlogProof:
    segments = find_segments(paths)
    if not all(one.can_be_read_again for one in segments):
        raise Unprovable("a proof takes two passes over the log, and standard input has only one")
    with progress(sum(one.size for one in segments) * (1 if checkpoint else 2), "reading") as advance:
        note = read_note(checkpoint) if checkpoint else latest_checkpoint(segments, advance)
        return prove_entry(segments, seq, note, advance)


def _check(path: Path, keys: list[VerifierKey], form: str) -> int:
    proof = TlogProof.parse(read_file(path, MAX_FILE))
    entry, checkpoint, signers = check(proof, keys)
    line = (proof.extra or b"").decode("utf-8")
    names = [key.name for key in signers]
    if form == "json":
        members = {"origin": checkpoint.origin, "size": checkpoint.size, "signed_by": names, "seq": entry.seq}
        click.echo(document({**members, "entry": json.loads(line), "exit_code": 0}))
    else:
        log = f"log {checkpoint.origin} of {checkpoint.size:,} entries"
        click.echo(defuse(f"VALID  entry {entry.seq} is in the {log}, signed by {', '.join(names)}"))
        click.echo(escape_json(line))
    return 0
