"""`aegis-audit verify`: is a log whole and unchanged, as far as its level can tell."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from aegis_audit import render
from aegis_audit.archive import find_segments
from aegis_audit.chain import Head
from aegis_audit.checks.known import Known
from aegis_audit.cli.gathering import gather, trust_in
from aegis_audit.cli.options import FORM, KEYS, Answering, read_file
from aegis_audit.crew import MAX_JOBS
from aegis_audit.demand import Demands
from aegis_audit.errors import MalformedNote, MissingExtra, UnreadableSegment, UnusableCertificate, UnusableQuery
from aegis_audit.export import document
from aegis_audit.headline import Headline
from aegis_audit.level import Level
from aegis_audit.query import parse_age
from aegis_audit.screen import progress
from aegis_audit.state import store
from aegis_audit.timestamp import MAX_CERTIFICATES, Authorities, load_certificates
from aegis_audit.verify import examine
from aegis_audit.witness import MAX_POLICY, WitnessPolicy


def _oldest(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """Turn an age into the timestamp of that moment."""
    try:
        return None if text is None else parse_age(text, datetime.now(UTC))
    except UnusableQuery as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc


def _level(ctx: click.Context, param: click.Parameter, text: str | None) -> Level:
    """Read the name of a level."""
    if text is None:
        return Level.A0
    try:
        return Level[text.upper()]
    except KeyError as exc:
        raise click.BadParameter(f"{text!r} is no level; there are a0 to a4", ctx, param) from exc


def _witnesses(ctx: click.Context, param: click.Parameter, path: Path | None) -> WitnessPolicy | None:
    """Read a policy for witnesses."""
    try:
        return None if path is None else WitnessPolicy.parse(read_file(path, MAX_POLICY))
    except (MalformedNote, UnreadableSegment) as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc


def _authorities(ctx: click.Context, param: click.Parameter, paths: tuple[Path, ...]) -> Authorities | None:
    """Read the certificates of time-stamp authorities."""
    try:
        given = [one for path in paths for one in load_certificates(read_file(path, MAX_CERTIFICATES))]
        return Authorities(given) if given else None
    except (MissingExtra, UnreadableSegment, UnusableCertificate) as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc


def _heads(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[Known, ...]:
    """Read heads as `aegis-audit head` prints them."""
    try:
        lines = [Headline.parse(text.strip()) for text in texts]
    except MalformedNote as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc
    return tuple(
        Known(Head(line.size - 1, line.entry_hash), line.origin, "--expect-head", root=line.root) for line in lines
    )


@click.command(cls=Answering)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--from-genesis", is_flag=True, help="Demand that the log begins with its first entry.")
@click.option("--allow-empty", is_flag=True, help="Accept files and directories that are there and hold no entry.")
@click.option("--require", "level", callback=_level, metavar="LEVEL", help="Demand a level of assurance, a0 to a4.")
@KEYS
@click.option(
    "--expect-head",
    "heads",
    multiple=True,
    callback=_heads,
    metavar="LINE",
    help="A head that was kept elsewhere, as `aegis-audit head` prints it: the log must hold it; repeatable.",
)
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A checkpoint that was kept elsewhere, with its time stamp if FILE.tsr is there: the log must go on from it; "
    "repeatable.",
)
@click.option(
    "--tsa-certificate",
    "authorities",
    multiple=True,
    callback=_authorities,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Root certificates of a time-stamp authority, by which the time stamps of checkpoints are judged; repeatable.",
)
@click.option(
    "--witness-policy",
    "witnesses",
    callback=_witnesses,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Whose cosignatures count, and how many of them it takes (c2sp.org/tlog-policy).",
)
@click.option(
    "--accept-acknowledged",
    is_flag=True,
    help="Accept missing entries that a person has acknowledged, where that is signed by a key that counts.",
)
@click.option("--max-uncovered", type=click.IntRange(0), metavar="N", help="Demand that the level covers all but N.")
@click.option("--min-records", type=click.IntRange(0), default=0, metavar="N", help="Demand so many entries.")
@click.option(
    "--max-age",
    "not_before",
    callback=_oldest,
    metavar="AGE",
    help="Demand an entry that is not older: 90s, 15m, 2h, 3d.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read what is new since the last time, and demand that it goes on from there; the file remembers.",
)
@click.option("--no-sidecar", is_flag=True, help="Leave out the sidecar beside the log: what is judged is an archive.")
@click.option(
    "--jobs",
    type=click.IntRange(1, MAX_JOBS),
    metavar="N",
    help="Processes that read the log. Default: one for each core if the log is large, else one.",
)
@FORM
@click.option("--quiet", is_flag=True, help="Print nothing; the exit status is the verdict.")
def verify(
    paths: tuple[str, ...], *, state: Path | None, jobs: int | None, form: str, quiet: bool, **options: Any
) -> int:
    """Judge whether a log is whole and unchanged.

    Takes files, directories, globs or '-', plain or compressed (.gz, .xz, .bz2, .zst), in any order: segments are
    put in order by what is in them. On the host that writes the log, the sidecar beside it shows whether its end was
    cut off.

    The exit status is the verdict: 0 valid, 1 tampered, 3 corrupt, 4 incomplete, 5 unverifiable, 6 unreadable.

    Example: aegis-audit verify --from-genesis ~/.local/state/aegis-mcp/
    """
    trust = trust_in(options.pop("pins"), options.pop("witnesses"), options.pop("authorities"))
    outside = {name: options.pop(name) for name in ("anchors", "heads", "no_sidecar")}
    knowledge = gather(paths, trust, state=state, **outside)
    now = parse_age("0s", datetime.now(UTC))
    size = sum(segment.size for segment in find_segments(paths))
    with progress(size, "verifying") as advance:
        report, reached = examine(paths, Demands(**options), knowledge, now=now, jobs=jobs, progress=advance)
    if state and reached:
        store(state, reached)
    if quiet:
        return report.verdict.exit_code
    if form == "json":
        click.echo(document(report.to_json()))
    else:
        render.verification(report)
    return report.verdict.exit_code
