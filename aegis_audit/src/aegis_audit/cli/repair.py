"""`aegis-audit repair`: what a damaged log needs."""

from __future__ import annotations

import click

from aegis_audit import render
from aegis_audit.archive import find_segments
from aegis_audit.cli.gathering import gather, trust_in
from aegis_audit.cli.options import FORM, KEYS, Answering
from aegis_audit.export import document
from aegis_audit.repair import plan_of
from aegis_audit.screen import progress
from aegis_audit.trust import Pin
from aegis_audit.verify import verify


@click.command(cls=Answering)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--plan", "is_plan", is_flag=True, help="Say what the log needs. There is no other way to use this.")
@click.option("--no-sidecar", is_flag=True, help="Leave out the sidecar beside the log: what is judged is an archive.")
@KEYS
@FORM
def repair(paths: tuple[str, ...], *, is_plan: bool, no_sidecar: bool, pins: tuple[Pin, ...], form: str) -> int:
    """Say what a damaged log needs, finding by finding; nothing is changed.

    What is missing can be brought from a backup; what is broken can be recorded as seen, so that the log goes on and
    the break stays visible. The exit status is that of 'verify'.

    Example: aegis-audit repair --plan ~/.local/state/aegis-mcp/
    """
    if not is_plan:
        raise click.UsageError("A log is never edited in place: --plan says what it needs.")
    knowledge = gather(paths, trust_in(pins), no_sidecar=no_sidecar)
    with progress(sum(segment.size for segment in find_segments(paths)), "verifying") as advance:
        report = verify(paths, knowledge=knowledge, progress=advance)
    steps = plan_of(report, paths)
    if form == "json":
        verdict = report.verdict
        members = {"verdict": verdict.name.lower(), "exit_code": verdict.exit_code}
        click.echo(document({**members, "steps": [step.to_json() for step in steps]}))
    else:
        render.plan(report, steps)
    return report.verdict.exit_code
