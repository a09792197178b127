"""What an upstream offers, asked of it directly and of nobody else: the handshake and its lists, and no call.

An upstream that does not know the handshake is asked in the way of revision 2026-07-28. Everything is bounded: by time,
bytes, pages and items. What an upstream asks in the meantime is declined.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from aegis_audit.escape import escape
from aegis_mcp import frame as frames
from aegis_mcp.errors import MalformedFrame, UpstreamRefused, UpstreamUnavailable
from aegis_mcp.frame import Frame, FrameKind, Unanswered
from aegis_mcp.upstream.link import Link, Start

MAX_ITEMS: Final = 10_000
"""Tools, resources or prompts of one list."""

_MAX_PAGES: Final = 1_000
_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_SHOWN: Final = 200
_NO_METHOD: Final = -32601
_CLIENT: Final = {"name": "aegis-mcp", "version": "1"}
_HANDSHAKE: Final = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": _CLIENT}
_ENVELOPE: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": _CLIENT,
}

Listed = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """What an upstream lists, each item as it came."""

    tools: Listed = ()
    resources: Listed = ()
    templates: Listed = ()
    prompts: Listed = ()


async def ask(start: Start, seconds: float) -> Offer:
    """Start an upstream, ask what it offers, and stop it.

    Raises:
        UpstreamUnavailable: it cannot be started, ends, refuses, or has not answered after so many seconds.
    """
    upstream = await start()
    try:
        async with asyncio.timeout(seconds):
            return await _ask(_Session(upstream))
    except TimeoutError as exc:
        raise UpstreamUnavailable(f"the upstream has not said within {seconds:g} s what it offers") from exc
    finally:
        await upstream.stop()


class _Session:
    """One request at a time; `envelope` is what each request carries in its `_meta`."""

    def __init__(self, upstream: Link) -> None:
        self._upstream = upstream
        self._arrived: deque[bytes] = deque()
        self._last_id = 0
        self._size = 0
        self.envelope: Mapping[str, Any] | None = None

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of a request.

        Raises:
            UpstreamRefused: the upstream answers with an error.
            UpstreamUnavailable: it ends before it answers.
        """
        self._last_id += 1
        meta = {"_meta": self.envelope} if self.envelope else {}
        self._send({"id": self._last_id, "method": method, "params": {**params, **meta}})
        while True:
            frame = await self._next()
            if frame.kind is FrameKind.REQUEST:
                self._decline(frame)
            elif frame.kind is FrameKind.RESPONSE and frame.id == self._last_id:
                return _result(frame, method)

    def notify(self, method: str) -> None:
        """Send a notification."""
        self._send({"method": method})

    async def _next(self) -> Frame:
        while True:
            while not self._arrived:
                self._arrived.extend(await self._upstream.inbox.batch())
                if not self._arrived:
                    raise UpstreamUnavailable(f"the upstream {await self._upstream.ended()} before it had answered")
            line = self._arrived.popleft()
            self._size += len(line)
            if self._size > _MAX_BYTES:
                raise UpstreamUnavailable(f"the upstream says more than {_MAX_BYTES} bytes about what it offers")
            if isinstance(line, Unanswered):
                raise UpstreamUnavailable(frames.load(line)["error"]["message"])
            try:
                return frames.parse(line)
            except MalformedFrame:
                continue  # what servers print beside the protocol is no answer

    def _decline(self, frame: Frame) -> None:
        if frame.method == "ping":
            self._send({"id": frame.id, "result": {}})
        else:
            self._upstream.outbox.send(frames.error(frame.id, _NO_METHOD, "nothing is offered here"))

    def _send(self, message: Mapping[str, Any]) -> None:
        self._upstream.outbox.send(json.dumps({"jsonrpc": "2.0", **message}).encode("utf-8"))


async def _ask(session: _Session) -> Offer:
    offered = await _capabilities(session)
    return Offer(
        await _list(session, "tools/list", "tools") if "tools" in offered else (),
        await _list(session, "resources/list", "resources") if "resources" in offered else (),
        await _list_templates(session) if "resources" in offered else (),
        await _list(session, "prompts/list", "prompts") if "prompts" in offered else (),
    )


async def _capabilities(session: _Session) -> Mapping[str, Any]:
    try:
        result = await session.request("initialize", _HANDSHAKE)
        session.notify("notifications/initialized")
    except UpstreamRefused:
        session.envelope = _ENVELOPE
        result = await session.request("server/discover", {})
    capabilities = result.get("capabilities")
    return cast("Mapping[str, Any]", capabilities) if isinstance(capabilities, dict) else {}


async def _list_templates(session: _Session) -> Listed:
    try:
        return await _list(session, "resources/templates/list", "resourceTemplates")
    except UpstreamRefused:
        return ()  # resources without templates need no such list


async def _list(session: _Session, method: str, member: str) -> Listed:
    items: list[Mapping[str, Any]] = []
    params: dict[str, Any] = {}
    for _ in range(_MAX_PAGES):
        page = await session.request(method, params)
        listed = page.get(member)
        entries = cast("list[Any]", listed) if isinstance(listed, list) else []
        items.extend(cast("Mapping[str, Any]", item) for item in entries if isinstance(item, dict))
        cursor = page.get("nextCursor")
        if len(items) > MAX_ITEMS:
            raise UpstreamUnavailable(f"the upstream lists more than {MAX_ITEMS} {member}")
        if cursor is None:
            return tuple(items)
        params = {"cursor": cursor}
    raise UpstreamUnavailable(f"the upstream lists {member} on more than {_MAX_PAGES} pages")


def _result(frame: Frame, method: str) -> dict[str, Any]:
    result: object = frame.message.get("result")
    if isinstance(result, dict):
        return cast("dict[str, Any]", result)
    failure: object = frame.message.get("error")
    message = cast("dict[str, Any]", failure).get("message") if isinstance(failure, dict) else None
    raise UpstreamRefused(f"the upstream refuses {method}: {escape(str(message)[:_MAX_SHOWN])}")
