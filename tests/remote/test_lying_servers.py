"""A login where the servers answer oddly is refused in one sentence, or gets through: it never ends as a defect."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from aegis_mcp.errors import StateRefused
from aegis_mcp.upstream.callback import Callback, Query
from aegis_mcp.upstream.credentials import MAX_FILE
from support.gateway import Stage
from support.login import SECRET, free_port, log_in
from support.remote import policy_for

LONG: Final = f"https://host.example/{'x' * 70_000}"
LARGE: Final = f'{{"access_token":"a","token_type":"Bearer","refresh_token":"{"é" * 125_000}"}}'
"""A token response whose letters are two bytes each, and six where they are kept."""
NOT_THROUGH: Final = "the login did not get through"

REFUSED: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "a token that no header can hold": ({"token": {"access_token": "a\u00e9"}}, "gave no token (HTTP status 200)"),
    "a token of two lines": ({"token": {"access_token": "a\r\nb: c"}}, "gave no token (HTTP status 200)"),
    "a refusal that is no text": ({"token": b"\xff", "status": 400}, "gave no token (HTTP status 400)"),
    "an address that is none": ({"challenge": "http://[::1"}, f"{NOT_THROUGH}: a server has named an address"),
    "a port that is none": ({"challenge": "http://127.0.0.1:99999/"}, "is not asked: there is no such port"),
    "an address that is too long": ({"server": {"token_endpoint": LONG}}, f"{NOT_THROUGH}: a server has named an"),
    "an answer that is too large": ({"token": b" " * 300_000}, ": sent an answer of more than 262144 bytes"),
    "a page without TLS": (
        {"server": {"authorization_endpoint": "http://host.example/"}},
        f"{NOT_THROUGH}: the page to log in at is not protected by TLS",
    ),
}
ACCEPTED: Final[dict[str, dict[str, Any]]] = {
    "a page with a query of its own": {"server": {"authorization_endpoint": "/authorize?tenant=7"}},
    "a page with a fragment": {"server": {"authorization_endpoint": "/authorize#x"}},
    "no metadata": {"server": {"issuer": None}},
}


class _Handler(BaseHTTPRequestHandler):
    lies: dict[str, Any]
    asked: list[dict[str, list[str]]]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        pass

    def do_GET(self) -> None:
        here = f"http://{self.headers['host']}"
        target = urlsplit(self.path)
        if target.path == "/authorize":
            query = parse_qs(target.query)
            self.asked.append(query)
            self._answer(302, b"", location=f"{query['redirect_uri'][0]}?code=c&state={query['state'][0]}")
        elif target.path.startswith("/.well-known/oauth-protected-resource"):
            self._answer(200, {"resource": f"{here}/mcp", "authorization_servers": [here]})
        else:
            known = {"authorization_endpoint": "/authorize", "token_endpoint": "/token"}
            told = {"issuer": here, **known, "registration_endpoint": "/register", **self.lies.get("server", {})}
            said = {name: f"{here}{value}" if str(value).startswith("/") else value for name, value in told.items()}
            self._answer(200, {**said, "response_types_supported": ["code"]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/register":
            self._answer(201, {**json.loads(body), "client_id": "me"})
        elif self.path == "/token":
            told = self.lies.get("token", {})
            content = told if isinstance(told, bytes) else {"access_token": "a", "token_type": "Bearer", **told}
            self._answer(self.lies.get("status", 200), content)
        elif "authorization" in self.headers:
            self._answer(200, {})
        else:
            where = f' resource_metadata="{self.lies["challenge"]}"' if "challenge" in self.lies else ""
            self._answer(401, b"", **{"www-authenticate": f"Bearer{where}"})

    def _answer(self, status: int, content: object, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _lying(directory: Path, lies: dict[str, Any]) -> Generator[tuple[Stage, list[dict[str, list[str]]]]]:
    """Yield a stage in front of a server that lies, and the queries with which a browser came to it."""
    asked: list[dict[str, list[str]]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Lying", (_Handler,), {"lies": lies, "asked": asked})) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/mcp"
        policy = policy_for(url, f"auth: {{oauth: {{callback_port: {free_port()}}}}}")
        extra = {"OAUTH_STATE_SECRET": SECRET, "DCR_STORAGE_PATH": str(directory / "store")}
        yield Stage(directory, policy, extra), asked
        server.shutdown()


@pytest.mark.parametrize(("lies", "expected"), REFUSED.values(), ids=REFUSED)
def test_an_odd_answer_is_refused_in_one_sentence(tmp_path: Path, lies: dict[str, Any], expected: str) -> None:
    with _lying(tmp_path, lies) as (stage, _):
        done = log_in(stage)
    said = done.stderr.splitlines()[-1]
    assert (done.status, done.stdout, expected in said) == (1, "", True)


def test_a_login_that_could_not_be_read_back_is_not_kept(tmp_path: Path) -> None:
    lies = {"token": LARGE.encode("utf-8"), "server": {"ui_locales_supported": ["a"] * 45_000}}
    with _lying(tmp_path, lies) as (stage, _):
        done = log_in(stage)
    kept = tmp_path / "store" / "remote.json"
    why = f"what is to be kept there is larger than {MAX_FILE} bytes"
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"aegis-mcp: the credentials {str(kept)!r} cannot be used: {why}"
    registered = json.loads(kept.read_bytes())
    assert (registered["client"]["client_id"], registered["tokens"]) == ("me", None)


def test_what_comes_to_the_callback_and_is_no_answer_is_refused_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    async def said(head: bytes) -> bytes:
        port = free_port()
        async with Callback.open(port, _refuse):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            answer = await reader.readline()
            writer.close()
        return answer

    for target in (b"//[", b"/callback?state=x"):
        assert asyncio.run(said(b"GET " + target + b" HTTP/1.1\r\n\r\n")) == b"HTTP/1.1 400 Bad Request\r\n"
    assert caplog.messages == []


def _refuse(_: Query) -> None:
    raise StateRefused("it is none")


@pytest.mark.parametrize("lies", ACCEPTED.values(), ids=ACCEPTED)
def test_an_unusual_server_is_logged_in_at(tmp_path: Path, lies: dict[str, Any]) -> None:
    with _lying(tmp_path, lies) as (stage, asked):
        done = log_in(stage)
    assert (done.status, done.stdout.startswith("logged in at 'remote' by http://127.0.0.1:")) == (0, True)
    own = {"tenant": ["7"]} if "?" in str(lies) else {}
    assert [{name: query[name] for name in ("tenant", "response_type") if name in query} for query in asked] == [
        {**own, "response_type": ["code"]}
    ]
