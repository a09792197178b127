"""Where a browser returns after a login: one port of this machine, one request, one answer (RFC 8252 §7.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import parse_qs, urlsplit

from aegis_mcp.errors import ConfigError, LoginFailed

HOST: Final = "127.0.0.1"
PATH: Final = "/callback"

_MAX_HEAD: Final = 16 * 1024
_HEAD_SECONDS: Final = 10.0
_CLOSING_SECONDS: Final = 1.0
_PAGE: Final = (
    "<!doctype html><meta charset=utf-8><title>Aegis</title>"
    "<p style='font: 16px sans-serif; margin: 4em'>{}. You can close this window and go back to the terminal."
)
_HEADERS: Final = (
    "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\nConnection: close\r\n"
)

Query = dict[str, str]
"""What a browser has brought; of a name that stands there twice nothing."""


class Callback:
    """The port, while somebody logs in; `returned` is what the first browser has brought to it."""

    def __init__(self, check: Callable[[Query], None]) -> None:
        self._check = check
        self._returned: asyncio.Future[Query] = asyncio.get_running_loop().create_future()
        self._open: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, check: Callable[[Query], None]) -> AsyncGenerator[Callback]:
        """Listen on this port of the loopback address. `check` raises `LoginFailed` for what is not the answer.

        Raises:
            ConfigError: something else listens there.
        """
        callback = cls(check)
        try:
            server = await asyncio.start_server(callback._serve, HOST, port, limit=_MAX_HEAD)
        except OSError as exc:
            remedy = "close what uses it, perhaps another login, or set `callback_port` in the policy"
            raise ConfigError(f"the port {port} of this machine cannot be used: {exc.strerror}; {remedy}") from exc
        try:
            yield callback
        finally:
            server.close()
            await callback._hang_up()

    async def returned(self, seconds: float) -> Query:
        """Return what the browser has brought.

        Raises:
            LoginFailed: it is not the answer to this login, or nothing came in so many seconds.
        """
        try:
            return await asyncio.wait_for(self._returned, seconds)
        except TimeoutError as exc:
            raise LoginFailed(f"nobody has come back from the browser within {seconds:g} s") from exc

    async def _hang_up(self) -> None:
        """End every connection: a browser opens some in advance, and says nothing on them for minutes."""
        for writer in self._open.values():
            writer.close()
        if serving := [task for task in self._open if task]:
            await asyncio.wait(serving, timeout=_CLOSING_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open[task] = writer
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, text = self._answer(head.decode("latin-1"))
                body = _PAGE.format(text).encode("utf-8")
                length = f"Content-Length: {len(body)}\r\n\r\n"
                writer.write(f"HTTP/1.1 {status}\r\n{_HEADERS}{length}".encode("ascii") + body)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # not a browser
        finally:
            del self._open[task]
            writer.close()

    def _answer(self, head: str) -> tuple[str, str]:
        """Take a request; return the status and the text of the answer, in which nothing of the request is."""
        method, _, rest = head.partition(" ")
        try:
            target = urlsplit(rest.partition(" ")[0])
        except ValueError:
            return "400 Bad Request", "There is nothing here"
        if method != "GET":
            return "405 Method Not Allowed", "This is only for a browser that comes back from a login"
        if target.path != PATH:
            return "404 Not Found", "There is nothing here"
        if self._returned.done():
            return "410 Gone", "This login has ended"
        query = {name: values[0] for name, values in parse_qs(target.query).items() if len(values) == 1}
        try:
            self._check(query)
        except LoginFailed as exc:
            self._returned.set_exception(exc)
            self._returned.exception()  # a login that fails for another reason never asks for it
            return "400 Bad Request", "This is not the answer to the login that is under way"
        self._returned.set_result(query)
        return "200 OK", "Aegis has got the answer"
