"""What the gateway has at a remote upstream: who it is there, and where that is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import httpx2

from aegis_mcp.upstream.credentials import CredentialStore
from aegis_mcp.upstream.incident import Incidents

_ERROR: Final = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class Client:
    """What the gateway is to an authorization server: registered by itself unless it has a `client_id` of the policy.

    `redirect_uri` is where a browser returns; `secret` goes with `client_id`.
    """

    redirect_uri: str
    client_id: str | None = None
    secret: str | None = None
    metadata_url: str | None = None

    def __repr__(self) -> str:
        return "Client(…)"


@dataclass(frozen=True, slots=True)
class Account:
    """The account at the upstream `name` at `url`; `login` is the command with which a person logs in there."""

    name: str
    url: str
    login: str
    client: Client
    store: CredentialStore
    incidents: Incidents


def error_of(response: httpx2.Response) -> str:
    """Return the error that a token response names (RFC 6749 §5.2), or its status: nothing else of what it says."""
    try:
        found = response.json()["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    return name_of(found) or f"HTTP status {response.status_code}"


def name_of(error: object) -> str:
    """Return the name of an error, empty if that is no name: it is a server's own text."""
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else ""
