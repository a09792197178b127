"""An authorization server, and the MCP server that it protects, both of the SDK's own parts.

    python -P authorization.py server --log FILE
    python -P authorization.py resource --issuer URL

(-P, because a neighbour bears the name of a module of the standard library.) Each prints its address once it listens.
The authorization server approves whoever comes, rotates refresh tokens, and ends a login of which an old refresh token
is used again (RFC 9700 §4.14). It writes a line for each thing that it does, and takes orders at `/control`.
"""
# ruff: noqa: ARG002 - the signatures are the SDK's

from __future__ import annotations

import argparse
import asyncio
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx2
import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.routes import create_auth_routes
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SCOPES: Final = ("user", "admin")
LIFETIME: Final = 3600
SLOWNESS: Final = 0.8


class Authority(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Clients, codes and tokens in memory."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}
        self.used: set[str] = set()
        self.is_trusted = True
        self.is_slow = False

    def note(self, what: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{what}\n")

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id
        self.clients[client_info.client_id] = client_info
        self.note("register")

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        code = secrets.token_urlsafe(32)
        assert client.client_id
        self.codes[code] = AuthorizationCode(
            code=code,
            client_id=client.client_id,
            scopes=params.scopes or [SCOPES[0]],
            expires_at=time.time() + 60,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        self.note("authorize")
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(
        self,
        client: OAuthClientInformationFull,
        authorization_code: str,
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self,
        client: OAuthClientInformationFull,
        authorization_code: AuthorizationCode,
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        self.note("exchange")
        return self._issue(authorization_code.client_id, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(
        self,
        client: OAuthClientInformationFull,
        refresh_token: str,
    ) -> RefreshToken | None:
        if refresh_token in self.used:
            self.note("reuse")
            self.refresh.clear()
            self.access.clear()
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(
        self,
        client: OAuthClientInformationFull,
        refresh_token: RefreshToken,
        scopes: list[str],
    ) -> OAuthToken:
        del self.refresh[refresh_token.token]
        self.used.add(refresh_token.token)
        self.note("refresh")
        if self.is_slow:
            await asyncio.sleep(SLOWNESS)
        return self._issue(refresh_token.client_id, scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        found = self.access.get(token)
        return found if found and (found.expires_at or 0) > time.time() else None

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.access.pop(token.token, None)
        self.refresh.pop(token.token, None)
        self.note("revoke")

    def _issue(self, client_id: str, scopes: list[str], resource: str | None) -> OAuthToken:
        access, refresh = f"access-{secrets.token_urlsafe(24)}", f"refresh-{secrets.token_urlsafe(24)}"
        expires = int(time.time()) + LIFETIME
        self.access[access] = AccessToken(
            token=access, client_id=client_id, scopes=scopes, expires_at=expires, resource=resource
        )
        self.refresh[refresh] = RefreshToken(token=refresh, client_id=client_id, scopes=scopes, resource=resource)
        return OAuthToken(access_token=access, expires_in=LIFETIME, refresh_token=refresh, scope=" ".join(scopes))

    async def control(self, request: Request) -> Response:
        """Do what the test asks for: forget clients or tokens, or look a token up for the resource server."""
        match request.path_params["order"]:
            case "forget-clients":
                self.clients.clear()
            case "forget-everything":
                for memory in (self.clients, self.codes, self.access, self.refresh, self.used):
                    memory.clear()
                self.is_trusted, self.is_slow = True, False
            case "distrust":
                self.is_trusted = False
            case "slow-down":
                self.is_slow = True
            case "expire":
                self.access.clear()
            case "end":
                self.access.clear()
                self.refresh.clear()
            case _:
                found = await self.load_access_token(request.query_params["token"]) if self.is_trusted else None
                return JSONResponse(found.model_dump(mode="json") if found else None)
        return Response()


class Verifier:
    """Asks the authorization server what a token is good for."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    async def verify_token(self, token: str) -> AccessToken | None:
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"{self._issuer}/control/token", params={"token": token})
        return AccessToken.model_validate(answer.json()) if answer.json() else None


def _serve(application: Any, listener: socket.socket) -> None:
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(application, log_level="critical")).run(sockets=[listener])


def _serve_authority(listener: socket.socket, log: Path) -> None:
    authority = Authority(log)
    routes: list[Route] = create_auth_routes(
        authority,
        AnyHttpUrl(f"http://127.0.0.1:{listener.getsockname()[1]}"),
        client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=list(SCOPES)),
        revocation_options=RevocationOptions(enabled=True),
    )
    _serve(Starlette(routes=[*routes, Route("/control/{order}", authority.control)]), listener)


def _serve_resource(listener: socket.socket, issuer: str) -> None:
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    auth = AuthSettings(
        issuer_url=AnyHttpUrl(issuer),
        resource_server_url=AnyHttpUrl(address),
        required_scopes=[SCOPES[0]],
        validate_token_resource=True,
    )
    server = MCPServer("protected", token_verifier=Verifier(issuer), auth=auth)

    @server.tool()
    def greet(name: str) -> str:  # pyright: ignore[reportUnusedFunction] - the server calls it
        """Greet somebody."""
        return f"Hello, {name}!"

    _serve(server.streamable_http_app(), listener)


def main(arguments: Sequence[str]) -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["server", "resource"])
    parser.add_argument("--issuer")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args(arguments)
    listener = socket.create_server(("127.0.0.1", 0))
    if options.what == "server":
        _serve_authority(listener, options.log)
    else:
        _serve_resource(listener, options.issuer)


if __name__ == "__main__":
    main(sys.argv[1:])
