"""`aegis-mcp audit acknowledge`: a person has looked at a break."""

from __future__ import annotations

import getpass
import re
from pathlib import Path
from typing import Any, Final

import click

from aegis_mcp.audit.breaks import Breaks
from aegis_mcp.audit.record import MAX_TEXT, EventKind
from aegis_mcp.cli.audit.options import open_log
from aegis_mcp.cli.log import PATIENCE
from aegis_mcp.cli.options import audit_log_option, policy_option
from aegis_mcp.cli.output import format_option, print_json, print_line, refusing

_RANGE: Final = re.compile(r"(0|[1-9][0-9]{0,15})(?:-([1-9][0-9]{0,15}|0))?")
_HASH: Final = re.compile("[0-9a-f]{64}")
_MOST: Final = 100


def _ranges(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[range, ...]:
    """Read ranges of entries: `12-40`, or `12` for one."""
    ranges: list[range] = []
    for value in values[:_MOST]:
        match = _RANGE.fullmatch(value)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise click.BadParameter(f"{value!r} is no range of entries; write 12-40, or 12")
        ranges.append(range(first, last + 1))
    return tuple(ranges)


def _hashes(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Read hashes in hex."""
    for value in values[:_MOST]:
        if not _HASH.fullmatch(value):
            raise click.BadParameter(f"{value!r} is no SHA-256 in hex")
    return values[:_MOST]


@click.command()
@policy_option
@audit_log_option
@click.option(
    "--missing",
    metavar="FIRST-LAST",
    callback=_ranges,
    multiple=True,
    help="Entries that `aegis-audit verify` does not find, as it names them; repeatable.",
)
@click.option(
    "--torn",
    metavar="SHA256",
    callback=_hashes,
    multiple=True,
    help="A torn line at the end of a segment, by its hash; repeatable.",
)
@click.option(
    "--lost",
    metavar="SEQ",
    type=click.IntRange(0),
    multiple=True,
    help="An entry in which the gateway has recorded that others were lost; repeatable.",
)
@click.option("--note", metavar="TEXT", required=True, help="What happened, for those who read the log later.")
@click.option("--by", metavar="NAME", help="Who has looked at it.  [default: the name of your account]")
@format_option
def acknowledge(
    policy: Path | None,
    audit_log: Path | None,
    note: str,
    by: str | None,
    form: str,
    **breaks: Any,
) -> None:
    """Record that a person has looked at a break in the log, and that it goes on here.

    The break stays in the log and in every report; once a checkpoint covers the record, `aegis-audit verify
    --accept-acknowledged` accepts it. The exit status is 0 once that is on the disk, 1 if the log cannot take it, 2 for
    wrong usage, if there is no log, or if nothing is missing there.

    Example: aegis-mcp audit acknowledge --missing 12-40 --note "the disk was full on the 3rd"
    """
    person = by or _account()
    if max(len(note), len(person)) > MAX_TEXT:
        raise click.UsageError(f"a note and a name have at most {MAX_TEXT} characters")
    if not any(breaks.values()):
        raise click.UsageError("say what is missing, with --missing, --torn or --lost")
    named = Breaks(breaks["missing"], breaks["torn"], breaks["lost"][:_MOST])
    with refusing(form, audit_log):
        log = open_log(policy, audit_log)
        details = named.look_up(log.path, log.journal.head(patience=PATIENCE).seq)
        draft = log.keeper.security(EventKind.BREAK_ACKNOWLEDGED, {"by": person, "note": note} | details)
        seq = log.journal.append([draft], is_synced=True, patience=PATIENCE).seq
        is_signed = log.journal.checkpoint(patience=PATIENCE).signed > seq
        log.close()
    if form == "json":
        print_json({"log": str(log.path), "seq": seq, "signed": is_signed, **details}, 0)
    else:
        print_line(f"acknowledged in entry {seq} of {log.path}, which is {'signed' if is_signed else 'not signed'}")


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as exc:
        raise click.UsageError("this account has no name; say who with --by") from exc
