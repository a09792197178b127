"""A person logs in at a remote upstream: discovery, registration and the way through the browser and back.

What the SDK does is driven here request by request, so that each goes through the guarded transport and each failure
can be said without what the servers have said: that may hold a code or a token.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx2
from mcp.client.auth import OAuthFlowError, OAuthRegistrationError, OAuthTokenError
from mcp.shared.auth import AuthorizationCodeResult
from pydantic import ValidationError

from aegis_mcp import frame as frames
from aegis_mcp.errors import LoginFailed, LoginNeeded, StateRefused, UpstreamUnavailable
from aegis_mcp.loopback import is_loopback
from aegis_mcp.upstream import state
from aegis_mcp.upstream.account import Account, error_of, name_of
from aegis_mcp.upstream.bearer import Bearer
from aegis_mcp.upstream.callback import Callback, Query
from aegis_mcp.upstream.credentials import Credentials
from aegis_mcp.upstream.exchange import Ask
from aegis_mcp.upstream.incident import IncidentKind
from aegis_mcp.upstream.network import origin
from aegis_mcp.upstream.provider import Provider
from aegis_mcp.upstream.state import StateSecret

_PROBE: Final = frames.request(
    "aegis-login",
    "server/discover",
    {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
)
"""Something to ask without a token: it changes nothing, and a server of any era refuses it before it reads it."""
_PROBE_HEADERS: Final = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "server/discover",
}
_MAX_REQUESTS: Final = 30
"""Requests of one login: discovery at a few places, registration, tokens, and redirects of each."""


class _Forgotten(Exception):
    """The authorization server does not know the client that is kept."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in where. `open_browser` shows a person the address at which the authorization server asks them."""

    account: Account
    secret: StateSecret
    open_browser: Callable[[str], None]

    async def run(self, ask: Ask, port: int) -> str | None:
        """Log in; return who has given the tokens, None where the upstream asks for none.

        Raises:
            LoginFailed: it did not come to that.
            ConfigError: the credentials or the port cannot be used.
        """
        kept = await self._renewed(ask)
        async with Callback.open(port, self._check) as callback:
            attempt = _Attempt(self, callback, ask)
            try:
                return await attempt.run(kept)
            except _Forgotten:
                await self._forget_client()
                return await _Attempt(self, callback, ask).run(await self.account.store.fetch())

    async def _renewed(self, ask: Ask) -> Credentials:
        """Return what is kept, renewed if that goes without a person."""
        if (await self.account.store.fetch()).tokens:
            try:
                await Bearer(self.account).headers(ask)
            except LoginNeeded:
                pass
            except UpstreamUnavailable as exc:
                raise LoginFailed(f"the upstream {self.account.name!r} {exc}") from exc
        return await self.account.store.fetch()

    async def _forget_client(self) -> None:
        async with self.account.store.turn():
            kept = await self.account.store.fetch()
            await self.account.store.keep(replace(kept, client=None, tokens=None, expires_at=None))

    def _check(self, query: Query) -> None:
        """See that a browser brings the answer to a login of this upstream, of now.

        Raises:
            StateRefused: it does not.
        """
        try:
            self.secret.open(query.get("state", ""), self.account.name, time.time())
        except StateRefused as exc:
            self.account.incidents.report(IncidentKind.STATE_REFUSED, reason=str(exc))
            raise StateRefused(f"the state that the browser has brought back is refused: {exc}") from exc


class _Attempt:
    """One way through the SDK's flow."""

    def __init__(self, login: Login, callback: Callback, ask: Ask) -> None:
        self._login = login
        self._callback = callback
        self._ask = ask
        self._nonce = ""
        self._is_old_client = False
        self._last_error = ""
        self._provider = Provider(
            login.account,
            to_browser=self._to_browser,
            from_browser=self._from_browser,
        )

    async def run(self, kept: Credentials) -> str | None:
        """Go it to its end; return who has given the tokens, None where none were asked for."""
        self._provider.restore(kept)
        self._is_old_client = bool(kept.client) and self._login.account.client.client_id is None
        try:
            response = await self._driven(kept)
        except OAuthRegistrationError as exc:
            raise LoginFailed(
                "the authorization server did not register the gateway; with a client that you register"
                " there by hand, set `client_id` in the policy"
            ) from exc
        except (OAuthTokenError, ValidationError, OverflowError, UnicodeError) as exc:
            raise LoginFailed(f"the authorization server gave no token ({self._last_error})") from exc
        except OAuthFlowError as exc:
            raise LoginFailed(f"the login did not get through: {_shown(exc)}") from exc
        except (httpx2.InvalidURL, ValueError) as exc:
            raise LoginFailed("the login did not get through: a server has named an address that is none") from exc
        if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise LoginFailed(f"the upstream does not accept the token that was given for it ({response.status_code})")
        if not self._provider.context.current_tokens:
            return None
        # A server without metadata gives tokens itself (MCP 2025-03-26).
        return self._provider.issuer or origin(httpx2.URL(self._login.account.url))

    async def _driven(self, kept: Credentials) -> httpx2.Response:
        """Answer each request of the flow, and return the last response."""
        probe = httpx2.Request("POST", self._login.account.url, headers=_PROBE_HEADERS, content=_PROBE)
        flow = self._provider.async_auth_flow(probe)
        challenge = kept.challenge if kept.tokens else None
        outgoing = await anext(flow)
        try:
            for _ in range(_MAX_REQUESTS):
                if challenge and outgoing is probe:
                    # A running gateway has met it: the upstream need not be brought to say it again.
                    headers = {b"www-authenticate": challenge.encode("utf-8")}
                    response, challenge = httpx2.Response(403, headers=headers, request=probe), None
                else:
                    response = await self._asked(outgoing)
                self._last_error = error_of(response)
                if self._is_old_client and self._last_error == "invalid_client":
                    raise _Forgotten
                try:
                    outgoing = await flow.asend(response)
                except StopAsyncIteration:
                    return response
        finally:
            await flow.aclose()
        raise LoginFailed("the login has led from one address to the next without end")

    async def _asked(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._ask(request)
        except UpstreamUnavailable as exc:
            raise LoginFailed(f"the login did not get through, at {origin(request.url)}: {exc}") from exc

    async def _to_browser(self, url: str) -> None:
        """Send a person to the authorization server, with a state that only this login can have made."""
        # The endpoint may have a query of its own, which is retained, but no fragment (RFC 6749 §3.1).
        endpoint, _, added = url.rpartition("?")
        parts = urlsplit(endpoint)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise LoginFailed("the login did not get through: the page to log in at is not protected by TLS")
        query = dict(parse_qsl(parts.query)) | dict(parse_qsl(added))
        self._nonce = query["state"]
        query["state"] = self._login.secret.seal(
            self._nonce, self._login.account.name, int(time.time()) + state.LIFETIME
        )
        url = urlunsplit(parts._replace(query=urlencode(query), fragment=""))
        if self._is_old_client:
            await self._check_client(url)
        self._login.open_browser(url)

    async def _check_client(self, url: str) -> None:
        # A server that has forgotten the client says so on a page of its own, and nobody would come back from there.
        response = await self._asked(httpx2.Request("GET", url))
        if response.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}:
            raise _Forgotten

    async def _from_browser(self) -> AuthorizationCodeResult:
        query = await self._callback.returned(state.LIFETIME)
        if self._login.secret.open(query["state"], self._login.account.name, time.time()) != self._nonce:
            self._login.account.incidents.report(IncidentKind.STATE_REFUSED, reason="it belongs to another login")
            raise StateRefused("the state that the browser has brought back is refused: it belongs to another login")
        if "error" in query:
            raise LoginFailed(f"the authorization server refused: {name_of(query['error']) or 'without a reason'}")
        return AuthorizationCodeResult(code=query.get("code", ""), state=self._nonce, iss=query.get("iss"))


def _shown(error: OAuthFlowError) -> str:
    """Return what the SDK says of a flow that failed, in printable characters; it holds no secret (states are ours)."""
    return "".join(c for c in str(error)[:300] if c.isprintable() and c.isascii())
