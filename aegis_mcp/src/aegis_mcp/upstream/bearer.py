"""How a running gateway shows who it is: with the token of a login, renewed in time, and never with a browser.

Tokens that are renewed twice at once are lost to both, where the authorization server rotates them (RFC 9700 §4.14):
one process at a time renews, and looks first whether another has done it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from http import HTTPStatus
from typing import Final

import httpx2
from mcp.client.auth.utils import extract_field_from_www_auth
from pydantic import ValidationError

from aegis_mcp.errors import LoginNeeded, UpstreamUnavailable
from aegis_mcp.upstream.credentials import Credentials
from aegis_mcp.upstream.exchange import Ask
from aegis_mcp.upstream.incident import IncidentKind
from aegis_mcp.upstream.provider import Account, Provider, error_of

_FORGOTTEN: Final = frozenset({"invalid_client", "unauthorized_client"})


class Bearer:
    """The login at one upstream, as a running gateway uses it."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._file = account.file
        self._renewing = asyncio.Lock()
        self._known: Provider | None = None

    async def headers(self, ask: Ask) -> dict[str, str]:
        """Return the header that shows who asks.

        Raises:
            LoginNeeded: nobody has logged in, or the login is over.
            UpstreamUnavailable: the token could not be renewed this time.
        """
        if self._known is None or not self._known.context.is_token_valid():
            await self.renew(None, ask)
        return self._header()

    async def is_to_retry(self, response: httpx2.Response, ask: Ask) -> bool:
        """Look at a response; return whether the request is to be sent again, with another token.

        Raises:
            LoginNeeded: it says that this login is over, or not enough.
        """
        if response.status_code == HTTPStatus.FORBIDDEN:
            await self._look_for_challenge(response)
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            return False
        await self.renew(response.request.headers.get("authorization", "").removeprefix("Bearer "), ask)
        return True

    async def renew(self, refused: str | None, ask: Ask) -> None:
        """Get a token other than the one that was refused: what another process has got, or a new one.

        Raises:
            LoginNeeded: there is none without a person.
            UpstreamUnavailable: the authorization server could not be asked.
        """
        # A new token may be on its way already, and the old one used up: whoever gives up waiting must not lose it.
        await asyncio.shield(asyncio.create_task(self._renew(refused, ask)))

    async def _renew(self, refused: str | None, ask: Ask) -> None:
        async with self._renewing, self._file.turn():
            provider = self._restored()
            if self._serves(provider, refused):
                return
            if not provider.context.can_refresh_token():
                raise self._login_needed("wants somebody to log in")
            response = await ask(await provider.refresh_request())
            if response.status_code == HTTPStatus.OK and await self._is_taken(provider, response):
                self._known = provider
                return
            self._give_up(error_of(response), provider, refused)

    async def _is_taken(self, provider: Provider, response: httpx2.Response) -> bool:
        try:
            return await provider.take_refreshed(response)
        except ValidationError:
            return False

    def _give_up(self, error: str, provider: Provider, refused: str | None) -> None:
        """Keep what is still good of a login whose tokens were not renewed, and say why that is."""
        if error == "invalid_grant" and self._serves(self._restored(), refused):
            return  # somebody has logged in meanwhile
        self._account.incidents.report(IncidentKind.REFRESH_FAILED, issuer=provider.issuer, reason=error)
        kept = self._file.read()
        if error in _FORGOTTEN:
            self._file.write(Credentials(server=kept.server, resource=kept.resource))
            raise self._login_needed("does not know this client any more")
        if error == "invalid_grant":
            self._file.write(replace(kept, tokens=None, expires_at=None))
            raise self._login_needed("has ended this login")
        raise UpstreamUnavailable(f"cannot be asked: its authorization server did not renew the token ({error})")

    def _restored(self) -> Provider:
        provider = Provider(self._account, holds_turn=True)
        provider.restore(self._file.read())
        return provider

    def _serves(self, provider: Provider, refused: str | None) -> bool:
        tokens = provider.context.current_tokens
        if tokens and tokens.access_token != refused and provider.context.is_token_valid():
            self._known = provider
            return True
        return False

    def _header(self) -> dict[str, str]:
        tokens = self._known.context.current_tokens if self._known else None
        if tokens is None:
            raise self._login_needed("wants somebody to log in")
        return {"authorization": f"Bearer {tokens.access_token}"}

    async def _look_for_challenge(self, response: httpx2.Response) -> None:
        if extract_field_from_www_auth(response, "error") != "insufficient_scope":
            return
        async with self._renewing, self._file.turn():
            challenge = response.headers["www-authenticate"]
            self._file.write(replace(self._file.read(), challenge=challenge))
        raise self._login_needed("wants more rights for this than the login has")

    def _login_needed(self, why: str) -> LoginNeeded:
        return LoginNeeded(f"{why}; run: aegis-mcp login {self._account.name}")
