"""From what a policy says of a remote upstream to one that can be served."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx2

from aegis_audit.value import replace
from aegis_mcp import settings
from aegis_mcp.enforcement import OpenPins
from aegis_mcp.errors import ConfigError
from aegis_mcp.policy.model import Header, OAuth, Policy, Store, Upstream
from aegis_mcp.supervisor import Served
from aegis_mcp.upstream import credentials, reference
from aegis_mcp.upstream.account import Account, Client
from aegis_mcp.upstream.bearer import Bearer
from aegis_mcp.upstream.callback import HOST, PATH
from aegis_mcp.upstream.credentials import CredentialFile
from aegis_mcp.upstream.exchange import Endpoint
from aegis_mcp.upstream.incident import Incidents
from aegis_mcp.upstream.network import Reach, origin
from aegis_mcp.upstream.remote import RemoteUpstream
from aegis_mcp.upstream.vault import CredentialVault


def served(upstream: Upstream, open_pins: OpenPins, policy: Policy) -> Served:
    """Return a remote upstream as it is served under a policy.

    Raises:
        ConfigError: a secret is missing, or the place of the logins cannot be used.
    """
    incidents = Incidents(upstream.name)
    bearer = None
    if isinstance(upstream.auth, OAuth):
        account = account_of(upstream, upstream.auth, incidents, policy)
        account.store.read()  # what is wrong with it is to be known now, not in the middle of a call
        bearer = Bearer(account)
    endpoint = replace(endpoint_of(upstream), auth=bearer)
    start = partial(RemoteUpstream.start, endpoint, incidents)
    return Served(upstream.name, start, origin(httpx2.URL(endpoint.url)), open_pins, incidents)


def endpoint_of(upstream: Upstream) -> Endpoint:
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


def account_of(upstream: Upstream, auth: OAuth, incidents: Incidents, policy: Policy) -> Account:
    """Return who the gateway is at an upstream, and where that is kept.

    Raises:
        ConfigError: a secret is missing.
    """
    secret = reference.resolve(auth.client_secret, os.environ) if auth.client_secret else None
    redirect_uri = f"http://{HOST}:{auth.callback_port}{PATH}"
    client = Client(redirect_uri, auth.client_id, secret, auth.client_metadata_url)
    url = upstream.url or ""
    kind = CredentialVault if auth.store is Store.KEYRING else CredentialFile
    store = kind(credentials.directory_from(os.environ), upstream.name, url)
    return Account(upstream.name, url, _login_command(upstream, policy), client, store, incidents)


def _login_command(upstream: Upstream, policy: Policy) -> str:
    """Return the command with which a person logs in, without the URL: its path or query may be a secret."""
    words = ["aegis-mcp", "login", upstream.name]
    if policy.editable != str(settings.default_policy()):
        words += ["--policy", str(Path(policy.editable).absolute())]
    if policy.upstream(upstream.name).url != upstream.url:
        words += ["--url", "URL"]
    return shlex.join(words)
