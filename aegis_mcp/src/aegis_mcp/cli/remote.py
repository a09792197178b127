"""From what a policy says of a remote upstream to one that can be served, logged in to and logged out of."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx2

from aegis_audit.value import replace
from aegis_mcp import settings
from aegis_mcp.audit.record import EventKind
from aegis_mcp.cli.log import PATIENCE, open_journal
from aegis_mcp.enforcement import OpenPins
from aegis_mcp.errors import ConfigError
from aegis_mcp.policy import loader
from aegis_mcp.policy.endpoint import url_mistake
from aegis_mcp.policy.model import Header, OAuth, Policy, Upstream
from aegis_mcp.supervisor import Served
from aegis_mcp.upstream import credentials, reference, state
from aegis_mcp.upstream.bearer import Bearer
from aegis_mcp.upstream.callback import HOST, PATH
from aegis_mcp.upstream.credentials import CredentialFile
from aegis_mcp.upstream.exchange import Endpoint, Http
from aegis_mcp.upstream.incident import Incident, IncidentKind, Incidents
from aegis_mcp.upstream.login import Login
from aegis_mcp.upstream.network import Reach, origin
from aegis_mcp.upstream.provider import Account, Client, Provider
from aegis_mcp.upstream.remote import RemoteUpstream

T = TypeVar("T")


def served(upstream: Upstream, open_pins: OpenPins) -> Served:
    """Return a remote upstream as it is served.

    Raises:
        ConfigError: a secret is missing, or the place of the logins cannot be used.
    """
    incidents = Incidents(upstream.name)
    bearer = None
    if isinstance(upstream.auth, OAuth):
        account = _account_of(upstream, upstream.auth, incidents)
        account.file.read()  # what is wrong with it is to be known now, not in the middle of a call
        bearer = Bearer(account)
    endpoint = replace(_endpoint_of(upstream), auth=bearer)
    start = partial(RemoteUpstream.start, endpoint, incidents)
    return Served(upstream.name, start, origin(httpx2.URL(endpoint.url)), open_pins, incidents)


@dataclass(frozen=True, slots=True)
class Remote:
    """What a person has at one upstream, and the log in which that is recorded."""

    upstream: Upstream
    auth: OAuth
    policy: Policy
    log: Path

    @classmethod
    def of(cls, policy_file: Path | None, audit_log: Path | None, name: str, url: str | None) -> Remote:
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
        log = (audit_log or settings.default_audit_log()).expanduser().absolute()
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
        login = Login(_account_of(self.upstream, self.auth, incidents), secret, to_browser)

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
        account = _account_of(self.upstream, self.auth, incidents)

        async def log_out(http: Http) -> bool:
            async with account.file.turn():
                with contextlib.suppress(ConfigError):  # what cannot be read can be removed
                    provider = Provider(account)
                    provider.restore(account.file.read())
                    await provider.revoke(http.ask)
                was_there = account.file.remove()
            if was_there:
                incidents.report(IncidentKind.LOGGED_OUT)
            return was_there

        return self._recorded(log_out, incidents)

    def _recorded(self, act: Callable[[Http], Awaitable[T]], incidents: Incidents) -> T:
        """Do something with HTTP, and record what happened, also if it failed."""
        try:
            return asyncio.run(_with_http(_endpoint_of(self.upstream), act))
        finally:
            self._record(incidents.rest())

    def _record(self, incidents: list[Incident]) -> None:
        if incidents:
            log = open_journal(self.policy, self.log)
            drafts = [log.keeper.security(EventKind(each.kind.value), each.details) for each in incidents]
            log.journal.append(drafts, is_synced=True, patience=PATIENCE)
            log.close()


async def _with_http(endpoint: Endpoint, act: Callable[[Http], Awaitable[T]]) -> T:
    http = Http(endpoint)
    try:
        return await act(http)
    finally:
        await http.close()


def _endpoint_of(upstream: Upstream) -> Endpoint:
    """Return where an upstream is and what goes with each request.

    Raises:
        ConfigError: a secret is missing, or no header can hold it.
    """
    url = upstream.url or ""
    reach = Reach.of(url, allow_private=upstream.allow_private)
    return Endpoint(upstream.name, url, reach, upstream.timeout, _headers(upstream))


def _headers(upstream: Upstream) -> Mapping[str, str]:
    if not isinstance(upstream.auth, Header):
        return {}
    headers = {name: reference.resolve(value, os.environ) for name, value in upstream.auth.headers.items()}
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise ConfigError(f"the value of the header {name!r} of {upstream.name!r} is not printable ASCII")
    return headers


def _account_of(upstream: Upstream, auth: OAuth, incidents: Incidents) -> Account:
    secret = reference.resolve(auth.client_secret, os.environ) if auth.client_secret else None
    redirect_uri = f"http://{HOST}:{auth.callback_port}{PATH}"
    client = Client(redirect_uri, auth.client_id, secret, auth.client_metadata_url)
    url = upstream.url or ""
    file = CredentialFile(credentials.directory_from(os.environ), upstream.name, url)
    return Account(upstream.name, url, client, file, incidents)


def _open_browser(url: str, *, opens_browser: bool) -> None:
    print(f"aegis-mcp: to log in, open this address in a browser:\n\n    {url}\n", file=sys.stderr, flush=True)  # noqa: T201
    if opens_browser:
        # Some browsers hold up whoever opens them until they are closed.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
