"""`aegis-mcp policy check`: every mistake of a policy file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from aegis_mcp.cli.options import policy_option
from aegis_mcp.cli.output import format_option, many, print_json, refusing
from aegis_mcp.cli.secret import check_secret
from aegis_mcp.errors import PolicyError
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import Policy


@click.command()
@policy_option
@format_option
def check(policy: Path | None, form: str) -> None:
    """Name every mistake of a policy file, with its line and column.

    The exit status is 0 for a policy that the gateway would use here and 2 for one with mistakes, or with an upstream
    that one logs in to and no secret for that in the environment.

    Example: aegis-mcp policy check --policy ~/aegis/policy.yaml
    """
    try:
        with refusing(form, policy):
            loaded = loader.chosen(policy)
            check_secret(loaded)
    except PolicyError as exc:
        click.echo(str(exc))  # the mistakes are the result
        sys.exit(2)
    if form == "json":
        print_json(_summary(loaded), 0)
    else:
        click.echo(_sentence(loaded))


def _summary(policy: Policy) -> dict[str, Any]:
    return {
        "source": policy.source,
        "sha256": policy.sha256,
        "rules": len(policy.rules),
        "upstreams": sorted(policy.upstreams),
        "defaults": {
            "read": policy.defaults.read.value,
            "write": policy.defaults.write.value,
            "client_request": policy.defaults.client_request.value,
        },
    }


def _sentence(policy: Policy) -> str:
    defaults = policy.defaults
    return (
        f"{policy.source}: ok, {many(len(policy.rules), 'rule')}, {many(len(policy.upstreams), 'upstream')}\n"
        f"  where no rule speaks: read {defaults.read.value}, write {defaults.write.value},"
        f" client_request {defaults.client_request.value}\n"
        f"  sha256 {policy.sha256}"
    )
