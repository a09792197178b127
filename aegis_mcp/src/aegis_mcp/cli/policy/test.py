"""`aegis-mcp policy test`: whether a policy says to each case what it must."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from aegis_mcp.cli.options import policy_option
from aegis_mcp.cli.output import format_option, many, print_json, print_line, refusing
from aegis_mcp.decision import Request
from aegis_mcp.policy import cases, loader
from aegis_mcp.policy.cases import Trial
from aegis_mcp.policy.model import Policy


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@policy_option
@format_option
def test(file: Path, policy: Path | None, form: str) -> None:
    """Try a policy on the cases of FILE: requests, and the decision that each must get.

    The exit status is 0 if every case passes, 1 if one fails, and 2 if the policy or FILE cannot be used.

    Example: aegis-mcp policy test cases.yaml --policy ~/aegis/policy.yaml
    """
    with refusing(form):
        loaded = loader.chosen(policy)
        trials = [cases.attempt(loaded, case) for case in cases.read(file)]
    failed = [trial for trial in trials if trial.differences]
    status = 1 if failed else 0
    if form == "json":
        print_json(_report(loaded, trials, failed), status)
    else:
        for trial in failed:
            _print_failure(trial, file)
        verdict = f"{len(failed)} failed" if failed else "all passed"
        print_line(f"{many(len(trials), 'case')}, {verdict}, by {loaded.source}", "red" if failed else "green")
    sys.exit(status)


def _print_failure(trial: Trial, file: Path) -> None:
    case = trial.case
    print_line(f"{file}:{case.line}: {case.name}", "red")
    print_line(f"  asked     {_asked(case.request)}")
    for difference in trial.differences:
        print_line(f"  {difference.part:8}  expected {difference.expected}, found {difference.found}")
    print_line(f"  because   {trial.decision.reason}")
    click.echo()


def _asked(request: Request) -> str:
    """Return a request on one line."""
    subject = request.tool or request.uri or request.prompt
    arguments = json.dumps(request.arguments, ensure_ascii=False) if request.arguments else None
    return " ".join(part for part in (request.server, request.method, subject, arguments) if part)


def _report(policy: Policy, trials: list[Trial], failed: list[Trial]) -> dict[str, Any]:
    return {
        "source": policy.source,
        "sha256": policy.sha256,
        "cases": len(trials),
        "failed": [_failure(trial) for trial in failed],
    }


def _failure(trial: Trial) -> dict[str, Any]:
    differences = {one.part: {"expected": one.expected, "found": one.found} for one in trial.differences}
    return {
        "name": trial.case.name,
        "line": trial.case.line,
        "differences": differences,
        "reason": trial.decision.reason,
    }
