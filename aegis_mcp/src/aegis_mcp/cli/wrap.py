"""`aegis-mcp wrap`: serve one upstream, whose command or URL a host's configuration entry gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aegis_mcp import stdio
from aegis_mcp.cli.options import audit_log_option, policy_option


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@policy_option
@audit_log_option
@click.option("--name", metavar="NAME", default="upstream", show_default=True, help="What policy and log call it.")
@click.option("--url", metavar="URL", help="Where a remote upstream is, in place of a command.")
@click.option("--oauth", is_flag=True, help="Log in at the remote upstream, as `auth: oauth` of the policy says.")
@click.option(
    "--env", "passed", metavar="NAME", multiple=True, help="A variable to hand on to the upstream; repeatable."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def wrap(policy: Path | None, audit_log: Path | None, passed: tuple[str, ...], **upstream: Any) -> None:
    """Serve one upstream, as a host's configuration entry does.

    COMMAND is the upstream's program and its arguments, after `--`. The exit status is that of `aegis-mcp`.

    Example: aegis-mcp wrap --name files -- npx -y @modelcontextprotocol/server-filesystem ~/work
    """
    _check(passed, **upstream)
    wire = stdio.claim()
    from aegis_mcp.cli.serving import serve_wrapped  # noqa: PLC0415 - only once nothing can print on the wire
    from aegis_mcp.policy.model import OAuth, Upstream  # noqa: PLC0415

    name, command, url = upstream["name"], upstream["command"], upstream["url"]
    given = Upstream(name, command or None, url=url, auth=OAuth() if upstream["oauth"] else None)
    serve_wrapped(wire, policy, audit_log, given, passed)


def _check(passed: tuple[str, ...], *, url: str | None, command: tuple[str, ...], oauth: bool, name: str) -> None:
    from aegis_mcp.policy.model import is_name  # noqa: PLC0415

    if not is_name(name):
        raise click.UsageError(f"--name {name!r:.50}: take at most 32 of a-z, 0-9, _ and -, as a policy does")
    if bool(url) == bool(command):
        raise click.UsageError(f"give the upstream {name!r} a command after --, or a --url")
    if command and oauth:
        raise click.UsageError("--oauth is for a remote upstream, with --url")
    if url and passed:
        raise click.UsageError("--env is for an upstream that is a command")
    if url:
        from aegis_mcp.policy.endpoint import url_mistake  # noqa: PLC0415 - who has no URL need not load it

        if mistake := url_mistake(url):
            raise click.UsageError(f"--url: {mistake}")
