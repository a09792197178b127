"""`aegis-mcp audit acknowledge`: a person has looked at a break."""

from __future__ import annotations

import getpass
import re
from pathlib import Path
from typing import Final

import click

from aegis_mcp.audit.record import MAX_TEXT, EventKind
from aegis_mcp.cli.audit.options import open_log
from aegis_mcp.cli.log import PATIENCE
from aegis_mcp.cli.options import audit_log_option, policy_option
from aegis_mcp.cli.output import format_option, print_json, print_line, refusing
from aegis_mcp.errors import ConfigError

_RANGE: Final = re.compile(r"(0|[1-9][0-9]{0,15})(?:-([1-9][0-9]{0,15}|0))?")
_MOST: Final = 100


def _ranges(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Read ranges of entries: `12-40`, or `12` for one."""
    ranges: list[tuple[int, int]] = []
    for value in values[:_MOST]:
        match = _RANGE.fullmatch(value)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise click.BadParameter(f"{value!r} is no range of entries; write 12-40, or 12")
        ranges.append((first, last))
    return tuple(ranges)


@click.command()
@policy_option
@audit_log_option
@click.option(
    "--missing",
    metavar="FIRST-LAST",
    callback=_ranges,
    multiple=True,
    required=True,
    help="Entries that `aegis-audit verify` does not find; repeatable.",
)
@click.option("--note", metavar="TEXT", required=True, help="What happened, for those who read the log later.")
@click.option("--by", metavar="NAME", help="Who has looked at it.  [default: the name of your account]")
@format_option
def acknowledge(
    policy: Path | None,
    audit_log: Path | None,
    missing: tuple[tuple[int, int], ...],
    note: str,
    by: str | None,
    form: str,
) -> None:
    """Record that a person has looked at a break in the log, and that it goes on here.

    The break stays in the log and in every report; it is known from now on. The exit status is 0 once that is on the
    disk, 1 if the log cannot take it, 2 for wrong usage or if there is no log.

    Example: aegis-mcp audit acknowledge --missing 12-40 --note "the disk was full on the 3rd"
    """
    person = by or _account()
    if max(len(note), len(person)) > MAX_TEXT:
        raise click.UsageError(f"a note and a name have at most {MAX_TEXT} characters")
    with refusing(form, audit_log):
        log = open_log(policy, audit_log)
        last = log.journal.head(patience=PATIENCE).seq
        if later := [one for one in missing if one[1] > last]:
            # What is to come cannot have been looked at.
            raise ConfigError(f"entry {later[0][1]} is not there yet; the log ends with entry {last}")
        details = {"by": person, "missing": [list(one) for one in missing], "note": note}
        draft = log.keeper.security(EventKind.BREAK_ACKNOWLEDGED, details)
        head = log.journal.append([draft], is_synced=True, patience=PATIENCE)
        log.close()
    if form == "json":
        print_json({"log": str(log.path), "seq": head.seq, "missing": details["missing"]}, 0)
    else:
        print_line(f"acknowledged in entry {head.seq} of {log.path}")


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as exc:
        raise click.UsageError("this account has no name; say who with --by") from exc
