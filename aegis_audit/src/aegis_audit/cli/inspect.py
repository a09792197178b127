"""`aegis-audit inspect`: the entries of a log, as a table or as JSON."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from aegis_audit import render
from aegis_audit.answer import Settled, Unanswered
from aegis_audit.archive import find_segments
from aegis_audit.entry import EVENT_TYPES
from aegis_audit.errors import UnusableQuery
from aegis_audit.export import JsonDocument, JsonLines
from aegis_audit.follow import follow
from aegis_audit.listing import Listing, unanswered_in
from aegis_audit.query import TIME_FORMS, Query, parse_id, parse_time
from aegis_audit.reading import in_order
from aegis_audit.screen import Screen, progress
from aegis_audit.segment import STANDARD_INPUT

_POLL_SECONDS: Final = 0.2
_INTERRUPTED: Final = 130
_MOST_LAST: Final = 100_000


def _parsed_by(parse: Callable[[str], str]) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Return a callback that turns an option's text into a part of a query, or refuses it."""

    def parsed(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
        try:
            return None if text is None else parse(text)
        except UnusableQuery as exc:
            raise click.BadParameter(str(exc), ctx, param) from exc

    return parsed


_time: Final = _parsed_by(lambda text: parse_time(text, datetime.now(UTC)))
_id: Final = _parsed_by(parse_id)
_TYPE: Final = click.Choice(sorted(EVENT_TYPES))
_DECISIONS: Final = ("allow", "ask", "deny", "monitor")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--type", "types", multiple=True, metavar="TYPE", type=_TYPE, help=f"Repeatable, one of {', '.join(_TYPE.choices)}."
)
@click.option(
    "--server", "servers", multiple=True, metavar="GLOB", help="Only requests to servers of such a name; repeatable."
)
@click.option("--tool", "tools", multiple=True, metavar="GLOB", help="Only calls of tools of such a name; repeatable.")
@click.option("--decision", type=click.Choice(_DECISIONS), help="Only entries that hold this decision.")
@click.option("--session", callback=_id, metavar="HEX", help="Only runs whose id begins like this.")
@click.option("--trace", callback=_id, metavar="HEX", help="Only requests whose trace begins like this.")
@click.option(
    "--since", callback=_time, metavar="TIME", help=f"From this time on. Forms: {TIME_FORMS}; UTC without a zone."
)
@click.option("--until", callback=_time, metavar="TIME", help="Before this time.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Stop after so many entries.")
@click.option("--last", type=click.IntRange(1, _MOST_LAST), metavar="N", help="Only so many entries from the end.")
@click.option("--follow", "is_following", is_flag=True, help="Go on with what is written from now on, over rotations.")
@click.option("--format", "form", type=click.Choice(["text", "json", "jsonl"]), default="text", help="Default: text.")
def inspect(
    paths: tuple[str, ...],
    *,
    limit: int | None,
    last: int | None,
    is_following: bool,
    form: str,
    **filters: Any,
) -> int:
    """Show the entries of a log: files, directories, globs or '-', in the order of their content.

    The filters narrow each other down; one that is given twice takes either value. Each entry is checked against its
    own hash; one that fails is not shown but named, on standard error or in the JSON, and the exit status tells: 1 if
    a hash is wrong, 3 if a line is damaged, 4 if the end is torn, 5 if there is no entry, 6 if a file cannot be read.
    Whether entries are missing or moved, 'aegis-audit verify' says.

    An intent without an outcome shows as 'sent, answer unknown'. A narrow terminal leaves columns out; a pipe has all.
    --follow ends with Ctrl-C (status 130) or with --limit.

    Example: aegis-audit inspect ~/.local/state/aegis-mcp/ --decision deny --since 2h
    """
    query = Query(**filters)
    if limit and last:
        raise click.UsageError("--limit and --last exclude each other.")
    if is_following:
        return _follow(paths, Listing(query, limit=limit, hold=0), form, last)
    segments = in_order(find_segments(paths))
    # On a terminal the entries themselves show that it goes on.
    size = 0 if sys.stdout.isatty() else sum(segment.size for segment in segments)
    look_ahead = partial(unanswered_in, segments) if all(one.can_be_read_again for one in segments) else Unanswered
    add, finish = _output(form)
    with progress(size, "reading") as advance:
        listing = Listing(query, limit=limit, last=last, progress=advance)
        for one in listing.entries(segments, look_ahead):
            add(one)
    finish(listing)
    return listing.reading.verdict.exit_code


def _output(form: str) -> tuple[Callable[[Settled], None], Callable[[Listing], None]]:
    """Return what takes each entry, and what takes the account of all of them."""
    if form == "json":
        document = JsonDocument(sys.stdout)
        return document.add, document.finish
    lines = JsonLines(sys.stdout) if form == "jsonl" else render.EntryTable(Screen(sys.stdout))
    return lines.add, _conclude


def _follow(paths: tuple[str, ...], listing: Listing, form: str, last: int | None) -> int:
    if len(paths) != 1 or paths[0] == STANDARD_INPUT or Path(paths[0]).is_dir():
        raise click.UsageError("--follow takes one file.")
    if form == "json":
        raise click.UsageError("--follow has no end that a JSON document could have; take --format jsonl.")
    backlog: deque[Settled] = deque(maxlen=last)
    show, finish = _output(form)
    is_live = last is None

    def pause() -> None:
        nonlocal is_live
        is_live = True
        while backlog:
            show(backlog.popleft())
        sys.stdout.flush()
        time.sleep(_POLL_SECONDS)

    try:
        for one in listing.entries(follow(paths[0], pause)):
            (show if is_live else backlog.append)(one)
    except KeyboardInterrupt:
        if listing.reading.damaged:
            finish(listing)
        return _INTERRUPTED
    finish(listing)
    return listing.reading.verdict.exit_code


def _conclude(listing: Listing) -> None:
    sys.stdout.flush()
    screen = Screen(sys.stderr)
    render.damage(screen, listing.reading)
    render.unanswered(screen, listing.unanswered)
    render.account(screen, listing)
