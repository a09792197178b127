"""How a running gateway shows who it is: with the token of a login, renewed in time, and never with a browser.

Tokens that are renewed twice at once are lost to both, where the authorization server rotates them (RFC 9700 §4.14):
one process at a time renews, and looks first whether another has done it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx2

from aegis_mcp.errors import ConfigError, LoginNeeded, UpstreamUnavailable
from aegis_mcp.upstream.account import Account, error_of
from aegis_mcp.upstream.credentials import Credentials
from aegis_mcp.upstream.exchange import Ask
from aegis_mcp.upstream.incident import IncidentKind

if TYPE_CHECKING:
    from aegis_mcp.upstream.provider import Provider

_FORGOTTEN: Final = frozenset({"invalid_client", "unauthorized_client"})
_DOWN_SECONDS: Final = 2.0
_STEP_UP: Final = re.compile(r'\berror="?insufficient_scope\b')
"""What an upstream demands for which the login is not enough (MCP, authorization, scope challenges)."""


class Bearer:
    """The login at one upstream, as a running gateway uses it."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._store = account.store
        self._renewing = asyncio.Lock()
        self._renewals: set[asyncio.Task[None]] = set()
        self._known = Credentials()
        self._down: tuple[float, str] = (0.0, "")

    async def headers(self, ask: Ask) -> dict[str, str]:
        """Return the header that shows who asks.

        Raises:
            LoginNeeded: nobody has logged in, or the login is over.
            UpstreamUnavailable: the token could not be renewed this time.
        """
        if self._known.token(time.time()) is None:
            await self.renew(None, ask)
        return {"authorization": f"Bearer {(self._known.tokens or {})['access_token']}"}

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

    def refusal(self) -> LoginNeeded:
        """Return what is to be said where a token was refused that was got just now."""
        return self._login_needed("does not accept the token of the login, which is new (401)")

    async def renew(self, refused: str | None, ask: Ask) -> None:
        """Get a token other than the one that was refused: what another process has got, or a new one.

        Raises:
            LoginNeeded: there is none without a person.
            UpstreamUnavailable: the authorization server could not be asked.
        """
        # A new token may be on its way already, and the old one used up: whoever gives up waiting must not lose it.
        renewal = asyncio.create_task(self._renew(refused, ask))
        self._renewals.add(renewal)
        renewal.add_done_callback(self._on_renewed)
        await asyncio.shield(renewal)

    async def settled(self) -> None:
        """Wait until no renewal is under way."""
        if self._renewals:
            await asyncio.wait(set(self._renewals))

    def _on_renewed(self, renewal: asyncio.Task[None]) -> None:
        self._renewals.discard(renewal)
        if not renewal.cancelled():
            renewal.exception()  # perhaps nobody waits for it any more

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """Have what is kept of the login for one task of one process alone.

        Raises:
            UpstreamUnavailable: it cannot be had or used.
        """
        try:
            async with self._renewing, self._store.turn():
                yield
        except ConfigError as exc:
            raise UpstreamUnavailable(f"cannot be asked: {exc}") from exc

    async def _renew(self, refused: str | None, ask: Ask) -> None:
        async with self._turn():
            kept = await self._store.fetch()
            if self._serves(kept, refused):
                return
            if not (kept.tokens and kept.tokens.get("refresh_token")):
                raise self._login_needed("wants somebody to log in")
            provider = await asyncio.to_thread(_provider_of, self._account)
            provider.restore(kept)
            if not provider.context.can_refresh_token():
                raise self._login_needed("wants somebody to log in")
            response = await self._answer(await provider.refresh_request(), provider.issuer, ask)
            if response.status_code == HTTPStatus.OK and await provider.take_refreshed(response):
                self._known = await self._store.fetch()
                return
            await self._give_up(error_of(response), provider.issuer, refused)

    async def _answer(self, request: httpx2.Request, issuer: str | None, ask: Ask) -> httpx2.Response:
        """Ask the authorization server; where it was out of reach a moment ago, who waited for it is told the same."""
        until, why = self._down
        if time.monotonic() < until:
            raise UpstreamUnavailable(why)
        try:
            return await ask(request)
        except UpstreamUnavailable as exc:
            self._account.incidents.report(IncidentKind.REFRESH_FAILED, issuer=issuer, reason=str(exc))
            why = f"cannot be asked: its authorization server {exc}"
            self._down = (time.monotonic() + _DOWN_SECONDS, why)
            raise UpstreamUnavailable(why) from exc

    async def _give_up(self, error: str, issuer: str | None, refused: str | None) -> None:
        """Keep what is still good of a login whose tokens were not renewed, and say why that is."""
        kept = await self._store.fetch()
        if error == "invalid_grant" and self._serves(kept, refused):
            return  # somebody has logged in meanwhile
        self._account.incidents.report(IncidentKind.REFRESH_FAILED, issuer=issuer, reason=error)
        if error in _FORGOTTEN:
            await self._store.keep(Credentials(server=kept.server, resource=kept.resource))
            raise self._login_needed("does not know this client any more")
        if error == "invalid_grant":
            await self._store.keep(replace(kept, tokens=None, expires_at=None))
            raise self._login_needed("has ended this login")
        raise UpstreamUnavailable(f"cannot be asked: its authorization server did not renew the token ({error})")

    def _serves(self, kept: Credentials, refused: str | None) -> bool:
        if kept.token(time.time()) not in {None, refused}:
            self._known = kept
            return True
        return False

    async def _look_for_challenge(self, response: httpx2.Response) -> None:
        challenge = response.headers.get("www-authenticate", "")
        if not _STEP_UP.search(challenge):
            return
        async with self._turn():
            await self._store.keep(replace(await self._store.fetch(), challenge=challenge))
        raise self._login_needed("wants more rights for this than the login has")

    def _login_needed(self, why: str) -> LoginNeeded:
        return LoginNeeded(f"{why}; run: {self._account.login}")


def _provider_of(account: Account) -> Provider:
    """Return a use of an account that holds the turn at its file; the SDK behind it takes half a second to load."""
    from aegis_mcp.upstream.provider import Provider  # noqa: PLC0415 - most starts find a token that is still good

    return Provider(account, holds_turn=True)
