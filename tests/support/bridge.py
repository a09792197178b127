"""From streamable HTTP to stdio: what a tool that only speaks HTTP needs to test a server on stdio.

    python -P bridge.py [--until-eof PORT] COMMAND ARGUMENTS…

(-P, because a neighbour bears the name of a module of the standard library.) It prints its address once it listens. In
the era of the handshake every HTTP session has a process of its own; in the era after it one process serves them all,
opened with a valid `server/discover` because a server may settle its era by the first request. The bridge only decides
on which HTTP stream a message belongs. A session whose process has ended is one that it does not know any more. With
`--until-eof` it ends when its input does, and listens where the one before it did that has left its port in the file
PORT, as servers keep their address; while that one is still there, elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Message = dict[str, Any]

_LONGEST_LINE: Final = 16 * 1024 * 1024
_WAIT_SECONDS: Final = 30.0
_END_SECONDS: Final = 2.0
_HANDOVER_SECONDS: Final = 2.0
_PARSE_ERROR: Final = -32700
_META: Final = "io.modelcontextprotocol/"
_MODERN: Final = "2026-07-28"
"""The revision of the era without sessions."""
_AHEAD: Final = 2
_PING: Final[Message] = {"jsonrpc": "2.0", "id": "bridge", "method": "ping"}
_DISCOVER: Final[Message] = {
    "jsonrpc": "2.0",
    "id": "bridge",
    "method": "server/discover",
    "params": {"_meta": {f"{_META}protocolVersion": _MODERN, f"{_META}clientCapabilities": {}}},
}


class Exchange:
    """One HTTP stream: the request that opened it, and what the server sends until the response."""

    def __init__(self, request: Message | None) -> None:
        self.id = request["id"] if request else None
        self.token = _meta(request).get("progressToken") if request else None
        self._arrived: asyncio.Queue[Message | None] = asyncio.Queue()

    def put(self, message: Message | None) -> None:
        """Hand over a message, None at the end of the server."""
        self._arrived.put_nowait(message)

    async def next(self) -> Message | None:
        """Return the next message, None once the server has ended."""
        return await self._arrived.get()

    def ends_with(self, message: Message) -> bool:
        """Say whether this message is the response to the request."""
        return "method" not in message and message.get("id") == self.id


class Server:
    """A process on stdio, and the exchanges that are open with it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._open: list[Exchange] = []
        self.unasked = Exchange(None)
        """What belongs to no request; a session may listen to it."""
        self.has_ended = False
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, command: Sequence[str]) -> Server:
        """Start a process."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LONGEST_LINE
        )
        return cls(process)

    async def send(self, line: bytes) -> None:
        """Send one line."""
        assert self._process.stdin
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()

    async def ask(self, request: Message, line: bytes) -> Exchange:
        """Send a request and return the exchange that it opens."""
        exchange = Exchange(request)
        self._open.append(exchange)
        await self.send(line)
        return exchange

    def leave(self, exchange: Exchange) -> None:
        """Take nothing more for an exchange."""
        self._open.remove(exchange)

    async def close(self) -> None:
        """Close the input and wait for the end; a process that stays is killed."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _END_SECONDS)
        except TimeoutError:
            self._process.kill()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            message: Message = json.loads(line)
            if exchange := self._owner(message):
                exchange.put(message)
        self.has_ended = True
        for exchange in (*self._open, self.unasked):
            exchange.put(None)

    def _owner(self, message: Message) -> Exchange | None:
        """Return the exchange to which a message belongs; None for the response to a request that was abandoned."""
        if "method" not in message:
            return next((exchange for exchange in self._open if exchange.id == message.get("id")), None)
        subscription = _meta(message).get(f"{_META}subscriptionId")
        token = _params(message).get("progressToken")
        for exchange in self._open:
            if subscription is not None and exchange.id == subscription:
                return exchange
            if token is not None and exchange.token == token:
                return exchange
        # Nothing on stdio says for which request the server asks or logs: the latest is as good a guess as any.
        return self._open[-1] if self._open else self.unasked


class Bridge:
    """The endpoint: which process serves a request, and how its answer is put into HTTP."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._sessions: dict[str, Server] = {}
        self._modern: Server | None = None
        self._ahead: deque[asyncio.Task[Server]] = deque()
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request) -> Response:
        """Serve one HTTP request."""
        if request.url.hostname not in {"127.0.0.1", "localhost"}:
            return Response("not a local host", 403)
        if request.method == "POST":
            return await self._post(request)
        server = self._server_of(request.headers.get("mcp-session-id", ""))
        if server is None:
            return Response("no such session", 404)
        if request.method == "DELETE":
            return self._delete(request.headers["mcp-session-id"])
        return _stream(server, server.unasked, None)

    async def prepare(self) -> None:
        """Start processes ahead and wait for them: a client gives a session seconds, and a busy machine takes them."""
        self._ahead.extend(asyncio.create_task(self._start()) for _ in range(_AHEAD))
        await asyncio.gather(*self._ahead)

    async def _start(self) -> Server:
        """Start a process for a session: what answers a ping has loaded everything."""
        server = await Server.start(self._command)
        server.leave(await _first(server, _PING))
        return server

    async def _take(self) -> Server:
        self._ahead.append(asyncio.create_task(self._start()))
        return await self._ahead.popleft()

    async def close(self) -> None:
        """End every process."""
        servers = [
            *self._sessions.values(),
            *([self._modern] if self._modern else []),
            *[await one for one in self._ahead],
        ]
        await asyncio.gather(*(server.close() for server in servers), *self._closing)

    def _delete(self, session: str) -> Response:
        task = asyncio.create_task(self._sessions.pop(session).close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return Response(status_code=200)

    async def _post(self, request: Request) -> Response:
        line = await request.body()
        try:
            message: Message = json.loads(line)
        except ValueError:
            return _error(None, _PARSE_ERROR, "Parse error", 400)
        if _is_modern(request, message):
            if mismatch := _mismatch(request, message):
                return _error(message.get("id"), *mismatch, 400)
            return await _relay(await self._modern_server(), message, line, is_modern=True)
        if message.get("method") == "initialize":
            session = uuid.uuid4().hex
            self._sessions[session] = await self._take()
            return await _relay(self._sessions[session], message, line, session=session)
        session = request.headers.get("mcp-session-id")
        if session is None:
            return Response("no session", 400)
        server = self._server_of(session)
        return await _relay(server, message, line) if server else Response("no such session", 404)

    def _server_of(self, session: str) -> Server | None:
        server = self._sessions.get(session)
        return None if server is None or server.has_ended else server

    async def _modern_server(self) -> Server:
        async with self._starting:
            if self._modern is None or self._modern.has_ended:
                self._modern = await Server.start(self._command)
                self._modern.leave(await _first(self._modern, _DISCOVER))
        return self._modern


async def _first(server: Server, request: Message) -> Exchange:
    """Ask something of the bridge's own and wait for the answer."""
    exchange = await server.ask(request, json.dumps(request).encode())
    await asyncio.wait_for(exchange.next(), _WAIT_SECONDS)
    return exchange


def _is_modern(request: Request, message: Message) -> bool:
    has_envelope = f"{_META}protocolVersion" in _meta(message)
    return has_envelope or request.headers.get("mcp-protocol-version") == _MODERN


def _mismatch(request: Request, message: Message) -> tuple[int, str] | None:
    """Say in which way the headers of a request are not those of its message."""
    from mcp.shared.inbound import (  # noqa: PLC0415 - half a second, for the later era only
        InboundLadderRejection,
        classify_inbound_request,
    )
    from mcp_types import HEADER_MISMATCH  # noqa: PLC0415 - as above

    verdict = classify_inbound_request(message, headers=request.headers)
    if isinstance(verdict, InboundLadderRejection) and verdict.code == HEADER_MISMATCH:
        return verdict.code, verdict.message
    return None


def _params(message: Message) -> Message:
    return message.get("params") or {}


def _meta(message: Message) -> Message:
    return _params(message).get("_meta") or {}


def _error(request_id: object, code: int, text: str, status: int) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}}, status)


async def _relay(
    server: Server, message: Message, line: bytes, *, session: str | None = None, is_modern: bool = False
) -> Response:
    """Pass a message on; what comes first decides whether the answer is one message or a stream."""
    headers = {"mcp-session-id": session} if session else {}
    if "id" not in message or "method" not in message:
        await server.send(line)
        return Response(status_code=202, headers=headers)
    exchange = await server.ask(message, line)
    first = await asyncio.wait_for(exchange.next(), _WAIT_SECONDS)
    if first is None or exchange.ends_with(first):
        server.leave(exchange)
        code = (first or {}).get("error", {}).get("code")
        status = _status_of(code) if is_modern else 200
        return JSONResponse(first, status if first else 502, headers)
    return _stream(server, exchange, first, is_modern=is_modern)


def _status_of(code: int | None) -> int:
    from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS  # noqa: PLC0415 - half a second, for the later era only

    return 200 if code is None else ERROR_CODE_HTTP_STATUS.get(code, 200)


def _stream(server: Server, exchange: Exchange, first: Message | None, *, is_modern: bool = False) -> Response:
    return StreamingResponse(_events(server, exchange, first, is_modern=is_modern), media_type="text/event-stream")


async def _events(
    server: Server, exchange: Exchange, message: Message | None, *, is_modern: bool
) -> AsyncGenerator[str]:
    """Yield what an exchange brings up to its response; in the era without sessions a client that goes cancels."""
    is_over = False
    try:
        message = message or await exchange.next()
        while message:
            yield f"event: message\ndata: {json.dumps(message)}\n\n"
            is_over = exchange.ends_with(message)
            message = None if is_over else await exchange.next()
    finally:
        if exchange is not server.unasked:
            server.leave(exchange)
        if is_modern and not is_over:
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": exchange.id}}
            await server.send(json.dumps(cancel).encode())


def _listener(port: Path) -> socket.socket:
    """Listen at the port that a file names, or at another one, which it names from then on."""
    deadline = time.monotonic() + _HANDOVER_SECONDS
    while port.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", int(port.read_text(encoding="ascii"))))
        threading.Event().wait(0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    port.write_text(str(listener.getsockname()[1]), encoding="ascii")
    return listener


def main(arguments: Sequence[str]) -> None:
    """Serve until the process is told to end, or its input ends."""
    is_bound = arguments[0] == "--until-eof"
    bridge = Bridge(arguments[2:] if is_bound else arguments)

    def wait_for_eof() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        await bridge.prepare()
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)  # noqa: T201 - for who started the bridge
        yield
        await bridge.close()

    async def endpoint(request: Request) -> Response:
        return await bridge(request)

    listener = _listener(Path(arguments[1])) if is_bound else socket.create_server(("127.0.0.1", 0))
    application = Starlette(routes=[Route("/mcp", endpoint, methods=["GET", "POST", "DELETE"])], lifespan=lifespan)
    config = uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    if is_bound:
        threading.Thread(target=wait_for_eof, daemon=True).start()
    server.run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1:])
