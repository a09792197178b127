"""What the gateway needs of the inside of the SDK's OAuth client: a release without it fails here, not at a user's."""

from __future__ import annotations

import asyncio
import inspect
import time
from pathlib import Path
from typing import Final

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.oauth2 import OAuthContext

from aegis_mcp.upstream.account import Account, Client
from aegis_mcp.upstream.credentials import CredentialFile, Credentials
from aegis_mcp.upstream.incident import Incidents
from aegis_mcp.upstream.provider import Provider

URL: Final = "https://host.example/mcp"
KEPT: Final = Credentials(
    client={"client_id": "me", "redirect_uris": ["http://127.0.0.1:33418/callback"]},
    tokens={"access_token": "a", "refresh_token": "r", "expires_in": 60},
    expires_at=time.time() - 1,
    server={
        "issuer": "https://auth.example",
        "authorization_endpoint": "https://auth.example/authorize",
        "token_endpoint": "https://auth.example/elsewhere/token",
        "response_types_supported": ["code"],
    },
    resource={"resource": URL, "authorization_servers": ["https://auth.example"]},
)


def _provider(directory: Path) -> Provider:
    client = Client("http://127.0.0.1:33418/callback")
    store = CredentialFile(directory / "oauth", "tickets", URL)
    return Provider(Account("tickets", URL, "aegis-mcp login tickets", client, store, Incidents("")))


def test_the_inner_names_are_there() -> None:
    coroutines = ("_initialize", "_refresh_token", "_handle_refresh_response")
    assert all(inspect.iscoroutinefunction(getattr(OAuthClientProvider, name)) for name in coroutines)
    restored = {"current_tokens", "token_expiry_time", "client_info", "oauth_metadata", "auth_server_url"}
    assert {*restored, "protected_resource_metadata"} <= set(OAuthContext.__dataclass_fields__)


def test_what_was_kept_is_renewed_where_it_was_given(tmp_path: Path) -> None:
    provider = _provider(tmp_path)
    provider.restore(KEPT)
    assert not provider.context.is_token_valid()
    assert provider.context.can_refresh_token()
    request = asyncio.run(provider.refresh_request())
    assert str(request.url) == "https://auth.example/elsewhere/token"
    assert b"refresh_token=r" in request.content


def test_a_flow_begins_with_what_was_kept_and_not_with_a_browser(tmp_path: Path) -> None:
    provider = _provider(tmp_path)
    CredentialFile(tmp_path / "oauth", "tickets", URL).write(KEPT)

    async def first() -> str:
        flow = provider.async_auth_flow(httpx2.Request("POST", URL))
        request = await anext(flow)
        await flow.aclose()
        return str(request.url)

    assert asyncio.run(first()) == "https://auth.example/elsewhere/token"
