"""`aegis-audit keygen`: the keys of a log, before it begins."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_audit.cli.options import FORM, Answering
from aegis_audit.epoch import Roots
from aegis_audit.errors import AbsentKey
from aegis_audit.escape import defuse
from aegis_audit.export import document
from aegis_audit.key import DIRECTORY_VARIABLE, KEY_VARIABLE, KeyRing, default_directory, find_roots, given_key
from aegis_audit.note import SigningKey, is_name


@click.command(cls=Answering)
@click.argument("origin", metavar="ORIGIN")
@click.option(
    "--keys",
    "directory",
    envvar=DIRECTORY_VARIABLE,
    show_envvar=True,
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Where keys are kept. Default: in the platform's data directory.",
)
@click.option("--public", "is_public", is_flag=True, help="Make nothing: show the public keys that are kept.")
@click.option("--secret", "is_secret", is_flag=True, help="Keep nothing: print a private key of the log.")
@FORM
def keygen(origin: str, *, directory: Path | None, is_public: bool, is_secret: bool, form: str) -> int:
    """Make the keys of a log before it begins, or show their public halves.

    A gateway makes keys by itself with its first entry. Whoever wants the public halves on another machine before that
    makes them here: they are printed, the log's key and that of epoch 0, one a line, as 'verify --key' takes them. The
    private halves are kept in a directory of their own (0700), never beside the log, and are never made a second time.

    With --secret, a private key is printed for AEGIS_SIGNING_KEY, and the public half on standard error: for a job
    whose secrets come from the environment. Its name, ORIGIN, is that of the logs that are signed with it.

    The exit status is 0 if keys are printed, and 6 if there are keys already, if there are none with --public, or if
    they cannot be kept.

    Example: aegis-audit keygen ci.example/builds > builds.keys
    """
    if is_public and is_secret:
        raise click.UsageError("--public and --secret exclude each other.")
    if not is_name(origin) or not origin.isascii():
        raise click.BadParameter("a name in ASCII without spaces and '+', as ci.example/builds", param_hint="ORIGIN")
    if is_secret:
        return _print_secret(origin)
    directory = directory or default_directory()
    roots = _kept(origin, directory) if is_public else KeyRing.create(origin, directory, given_key()).roots
    if form == "json":
        click.echo(document({"origin": origin, **roots.members, "keys": str(directory), "exit_code": 0}))
    else:
        click.echo(f"{defuse(str(roots.log_key))}\n{defuse(str(roots.epoch_key))}")
        click.echo(f"The private keys are in {defuse(str(directory))}.", err=True)
    return 0


def _print_secret(origin: str) -> int:
    key = SigningKey.generate(origin)
    click.echo(key.encode())
    click.echo(f"For ${KEY_VARIABLE}. The public key: {key.verifier}", err=True)
    return 0


def _kept(origin: str, directory: Path) -> Roots:
    roots = find_roots(origin, directory)
    if roots is None:
        raise AbsentKey(str(directory), f"no keys of {origin!r} are kept here")
    return roots
