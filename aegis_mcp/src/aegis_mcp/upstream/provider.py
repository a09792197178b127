"""The SDK's OAuth client with a memory: what it learns in one run it knows in the next.

As it comes, it forgets when a token expires and where one is renewed, and would send a person to the browser although
it holds a refresh token. It is made to remember through a few of its inner names, which `tests/remote/test_provider.py`
holds it to; the distribution accepts only releases of the SDK that have them.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl, BaseModel

from aegis_mcp import __version__
from aegis_mcp.errors import UpstreamUnavailable
from aegis_mcp.upstream.credentials import CredentialFile, Credentials
from aegis_mcp.upstream.exchange import Ask
from aegis_mcp.upstream.incident import IncidentKind, Incidents

# The SDK logs states and the bodies of token responses; httpx2 logs addresses with their queries.
for _name in ("mcp", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

M = TypeVar("M", bound=BaseModel)

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

    @property
    def metadata(self) -> OAuthClientMetadata:
        """Return what a registration says."""
        return OAuthClientMetadata(
            redirect_uris=[AnyUrl(self.redirect_uri)],
            client_name="Aegis MCP gateway",
            software_id="aegis-mcp-gateway",
            software_version=__version__,
        )

    @property
    def registered(self) -> OAuthClientInformationFull | None:
        """Return the client that somebody has registered by hand, None if nobody has."""
        if self.client_id is None:
            return None
        return OAuthClientInformationFull(
            client_id=self.client_id,
            client_secret=self.secret,
            redirect_uris=[AnyUrl(self.redirect_uri)],
            token_endpoint_auth_method="client_secret_basic" if self.secret else "none",
        )


@dataclass(frozen=True, slots=True)
class Account:
    """What the gateway has at the upstream `name` at `url`: who it is there, what is kept of that, and what happens."""

    name: str
    url: str
    client: Client
    file: CredentialFile
    incidents: Incidents


class Provider(OAuthClientProvider):
    """One use of an account; `holds_turn` tells that the lock on its file is held for all of it."""

    def __init__(
        self,
        account: Account,
        *,
        to_browser: Callable[[str], Awaitable[None]] | None = None,
        from_browser: Callable[[], Awaitable[AuthorizationCodeResult]] | None = None,
        holds_turn: bool = False,
    ) -> None:
        client = account.client
        super().__init__(account.url, client.metadata, self, to_browser, from_browser, client.metadata_url)
        self._client = client
        self._file = account.file
        self._incidents = account.incidents
        self._holds_turn = holds_turn

    async def _initialize(self) -> None:
        self.restore(self._file.read())

    def restore(self, kept: Credentials) -> None:
        """Go on where an earlier use of these credentials has ended."""
        context = self.context
        context.current_tokens = _model(OAuthToken, kept.tokens)
        context.token_expiry_time = kept.expires_at
        context.client_info = self._client.registered or _model(OAuthClientInformationFull, kept.client)
        context.oauth_metadata = _model(OAuthMetadata, kept.server)
        context.protected_resource_metadata = resource = _model(ProtectedResourceMetadata, kept.resource)
        context.auth_server_url = str(resource.authorization_servers[0]) if resource else None
        self._initialized = True

    @property
    def issuer(self) -> str | None:
        """Return who gives the tokens, as far as that is known."""
        metadata = self.context.oauth_metadata
        return str(metadata.issuer) if metadata else None

    async def refresh_request(self) -> httpx2.Request:
        """Return the request that renews the tokens."""
        return await self._refresh_token()

    async def take_refreshed(self, response: httpx2.Response) -> bool:
        """Take the answer to it, and keep the tokens; return whether there are any."""
        return await self._handle_refresh_response(response)

    async def revoke(self, ask: Ask) -> None:
        """Ask the authorization server to end the login, if it can be asked (RFC 7009); more cannot be done."""
        context = self.context
        endpoint = context.oauth_metadata.revocation_endpoint if context.oauth_metadata else None
        tokens = context.current_tokens
        if endpoint is None or tokens is None or context.client_info is None:
            return
        for token in filter(None, (tokens.refresh_token, tokens.access_token)):
            data, headers = context.prepare_token_auth({"token": token, "client_id": context.client_info.client_id})
            with contextlib.suppress(UpstreamUnavailable):
                await ask(httpx2.Request("POST", str(endpoint), data=data, headers=headers))

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens that are kept."""
        return _model(OAuthToken, self._file.read().tokens)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep tokens, with what it takes to renew them."""
        context = self.context
        await self._keep(
            tokens=_plain(tokens),
            expires_at=context.token_expiry_time,
            server=_plain(context.oauth_metadata),
            resource=_plain(context.protected_resource_metadata),
            challenge=None,
        )

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the registration that is kept."""
        return self._client.registered or _model(OAuthClientInformationFull, self._file.read().client)

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep a registration, and say that there is one."""
        await self._keep(client=_plain(client_info), server=_plain(self.context.oauth_metadata))
        how = "metadata_document" if client_info.client_id == self._client.metadata_url else "registration"
        self._incidents.report(
            IncidentKind.CREDENTIALS_REGISTERED, issuer=self.issuer, client_id=client_info.client_id, how=how
        )

    async def _keep(self, **changed: Any) -> None:
        if self._holds_turn:
            self._file.write(replace(self._file.read(), **changed))
            return
        async with self._file.turn():
            self._file.write(replace(self._file.read(), **changed))


def error_of(response: httpx2.Response) -> str:
    """Return the error that a token response names (RFC 6749 §5.2), or its status: nothing else of what it says."""
    try:
        found = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        found = None
    return name_of(found) or f"HTTP status {response.status_code}"


def name_of(error: object) -> str:
    """Return the name of an error, empty if that is no name: it is a server's own text."""
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else ""


def _model(kind: type[M], content: dict[str, Any] | None) -> M | None:
    return None if content is None else kind.model_validate(content)


def _plain(model: BaseModel | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(mode="json", exclude_none=True)
