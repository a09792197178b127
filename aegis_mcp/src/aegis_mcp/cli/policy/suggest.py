"""`aegis-mcp policy suggest`: a policy to begin with, from what a server offers or a log has seen."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from aegis_audit.escape import defuse
from aegis_mcp import proposal, settings, suggestion
from aegis_mcp.cli.log import record
from aegis_mcp.cli.options import audit_log_option, policy_option
from aegis_mcp.cli.output import format_option, print_json, refusing
from aegis_mcp.cli.secret import check_secret
from aegis_mcp.errors import ConfigError
from aegis_mcp.policy import loader
from aegis_mcp.policy.endpoint import url_mistake
from aegis_mcp.policy.model import OAuth
from aegis_mcp.recorded import RecordedLog
from aegis_mcp.suggestion import Server
from aegis_mcp.upstream import environment, offer
from aegis_mcp.upstream.guardian import Guardian
from aegis_mcp.upstream.launch import Launch
from aegis_mcp.upstream.offer import Offer
from aegis_mcp.upstream.process import UpstreamProcess

_MOST_SECONDS = 600


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--name", metavar="NAME", help="What the policy calls the server; of a log, only this one.")
@click.option("--log", "logs", metavar="LOG", multiple=True, help="A log to take it from, as for replay; repeatable.")
@click.option("--url", metavar="URL", help="Where a remote server is, in place of a command.")
@click.option("--oauth", is_flag=True, help="Use the login at the remote server, as `auth: oauth` of the policy says.")
@policy_option
@audit_log_option
@click.option("--env", "passed", metavar="NAME", multiple=True, help="A variable to hand on to COMMAND; repeatable.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, _MOST_SECONDS, min_open=True),
    default=60.0,
    metavar="SECONDS",
    show_default=True,
    help="How many seconds COMMAND has to say what it offers.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE, which must not be there yet."
)
@format_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def suggest(name: str | None, logs: tuple[str, ...], output: Path | None, form: str, **how: Any) -> None:
    """Propose a policy for a server, for a person to review: what its tools seem to be, each with the reason.

    COMMAND is the server's program and its arguments, after `--`. It is started and asked what it offers, and no tool
    is called. A server with a --url is asked as the policy says. With --log, what a gateway has seen of its servers is
    taken instead.

    The proposal lets reads through and no write; what is unclear is a write. The exit status is 0 with a proposal, 1
    if the server does not say what it offers, and 2 for wrong usage, or a log that cannot be used.

    Example: aegis-mcp policy suggest --name files -- npx -y @modelcontextprotocol/server-filesystem ~/work
    """
    with refusing(form):
        if output and os.path.lexists(output):
            raise _present(output)
        servers, source = _known(name, logs, **how)
        text = proposal.render(servers, source, proposal.address(how["url"], logs_in=how["oauth"]))
        if output:
            _write(output, text)
    if form == "json":
        print_json({"policy": text, "servers": [_server(server) for server in servers]}, 0)
    elif output:
        click.echo(f"written to {output}; read it before you use it", err=True)
    else:
        click.echo(text, nl=False)


def _known(name: str | None, logs: tuple[str, ...], **how: Any) -> tuple[list[Server], str]:
    """Return what is known of servers, and from where."""
    command, url = how["command"], how["url"]
    if [bool(logs), bool(command), bool(url)].count(True) != 1:
        raise ConfigError("give either the command of a server, after --, or its --url, or a log with --log")
    if not logs:
        server = Server(name or "upstream", ())
        if not proposal.has_name(server):
            raise ConfigError(f"{name!r} is no name of an upstream: a-z, 0-9, - and _, at most 32")
        offered = _offered_at(server.name, **how) if url else _offered_by(**how)
        return [suggestion.offered(server.name, offered)], f"what the server {server.name!r} offers"
    log = RecordedLog(logs)
    servers = suggestion.seen(log.requests(), name)
    for line in log.damage:
        click.echo(defuse(line), err=True)
    if not any(map(proposal.has_name, servers)):
        raise ConfigError(
            f"there is no request to {repr(name) if name else 'a server that a policy can name'} in {', '.join(logs)}"
        )
    return servers, "what a log has seen"


def _offered_by(*, command: tuple[str, ...], passed: tuple[str, ...], timeout: float, **_: Any) -> Offer:
    """Return what the server of a command offers."""
    env = environment.build(os.environ, {}, passed)
    with Guardian.start() as guardian:
        return asyncio.run(offer.ask(partial(UpstreamProcess.start, Launch(command, env, guardian)), timeout))


def _offered_at(
    name: str, *, url: str, oauth: bool, timeout: float, policy: Path | None, audit_log: Path | None, **_: Any
) -> Offer:
    """Return what a remote server offers; what happened with a login is recorded."""
    from aegis_mcp.cli.remote import served  # noqa: PLC0415 - who has no remote upstream does not load HTTP

    if mistake := url_mistake(url):
        raise ConfigError(f"--url: {mistake}")
    known = loader.chosen(policy)
    upstream = known.upstream(name).at(url, logs_in=oauth)
    check_secret(known, upstream)
    server = served(upstream, lambda _: None, known)
    try:
        return asyncio.run(offer.ask(server.start, timeout))
    finally:
        if isinstance(upstream.auth, OAuth):
            log = settings.audit_log(audit_log)
            record(known, log, server.incidents.rest())


def _present(path: Path) -> ConfigError:
    return ConfigError(f"{str(path)!r} is there already; nothing is written over")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as exc:
        raise _present(path) from exc
    except OSError as exc:
        raise ConfigError(f"{str(path)!r} cannot be written: {exc.strerror}") from exc


def _server(server: Server) -> dict[str, Any]:
    return {
        "name": server.name,
        "tools": [
            {"name": one.tool.name, "access": one.access.value, "why": one.why} for one in suggestion.suggest(server)
        ],
        "resources": len(server.resources),
        "prompts": len(server.prompts),
    }
