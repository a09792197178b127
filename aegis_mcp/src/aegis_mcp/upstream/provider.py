"""The SDK's OAuth client with a memory: what it learns in one run it knows in the next.

As it comes, it forgets when a token expires and where one is renewed, and would send a person to the browser although
it holds a refresh token. It is made to remember through a few of its inner names, which `tests/remote/test_provider.py`
holds it to; the distribution accepts only releases of the SDK that have them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Generator
from dataclasses import replace
from typing import Any, TypeVar

import httpx2
from mcp.client.auth import OAuthClientProvider, OAuthTokenError
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl, BaseModel, ValidationError

from aegis_mcp import __version__
from aegis_mcp.errors import ConfigError, UpstreamUnavailable
from aegis_mcp.upstream.account import Account, Client
from aegis_mcp.upstream.credentials import Credentials
from aegis_mcp.upstream.exchange import Ask
from aegis_mcp.upstream.incident import IncidentKind

# The SDK logs states and the bodies of token responses.
logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)

M = TypeVar("M", bound=BaseModel)


class Provider(OAuthClientProvider):
    """One use of an account; `holds_turn` tells that it is this process's turn with what is kept, for all of it."""

    def __init__(
        self,
        account: Account,
        *,
        to_browser: Callable[[str], Awaitable[None]] | None = None,
        from_browser: Callable[[], Awaitable[AuthorizationCodeResult]] | None = None,
        holds_turn: bool = False,
    ) -> None:
        client = account.client
        super().__init__(account.url, _metadata_of(client), self, to_browser, from_browser, client.metadata_url)
        self._client = client
        self._store = account.store
        self._incidents = account.incidents
        self._holds_turn = holds_turn

    async def _initialize(self) -> None:
        self.restore(await self._store.fetch())

    def restore(self, kept: Credentials) -> None:
        """Go on where an earlier use of these credentials has ended.

        Raises:
            ConfigError: they are not what a server can have sent.
        """
        with self._usable():
            self._restore(kept)

    @contextlib.contextmanager
    def _usable(self) -> Generator[None]:
        try:
            yield
        except (ValidationError, httpx2.InvalidURL, OAuthTokenError) as exc:
            remedy = f"`aegis-mcp logout {self._store.name}` removes them"
            raise ConfigError(f"the credentials {self._store.place} are none; {remedy}") from exc

    def _restore(self, kept: Credentials) -> None:
        context = self.context
        context.current_tokens = _model(OAuthToken, kept.tokens)
        context.token_expiry_time = kept.expires_at
        context.client_info = _registered_by_hand(self._client) or _model(OAuthClientInformationFull, kept.client)
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
        """Return the request that renews the tokens.

        Raises:
            ConfigError: the credentials are not what a server can have sent.
        """
        with self._usable():
            return await self._refresh_token()

    async def take_refreshed(self, response: httpx2.Response) -> bool:
        """Take the answer to it, and keep the tokens; return whether there are any."""
        with contextlib.suppress(OverflowError, UnicodeError):  # tokens that outlast the calendar are none
            return await self._handle_refresh_response(response)
        return False

    async def revoke(self, ask: Ask) -> None:
        """Ask the authorization server to end the login, if it can be asked (RFC 7009); more cannot be done."""
        context = self.context
        endpoint = context.oauth_metadata.revocation_endpoint if context.oauth_metadata else None
        tokens = context.current_tokens
        if endpoint is None or tokens is None or context.client_info is None:
            return
        for token in filter(None, (tokens.refresh_token, tokens.access_token)):
            with self._usable(), contextlib.suppress(UpstreamUnavailable):
                data, headers = context.prepare_token_auth({"token": token, "client_id": context.client_info.client_id})
                await ask(httpx2.Request("POST", str(endpoint), data=data, headers=headers))

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens that are kept."""
        return _model(OAuthToken, (await self._store.fetch()).tokens)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep tokens, with what it takes to renew them.

        Raises:
            UnicodeError: no header can hold them.
        """
        if not (tokens.access_token.isascii() and tokens.access_token.isprintable()):
            raise UnicodeError("a token of other characters than those of a header")
        context = self.context
        # Tokens are those of one client: somebody may have logged out or in since this one was registered.
        client = {} if self._client.client_id else {"client": _plain(context.client_info)}
        await self._keep(
            **client,
            tokens=_plain(tokens),
            expires_at=context.token_expiry_time,
            server=_plain(context.oauth_metadata),
            resource=_plain(context.protected_resource_metadata),
            challenge=None,
        )

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the registration that is kept."""
        return _registered_by_hand(self._client) or _model(
            OAuthClientInformationFull, (await self._store.fetch()).client
        )

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep a registration, and say that there is one."""
        await self._keep(client=_plain(client_info), server=_plain(self.context.oauth_metadata))
        how = "metadata_document" if client_info.client_id == self._client.metadata_url else "registration"
        self._incidents.report(
            IncidentKind.CREDENTIALS_REGISTERED, issuer=self.issuer, client_id=client_info.client_id, how=how
        )

    async def _keep(self, **changed: Any) -> None:
        if self._holds_turn:
            await self._store.keep(replace(await self._store.fetch(), **changed))
            return
        async with self._store.turn():
            await self._store.keep(replace(await self._store.fetch(), **changed))


def _metadata_of(client: Client) -> OAuthClientMetadata:
    """Return what a registration says."""
    return OAuthClientMetadata(
        redirect_uris=[AnyUrl(client.redirect_uri)],
        client_name="Aegis MCP gateway",
        software_id="aegis-mcp-gateway",
        software_version=__version__,
    )


def _registered_by_hand(client: Client) -> OAuthClientInformationFull | None:
    """Return the client that somebody has registered, None if nobody has."""
    if client.client_id is None:
        return None
    return OAuthClientInformationFull(
        client_id=client.client_id,
        client_secret=client.secret,
        redirect_uris=[AnyUrl(client.redirect_uri)],
        token_endpoint_auth_method="client_secret_basic" if client.secret else "none",
    )


def _model(kind: type[M], content: dict[str, Any] | None) -> M | None:
    return None if content is None else kind.model_validate(content)


def _plain(model: BaseModel | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(mode="json", exclude_none=True)
