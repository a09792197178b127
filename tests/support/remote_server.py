"""A small remote server for what no published one does: it keeps every request, and fails in the way it is asked to.

    python -P remote_server.py --received FILE [--port PORT] [--certificate FILE --key FILE] [--stateless]
        [--stubborn] [--forgetful]

(-P, because a neighbour bears the name of a module of the standard library.) It prints its address once it listens. A
tool's name says how the call is answered; see `_CALLS`. Sessions are forgotten by the tool `forget`. A stubborn
one ends nothing that it has begun: neither the stream of a session nor the session itself. A forgetful one ends the
stream of a session at once, and does not know the session when it is asked for the next.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import math
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

Message = dict[str, Any]

_META: Final = "io.modelcontextprotocol/protocolVersion"
_CALLS: Final[dict[str, Callable[[Message], Awaitable[Response]]]] = {}
_introduction: Message = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}},
    "serverInfo": {"name": "remote", "version": "1"},
}
_received: Path
_is_stubborn = False
_is_forgetful = False
_is_forgotten = False
_sessions: set[str] = set()
_answers: dict[str, asyncio.Future[Message]] = {}
_kept: dict[str, Message] = {}


def _call(answer: Callable[[Message], Awaitable[Response]]) -> Callable[[Message], Awaitable[Response]]:
    """Let a tool be answered by this."""
    _CALLS[answer.__name__.removeprefix("_")] = answer
    return answer


def _is_modern(message: Message) -> bool:
    return _META in message.get("params", {}).get("_meta", {})


def _text(request: Message, text: str) -> Message:
    result: Message = {"content": [{"type": "text", "text": text}], "isError": False}
    if _is_modern(request):
        result["resultType"] = "complete"
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def _event(message: Message | None, number: str = "", retry: int | None = None) -> bytes:
    lines = [f"id: {number}"] if number else []
    lines += [f"retry: {retry}"] if retry is not None else []
    lines += [f"data: {line}" for line in json.dumps(message, indent=1).split("\n")] if message else ["data:"]
    return "\n".join([*lines, "", ""]).encode()


def _stream(*chunks: bytes) -> Response:
    async def send() -> AsyncGenerator[bytes]:
        for chunk in chunks:
            yield chunk

    return _events(send())


def _events(chunks: AsyncGenerator[bytes]) -> Response:
    return StreamingResponse(chunks, media_type="text/event-stream")


@_call
async def _echo(message: Message) -> Response:
    text = json.dumps(message["params"].get("arguments", {}))
    return Response(json.dumps(_text(message, text), indent=2), media_type="application/json")


@_call
async def _read_log(message: Message) -> Response:
    log = Path(message["params"]["arguments"]["log"])
    return JSONResponse(_text(message, await asyncio.to_thread(log.read_text, "utf-8")))


@_call
async def _progress(message: Message) -> Response:
    token = message["params"]["_meta"]["progressToken"]
    told = [
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": done}}
        for done in (1, 2, 3)
    ]
    return _stream(*map(_event, told), _event(_text(message, "done")))


@_call
async def _broken(message: Message) -> Response:
    """End the stream after an event with an id: the answer is there for who asks for what follows it."""
    _kept["1"] = _text(message, "taken up again")
    return _stream(_event(None, "1", retry=10))


@_call
async def _polled(message: Message) -> Response:
    """Give a new event each time, with the message that is asked for or without content, and never an answer."""
    _kept["polled"] = message["params"]["arguments"].get("message", {})
    return _stream(_event(None, "again-0", retry=10))


@_call
async def _told(message: Message) -> Response:
    """Send events as they are asked for, and nothing else."""
    return _stream(message["params"]["arguments"]["events"].encode())


@_call
async def _repeated(message: Message) -> Response:
    """Send events as they are asked for again and again: for some seconds and then the answer, or without end."""
    arguments = message["params"]["arguments"]
    events, until = arguments["events"].encode(), time.monotonic() + arguments.get("seconds", math.inf)

    async def send() -> AsyncGenerator[bytes]:
        while time.monotonic() < until:
            yield events
            await asyncio.sleep(arguments.get("pause", 0.05))
        yield _event(_text(message, "done"))

    return _events(send())


@_call
async def _cut(message: Message) -> Response:
    return _stream(_event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "so far"}}))


@_call
async def _silent(message: Message) -> Response:
    await asyncio.sleep(3600)
    return Response()


@_call
async def _lines(message: Message) -> Response:
    """Send the lines of a file as they are, each as an event, and then the answer."""
    lines = await _lines_of(message)
    return _stream(*(b"data: " + line + b"\n\n" for line in lines), _event(_text(message, "done")))


@_call
async def _flood(message: Message) -> Response:
    """Send many notifications, and say in a file how many of them somebody took, and then the answer."""
    arguments = message["params"]["arguments"]
    taken, data = Path(arguments["taken"]), "z" * arguments["size"]

    async def send() -> AsyncGenerator[bytes]:
        for number in range(arguments["count"]):
            yield _event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"n": number, "data": data}})
            await asyncio.to_thread(taken.write_text, str(number))
        yield _event(_text(message, "done"))

    return _events(send())


@_call
async def _line(message: Message) -> Response:
    """Answer with one line of a file as it is."""
    lines = await _lines_of(message)
    return Response(lines[message["params"]["arguments"]["number"]], media_type="application/json")


async def _lines_of(message: Message) -> list[bytes]:
    return await asyncio.to_thread(_lines_in, Path(message["params"]["arguments"]["file"]))


@lru_cache(1)
def _lines_in(file: Path) -> list[bytes]:
    """Return the lines of a file that stays as it is: it may be long, and one is asked for after the other."""
    return file.read_bytes().split(b"\n")


@_call
async def _dribble(message: Message) -> Response:
    async def send() -> AsyncGenerator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(send(), media_type="application/json")


@_call
async def _endless(message: Message) -> Response:
    async def send() -> AsyncGenerator[bytes]:
        while True:
            yield b" " * 65536
            await asyncio.sleep(0)  # to notice that nobody listens any more

    return StreamingResponse(send(), media_type="application/json")


@_call
async def _endless_event(message: Message) -> Response:
    async def send() -> AsyncGenerator[bytes]:
        yield b"data: "
        while True:
            yield b" " * 65536
            await asyncio.sleep(0)

    return _events(send())


@_call
async def _huge(message: Message) -> Response:
    return JSONResponse(_text(message, "x" * 100_000_000))


@_call
async def _packed(message: Message) -> Response:
    return Response(b"x", headers={"content-encoding": "gzip"}, media_type="application/json")


@_call
async def _html(message: Message) -> Response:
    return Response("<p>hello</p>", media_type="text/html")


@_call
async def _junk(message: Message) -> Response:
    return Response('{"jsonrpc":"2.0","id":1,"id":2}', media_type="application/json")


@_call
async def _other(message: Message) -> Response:
    return JSONResponse(_text({**message, "id": "somebody else's"}, "not yours"))


@_call
async def _accepted(message: Message) -> Response:
    return Response(status_code=202)


@_call
async def _hang_up(message: Message) -> Response:
    raise ConnectionResetError


@_call
async def _die(message: Message) -> Response:
    os._exit(3)


@_call
async def _die_later(message: Message) -> Response:
    """Begin a stream that can be gone on with, and end the process."""

    async def send() -> AsyncGenerator[bytes]:
        yield _event(None, "1")
        await asyncio.sleep(0.1)  # until it has left
        os._exit(3)

    return _events(send())


@_call
async def _forget(message: Message) -> Response:
    """Forget every session, and answer the next handshakes in the way that is asked for."""
    global _introduction  # noqa: PLW0603 - a process is one server
    _sessions.clear()
    _introduction = message["params"]["arguments"].get("answer", _introduction)
    return JSONResponse(_text(message, "who are you?"))


@_call
async def _sample(message: Message) -> Response:
    """Ask the host something on the stream of its own request, and answer with what it says."""
    asked: Message = {
        "jsonrpc": "2.0",
        "id": f"sample-{message['id']}",
        "method": "sampling/createMessage",
        "params": {"messages": []},
    }
    answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    _answers[asked["id"]] = answer

    async def send() -> AsyncGenerator[bytes]:
        yield _event(asked)
        answered = json.dumps(await answer)
        await asyncio.sleep(0.02)  # many of them end at the same time
        yield _event(_text(message, answered))

    return _events(send())


@_call
async def _refuse(message: Message) -> Response:
    error = {"code": -32602, "message": "no such thing"}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 400)


@_call
async def _redirect(message: Message) -> Response:
    aim = message["params"]["arguments"]["to"]
    return RedirectResponse(aim, 307)


@_call
async def _status(message: Message) -> Response:
    arguments = message["params"]["arguments"]
    return Response("secret-of-the-server", arguments["status"], arguments.get("headers"))


def _list(message: Message) -> Message:
    schema: Message = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    tools = [{"name": name, "inputSchema": schema, "annotations": {"readOnlyHint": True}} for name in sorted(_CALLS)]
    result: Message = {"tools": [*tools, {"name": "write", "inputSchema": {"type": "object"}}]}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


async def _answer(message: Message) -> Response:
    match message["method"]:
        case "tools/call":
            return await _CALLS.get(message["params"]["name"], _echo)(message)
        case "tools/list":
            return JSONResponse(_list(message))
        case "ping":
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": {}})
        case _:
            error = {"code": -32601, "message": "no such method"}
            status = 404 if _is_modern(message) else 200  # where there are sessions, 404 says that there is none
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error}, status)


def _begin(message: Message, *, is_stateless: bool) -> Response:
    session = uuid.uuid4().hex
    _sessions.add(session)
    headers = {} if is_stateless else {"mcp-session-id": session}
    return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": _introduction}, headers=headers)


def _resumed(request: Request) -> Response:
    last = request.headers.get("last-event-id", "")
    if last in _kept:
        return _stream(_event(_kept.pop(last), f"{last}-next"))
    if last.startswith("again-"):
        return _stream(_event(_kept["polled"], f"again-{int(last[6:]) + 1}", retry=10))
    return Response(status_code=405)


async def _endlessly() -> AsyncGenerator[bytes]:
    while True:
        yield b": still here\n\n"
        await asyncio.sleep(0.05)


def _forgetfully() -> Response:
    global _is_forgotten  # noqa: PLW0603 - a process is one server
    _is_forgotten = not _is_forgotten
    return _stream(_event(None, retry=10)) if _is_forgotten else Response("no such session", 404)


async def _endpoint(request: Request, *, is_stateless: bool) -> Response:
    body = await request.body()
    _keep(request, body)
    session = request.headers.get("mcp-session-id")
    if request.method == "GET":
        if _is_forgetful:
            return _forgetfully()
        return _events(_endlessly()) if _is_stubborn else _resumed(request)
    if request.method == "DELETE":
        _sessions.discard(session or "")
        return await _silent({}) if _is_stubborn else Response()
    return await _take(json.loads(body), session, is_stateless=is_stateless)


async def _take(message: Message, session: str | None, *, is_stateless: bool) -> Response:
    if message.get("method") == "initialize":
        return _begin(message, is_stateless=is_stateless)
    if not is_stateless and not _is_modern(message) and session not in _sessions:
        return Response("no such session", 404)
    if "id" in message and "method" in message:
        return await _answer(message)
    if asked := _answers.pop(message.get("id", ""), None):
        asked.set_result(message["result"])
    if message.get("method") == "notifications/held":
        await asyncio.to_thread(_wait_for, Path(message["params"]["until"]))
    return Response(status_code=202)


def _wait_for(path: Path) -> None:
    pause = threading.Event()
    while not path.exists():
        pause.wait(0.01)


def _keep(request: Request, body: bytes) -> None:
    kept = {
        "method": request.method,
        "path": request.url.path,
        "headers": dict(request.headers),
        "body": base64.b64encode(body).decode(),
    }
    with _received.open("a", encoding="utf-8") as received:
        received.write(json.dumps(kept) + "\n")


def main() -> None:
    """Serve until the process is told to end."""
    global _is_forgetful, _is_stubborn, _received
    parser = argparse.ArgumentParser()
    parser.add_argument("--received", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--stateless", action="store_true")
    parser.add_argument("--stubborn", action="store_true")
    parser.add_argument("--forgetful", action="store_true")
    options = parser.parse_args()
    _received, _is_stubborn, _is_forgetful = options.received, options.stubborn, options.forgetful

    async def endpoint(request: Request) -> Response:
        return await _endpoint(request, is_stateless=options.stateless)

    async def moved(_: Request) -> Response:
        return RedirectResponse("/mcp", 308)

    listener = socket.create_server(("127.0.0.1", options.port))
    scheme = "https" if options.certificate else "http"
    sys.stdout.write(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
    sys.stdout.flush()
    methods = ["GET", "POST", "DELETE"]
    routes = [Route("/mcp", endpoint, methods=methods), Route("/moved", moved, methods=methods)]
    config = uvicorn.Config(
        Starlette(routes=routes),
        log_level="critical",
        ssl_certfile=options.certificate,
        ssl_keyfile=options.key,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
