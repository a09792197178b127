"""The account that a person has at a remote upstream: logging in, logging out, and the record of both."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from aegis_audit.value import replace
from aegis_mcp import settings
from aegis_mcp.cli.log import record
from aegis_mcp.cli.remote import account_of, endpoint_of
from aegis_mcp.errors import ConfigError
from aegis_mcp.policy import loader
from aegis_mcp.policy.endpoint import url_mistake
from aegis_mcp.policy.model import Header, OAuth, Policy, Upstream
from aegis_mcp.upstream import state
from aegis_mcp.upstream.exchange import Endpoint, Http
from aegis_mcp.upstream.incident import IncidentKind, Incidents
from aegis_mcp.upstream.login import Login
from aegis_mcp.upstream.provider import Provider

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RemoteAccount:
    """What a person has at one upstream, and the log in which that is recorded."""

    upstream: Upstream
    auth: OAuth
    policy: Policy
    log: Path

    @classmethod
    def of(cls, policy_file: Path | None, audit_log: Path | None, name: str, url: str | None) -> RemoteAccount:
        """Return the account at an upstream of the policy, or at a URL.

        Raises:
            ConfigError: there is no such upstream, or nothing to log in to.
        """
        policy = loader.chosen(policy_file)
        upstream = policy.upstream(name)
        upstream = replace(upstream, url=url or upstream.url)
        if not upstream.url:
            raise ConfigError(f"the policy names no upstream {name!r} with a url; give its address with --url")
        if mistake := url_mistake(upstream.url):
            raise ConfigError(f"--url: {mistake}")
        if isinstance(upstream.auth, Header):
            raise ConfigError(f"the upstream {name!r} is shown a header of the policy; there is nothing to log in to")
        log = settings.audit_log(audit_log)
        return cls(upstream, upstream.auth or OAuth(), policy, log)

    def log_in(self, *, opens_browser: bool) -> str | None:
        """Log in; return who has given the tokens, None where the upstream asks for none.

        Raises:
            ConfigError: something has to be set first.
            LoginFailed: it did not come to a login.
            AuditUnavailable: the log cannot take what has happened.
        """
        secret = state.secret_from(os.environ)
        incidents = Incidents(self.upstream.name)
        to_browser = partial(_open_browser, opens_browser=opens_browser)
        login = Login(account_of(self.upstream, self.auth, incidents, self.policy), secret, to_browser)

        async def log_in(http: Http) -> str | None:
            issuer = await login.run(http.ask, self.auth.callback_port)
            if issuer:
                incidents.report(IncidentKind.LOGGED_IN, issuer=issuer)
            return issuer

        return self._recorded(log_in, incidents)

    def log_out(self) -> bool:
        """Log out; return whether there was a login.

        Raises:
            ConfigError: what is kept cannot be removed.
            AuditUnavailable: the log cannot take what has happened.
        """
        incidents = Incidents(self.upstream.name)
        account = account_of(self.upstream, self.auth, incidents, self.policy)

        async def log_out(http: Http) -> bool:
            async with account.store.turn():
                with contextlib.suppress(ConfigError):  # what cannot be read can be removed
                    provider = Provider(account)
                    provider.restore(await account.store.fetch())
                    await provider.revoke(http.ask)
                was_there = account.store.remove()
            if was_there:
                incidents.report(IncidentKind.LOGGED_OUT)
            return was_there

        return self._recorded(log_out, incidents)

    def _recorded(self, act: Callable[[Http], Awaitable[T]], incidents: Incidents) -> T:
        """Do something with HTTP, and record what happened, also if it failed."""
        try:
            return asyncio.run(_with_http(endpoint_of(self.upstream), act))
        finally:
            record(self.policy, self.log, incidents.rest())


async def _with_http(endpoint: Endpoint, act: Callable[[Http], Awaitable[T]]) -> T:
    http = Http(endpoint)
    try:
        return await act(http)
    finally:
        await http.close()


def _open_browser(url: str, *, opens_browser: bool) -> None:
    print(f"aegis-mcp: to log in, open this address in a browser:\n\n    {url}\n", file=sys.stderr, flush=True)  # noqa: T201
    if opens_browser:
        # Some browsers hold up whoever opens them until they are closed.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
