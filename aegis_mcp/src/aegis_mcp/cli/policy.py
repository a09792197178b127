"""`aegis-mcp policy`: look at a policy before a host does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from aegis_mcp.cli.options import policy_option
from aegis_mcp.errors import ConfigError, PolicyError
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import Policy


@click.group()
@click.pass_context
def policy(ctx: click.Context) -> None:
    """Check a policy file."""
    # Options before the group's name are those of its commands: aegis-mcp --policy FILE policy check
    ctx.default_map = dict.fromkeys(policy.commands, ctx.default_map)


@policy.command()
@policy_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(policy: Path | None, form: str) -> None:
    """Name every mistake of a policy file, with its line and column.

    The exit status is 0 for a policy that the gateway would use and 2 for one with mistakes.

    Example: aegis-mcp policy check --policy ~/aegis/policy.yaml
    """
    try:
        loaded = loader.chosen(policy)
    except ConfigError as exc:
        _refuse(exc, policy, form)
    else:
        click.echo(json.dumps(_summary(loaded), indent=2) if form == "json" else _sentence(loaded))


def _refuse(error: ConfigError, policy: Path | None, form: str) -> NoReturn:
    """Show what is wrong and exit; what keeps a file from being read is told by whoever calls us."""
    if form == "json":
        click.echo(
            json.dumps(_mistakes(error) if isinstance(error, PolicyError) else _unreadable(error, policy), indent=2)
        )
    elif isinstance(error, PolicyError):
        click.echo(str(error))
    else:
        raise error
    sys.exit(2)


def _mistakes(error: PolicyError) -> dict[str, Any]:
    found = [{"line": one.line, "column": one.column, "message": one.message} for one in error.mistakes]
    return {"ok": False, "source": error.source, "mistakes": found, "exit_code": 2}


def _unreadable(error: ConfigError, policy: Path | None) -> dict[str, Any]:
    return {"ok": False, "source": str(policy) if policy else None, "error": str(error), "mistakes": [], "exit_code": 2}


def _summary(policy: Policy) -> dict[str, Any]:
    return {
        "ok": True,
        "source": policy.source,
        "sha256": policy.sha256,
        "rules": len(policy.rules),
        "upstreams": sorted(policy.upstreams),
        "defaults": {
            "read": policy.defaults.read.value,
            "write": policy.defaults.write.value,
            "client_request": policy.defaults.client_request.value,
        },
        "exit_code": 0,
    }


def _sentence(policy: Policy) -> str:
    defaults = policy.defaults
    return (
        f"{policy.source}: ok, {len(policy.rules)} rules, {len(policy.upstreams)} upstreams\n"
        f"  where no rule speaks: read {defaults.read.value}, write {defaults.write.value},"
        f" client_request {defaults.client_request.value}\n"
        f"  sha256 {policy.sha256}"
    )
