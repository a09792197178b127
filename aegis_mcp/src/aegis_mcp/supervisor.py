"""Keeps one upstream behind the gate: starts it, and when it ends starts it again and brings it to where it was.

What waits for an answer when it ends is answered at once, and so is what comes while it is down. An upstream that keeps
ending is started less and less often.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Final

from aegis_audit.value import Value
from aegis_mcp import frame as frames
from aegis_mcp import relay
from aegis_mcp.audit.record import EventKind, Status
from aegis_mcp.backoff import Backoff
from aegis_mcp.enforcement import Enforcement, OpenPins
from aegis_mcp.errors import MalformedFrame, UpstreamUnavailable
from aegis_mcp.events import Events
from aegis_mcp.frame import MAX_FRAME, Frame, FrameKind
from aegis_mcp.notice import say
from aegis_mcp.upstream.incident import Incident, IncidentKind, Incidents
from aegis_mcp.upstream.link import Link, Sink, Start

_HANDSHAKE_SECONDS: Final = 30.0
"""How long an upstream that is started again has for its answer to `initialize`: `npx` may look for it first."""

_LAST_WORDS_SECONDS: Final = 0.3
"""How long an upstream that has closed its output has to end by itself."""

_MAX_EARLY: Final = 2 * MAX_FRAME
"""Bytes that it may send before that answer."""


class Served(Value):
    """The upstream to serve: its name in policy and log, how it is started, and what the log says of that.

    `address` is the program of a command, or the origin of a URL: nothing that may hold a secret. `open_pins` opens the
    pins of what it says of itself, as a policy has it. `incidents` are those of a remote upstream.
    """

    name: str
    start: Start
    address: str
    open_pins: OpenPins
    incidents: Incidents


class Supervisor:
    """The lives of one upstream, one after the other."""

    def __init__(self, served: Served, gate: Enforcement, events: Events) -> None:
        self._served = served
        self._gate = gate
        self._events = events
        self._backoff = Backoff(time.monotonic)
        self._link: Link | None = None
        self._stopping = asyncio.Event()

    @property
    def name(self) -> str:
        """Return what policy and log call the upstream."""
        return self._served.name

    async def start(self) -> Link:
        """Start the upstream for the first time.

        Raises:
            UpstreamUnavailable: it cannot be started.
        """
        try:
            self._link = await self._served.start()
        except UpstreamUnavailable as exc:
            self._events.note(EventKind.UPSTREAM_LOST, server=self.name, reason=str(exc))
            raise
        self._events.note(EventKind.UPSTREAM_STARTED, server=self.name, command=self._served.address)
        return self._link

    @property
    def has_room(self) -> bool:
        """Return whether the upstream has taken enough of what was sent before."""
        return self._link is None or self._link.outbox.has_room

    async def room(self) -> None:
        """Wait until the upstream has taken enough of what was sent before."""
        if self._link:
            await self._link.outbox.room()

    async def run(self, to_host: Sink) -> None:
        """Pass on what the upstream sends, through all its lives, until `stop`."""
        while self._link and not self._stopping.is_set():
            why = await self._serve(self._link, to_host)
            held = self._gate.handshake.held
            if self._stopping.is_set():
                return
            if held:
                await self._exchange(held)
            else:
                await self._start_again(why)

    async def stop(self) -> None:
        """End the upstream for good, within the bound of its link; what it still sends is passed on."""
        self._stopping.set()
        if self._link:
            await self._link.stop()
        for incident in self._served.incidents.rest():
            await self._note(incident)

    async def follow_incidents(self) -> None:
        """Record what happens between the gateway and the upstream beside the messages, until that is cancelled."""
        while True:
            await self._note(await self._served.incidents.next())

    async def _serve(self, link: Link, to_host: Sink) -> str:
        """Pass on what an upstream sends until it ends; return how it did."""
        passing = asyncio.create_task(relay.pump(link.inbox, partial(self._take, link), to_host))
        ended = asyncio.create_task(link.ended())
        try:
            await asyncio.wait({passing, ended}, return_when=asyncio.FIRST_COMPLETED)
            why = await _end(link)
            # What it had sent before its end may still be on its way.
            await asyncio.wait({passing}, timeout=_LAST_WORDS_SECONDS)
            link.inbox.close()
            await passing
        finally:
            passing.cancel()
            ended.cancel()
        return why

    def _take(self, link: Link, lines: Sequence[bytes]) -> Awaitable[None]:
        passing = self._gate.upstream_sent(lines)
        return _last(passing, link) if self._gate.handshake.held else passing

    async def _exchange(self, held: Frame) -> None:
        """Replace an upstream that does not take the host's `initialize` any more by a fresh one, which does."""
        await self._lose("had locked itself to a later revision than that of the host's handshake", Status.CANCELLED)
        try:
            link = await self._begin()
        except UpstreamUnavailable as exc:
            await self._gate.host_sent([held.raw])  # it is refused, and says why
            await self._start_again(f"cannot be started again: {exc}")
        else:
            self._gate.upstream_started(link.outbox.send)
            await self._gate.host_sent([held.raw])

    async def _start_again(self, why: str) -> None:
        while not self._stopping.is_set():
            pause = self._backoff.pause()
            await self._lose(why, Status.UPSTREAM_LOST, f"; it is started again within {pause:g} s")
            say(f"the upstream {self._served.name!r} {why}; it is started again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return
            try:
                await self._bring_back()
            except UpstreamUnavailable as exc:
                why = f"cannot be started again: {exc}"
            else:
                return

    async def _lose(self, why: str, status: Status, prospect: str = "") -> None:
        """Answer what waits for an upstream that is of no more use, and end what is left of it."""
        await self._gate.upstream_ended(why + prospect, status)
        await self._record(EventKind.UPSTREAM_LOST, reason=why)
        if self._link:
            await self._link.stop()

    async def _bring_back(self) -> None:
        """Start the upstream again, and let it and the host go on from where they were.

        Raises:
            UpstreamUnavailable: it does not start, or does not answer the handshake as it did before.
        """
        link = await self._begin()
        early = await self._greet(link)
        self._gate.upstream_started(link.outbox.send)
        await self._gate.host_sent(self._gate.handshake.rest())
        await self._gate.upstream_sent(early)
        self._gate.announce()

    async def _begin(self) -> Link:
        self._link = await self._served.start()
        self._backoff.started()
        await self._record(EventKind.UPSTREAM_STARTED, command=self._served.address)
        return self._link

    async def _greet(self, link: Link) -> list[bytes]:
        """Ask a fresh upstream the host's `initialize`; return what it has sent beside the answer."""
        request = self._gate.handshake.request
        if request is None:
            return []
        link.outbox.send(request.raw)
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                answer, early = await _answer(link, request)
        except TimeoutError as exc:
            raise UpstreamUnavailable(f"it has not answered the handshake within {_HANDSHAKE_SECONDS:g} s") from exc
        if answer is None:
            raise UpstreamUnavailable(f"it {await _end(link)}")
        if not self._gate.handshake.is_kept_by(answer):
            raise UpstreamUnavailable("it does not answer the handshake as it did before")
        return early

    async def _note(self, incident: Incident) -> None:
        await self._events.record(EventKind(incident.kind.value), **incident.details)
        if incident.kind is IncidentKind.SESSION_RENEWED:
            # Perhaps it was started anew: it knows nothing of what was asked for good, and its lists may differ.
            await self._gate.host_sent(self._gate.handshake.standing())
            self._gate.announce()

    async def _record(self, kind: EventKind, **details: object) -> None:
        await self._events.record(kind, server=self._served.name, **details)


async def _last(passing: Awaitable[None], link: Link) -> None:
    """Let these be the last lines that are taken from a link."""
    await passing
    link.inbox.close()


async def _end(link: Link) -> str:
    """Say how a link ended; one that has closed its output has a moment to end, and is of no use without it."""
    try:
        return await asyncio.wait_for(link.ended(), _LAST_WORDS_SECONDS)
    except TimeoutError:
        return "closed its output"


async def _answer(link: Link, request: Frame) -> tuple[Frame | None, list[bytes]]:
    """Wait for the answer to a request, None if the upstream ends before; return with it what else it has sent."""
    early: list[bytes] = []
    while lines := await link.inbox.batch():
        for number, line in enumerate(lines):
            answer = _response(line)
            if answer and answer.id == request.id:
                return answer, early + lines[number + 1 :]
            early.append(line)
        if sum(map(len, early)) > _MAX_EARLY:
            break
    return None, early


def _response(line: bytes) -> Frame | None:
    try:
        frame = frames.parse(line)
    except MalformedFrame:
        return None
    return frame if frame.kind is FrameKind.RESPONSE else None
