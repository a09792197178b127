"""`aegis-mcp login`: log in at a remote upstream, with a browser."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_mcp.cli.options import audit_log_option, policy_option
from aegis_mcp.cli.output import print_line


@click.command()
@policy_option
@audit_log_option
@click.option("--url", metavar="URL", help="Where the upstream is, if the policy does not say it.")
@click.option("--no-browser", is_flag=True, help="Only print the address, and open no browser.")
@click.argument("upstream")
def login(policy: Path | None, audit_log: Path | None, url: str | None, upstream: str, *, no_browser: bool) -> None:
    """Log in at a remote upstream.

    A browser opens at the authorization server; its address is printed too. Running gateways use the new login with
    their next request. The exit status is 0 once there is one, 1 if there is none, and 2 for what has to be set first:
    OAUTH_STATE_SECRET, at least 32 characters, seals what goes through the browser. DCR_STORAGE_PATH is the folder in
    which logins are kept, if it is not the default one.

    Example: aegis-mcp login tickets
    """
    from aegis_mcp.cli.account import RemoteAccount  # noqa: PLC0415 - the SDK takes half a second to import

    account = RemoteAccount.of(policy, audit_log, upstream, url)
    issuer = account.log_in(opens_browser=not no_browser)
    if issuer is None:
        print_line(f"{upstream!r} asks for no login; it is served without `auth: oauth` and `--oauth`")
    else:
        print_line(f"logged in at {upstream!r} by {issuer}")
