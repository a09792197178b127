"""A remote upstream over streamable HTTP, as one link: frames go out to it as they are, and come back as they are.

Each request of the host is one POST, whose response is the answer or a stream that ends with it. Requests leave in
the order in which they came. In the era of the handshake there is a session, and a stream for what the server sends
unasked. What cannot be answered is answered with the reason, in bounded time (MCP, transports, streamable HTTP).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Final

import httpx2

from aegis_mcp import frame as frames
from aegis_mcp.errors import GatewayError, MalformedFrame, UpstreamUnavailable
from aegis_mcp.frame import Frame, FrameId, FrameKind, Unanswered
from aegis_mcp.upstream.exchange import Departure, Endpoint, Http, refusal
from aegis_mcp.upstream.incident import IncidentKind, Incidents
from aegis_mcp.upstream.mailbox import Arrivals, Departures
from aegis_mcp.upstream.session import TYPES, Session
from aegis_mcp.upstream.stamp import Stamp, revision_of
from aegis_mcp.upstream.stream import LONGEST_PAUSE, PAUSE, Heard, Stream, is_answer, message_in, one_line, type_of

_OPENING: Final = frozenset({"initialize", "server/discover"})
_UNLIMITED: Final = frozenset({"subscriptions/listen"})
_FIRST_CONTACT_SECONDS: Final = 1.2
"""What a host that starts waits for a server that is down, at the most."""
_ORDER_SECONDS: Final = 1.0
_LAST_SECONDS: Final = 0.3
"""What the host has sent at last has to leave."""
_WORD_SECONDS: Final = 5.0
"""How long what comes after a notification waits for the server to take that."""
_MOST_WORD_SECONDS: Final = 30.0
"""How long the next notification does."""
_FAREWELL_SECONDS: Final = 0.5
_RENEWAL_SECONDS: Final = 1.4
"""How long an end waits for a renewal of the login, all in all: it may have used up the token before."""
_CLOSING_SECONDS: Final = 0.2
_AGAIN_SECONDS: Final = (0.1, 0.2, 0.4)
"""How long to wait before each try to take a stream up again: whoever called hears within a second that it is lost."""
_MAX_ERROR_BODY: Final = 64 * 1024


class RemoteUpstream:
    """A remote upstream; to start it asks nothing of the network."""

    def __init__(self, endpoint: Endpoint, incidents: Incidents) -> None:
        self._endpoint = endpoint
        self._incidents = incidents
        self._http = Http(endpoint)
        self._stamp = Stamp()
        self._session = Session(endpoint, self._http, self._stamp)
        self._renewing = asyncio.Lock()
        self._asked: dict[FrameId | None, tuple[asyncio.Task[None], Departure]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.inbox = Arrivals()
        self.outbox = Departures()
        self._words = Departures()
        self._run(self._say_all())
        self._run(self._send_all())
        self._run(self._watch_overflow())

    @classmethod
    async def start(cls, endpoint: Endpoint, incidents: Incidents) -> RemoteUpstream:
        """Return a link that connects when the host has something to say."""
        return cls(endpoint, incidents)

    async def ended(self) -> str:
        """Wait for the end of the link and say how it ended."""
        return await asyncio.shield(self._over)

    async def stop(self) -> None:
        """Let what the host has sent leave, give up what is under way, and the session: all within two seconds."""
        until = asyncio.get_running_loop().time() + _RENEWAL_SECONDS
        await self.outbox.close(_LAST_SECONDS)
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError, GatewayError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await asyncio.gather(*self._tasks, return_exceptions=True)
                await self._say_farewell()
        if auth := self._endpoint.auth:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await auth.settled()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._http.close()
        self.inbox.close()
        if not self._over.done():
            self._over.set_result("was stopped")

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # A defect ends the link and is not lost: whoever waits for the end meets it.
        if not task.cancelled() and (failure := task.exception()) and not self._over.done():
            self._over.set_exception(failure)

    async def _watch_overflow(self) -> None:
        await self.outbox.overflow.wait()
        if not self._over.done():
            self._over.set_result("does not take what is sent to it")

    async def _send_all(self) -> None:
        while True:
            frame = frames.parse(await self.outbox.next())
            if frame.kind is FrameKind.REQUEST:
                await self._start(frame)
            elif frame.method == "notifications/cancelled":
                await self._take_back(frame)
            else:
                await self._say(frame)

    async def _say_all(self) -> None:
        while True:
            await self._tell(frames.parse(await self._words.next()))

    async def _start(self, frame: Frame) -> None:
        """Begin to ask, and let what comes after it wait until this has left, though not for ever."""
        departure = Departure(_FIRST_CONTACT_SECONDS) if frame.method in _OPENING else Departure()
        self._asked[frame.id] = self._run(self._ask(frame, departure)), departure
        # Where it has to wait for its turn, nothing else has to: what makes room for it may be among that.
        if not self._http.is_full:
            await _left(departure)

    async def _take_back(self, frame: Frame) -> None:
        """Take a request back: in the era without sessions, to close its stream says so."""
        asked = self._asked.pop(frames.as_id(frame.params.get("requestId")), None)
        has_left = asked is None or asked[1].has_turn
        if not self._stamp.is_modern and has_left:
            await self._say(frame)
        elif asked:
            asked[0].cancel()

    async def _say(self, frame: Frame) -> None:
        """Send what has no answer after what was sent of that before, and let a request that follows wait for it.

        Where the one before is still not taken, that would be to wait for ever.
        """
        is_stuck = not self._words.is_idle
        self._words.send(frame.raw)
        await self._words.room()
        if not is_stuck:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._words.emptied(), _WORD_SECONDS)

    async def _tell(self, frame: Frame) -> None:
        """Send what has no answer; that it did not arrive is recorded."""
        try:
            async with (
                asyncio.timeout(_MOST_WORD_SECONDS),
                self._http.exchange("POST", self._headers(frame), frame.raw, Departure(is_short=True)) as response,
            ):
                if not response.is_success:
                    raise UpstreamUnavailable(refusal(response))
        except TimeoutError:
            self._report(frame, f"has not taken it within {_MOST_WORD_SECONDS:g} s")
        except GatewayError as exc:
            self._report(frame, str(exc))
        else:
            await self._told(frame)

    async def _told(self, frame: Frame) -> None:
        """Begin what the server expects after a notification that it has taken."""
        if frame.method != "notifications/initialized":
            return
        self._session.initialized = frame
        departure = Departure()
        before, self._listener = self._listener, self._run(self._listen(departure))
        if before and before is not asyncio.current_task():
            before.cancel()
        # Who asks for something before this stream is there could miss what the server sends because of it.
        await _left(departure)

    async def _ask(self, frame: Frame, departure: Departure) -> None:
        explanation = self._run(self._explain_wait()) if frame.method == "initialize" else None
        try:
            await self._answered(frame, departure)
        except GatewayError as exc:
            self._report(frame, str(exc))
            self.inbox.put_now(self._unanswered(frame, str(exc)))
        finally:
            departure.sent.set()
            if explanation:
                explanation.cancel()
            if self._is_awaited(frame):
                del self._asked[frame.id]

    async def _explain_wait(self) -> None:
        """Say what the host's start waits for: a server that takes a connection and is mute may be down, or slow."""
        await asyncio.sleep(_FIRST_CONTACT_SECONDS)
        text = (
            f"The upstream {self._endpoint.name!r} has not answered within {_FIRST_CONTACT_SECONDS:g} s; "
            f"it is given up after {self._endpoint.timeout:g} s"
        )
        message = {"level": "warning", "logger": "aegis-mcp", "data": text}
        self.inbox.put_now(frames.notification("notifications/message", message))

    async def _answered(self, frame: Frame, departure: Departure) -> None:
        """Ask, and see that the answer arrives; in a session that the server has forgotten, ask again in a new one."""
        if frame.method == "initialize":
            self._session.begin(frame)
        # In the era without sessions 404 says that there is no such method.
        session = self._session.id if revision_of(frame) is None else None
        if await self._asked_once(frame, departure, session):
            return
        await self._renew(session)
        if not await self._asked_once(frame, departure, self._session.id):
            raise UpstreamUnavailable("does not know the session that it has just begun")

    async def _asked_once(self, frame: Frame, departure: Departure, session: str | None) -> bool:
        """Ask, and see that the answer arrives; return False where the server does not know the session any more."""

        async def take(line: bytes) -> Heard:
            return await self._pass_on(frame, line)

        stream = Stream(take, None if frame.method in _UNLIMITED else self._endpoint.timeout)
        async with self._http.exchange("POST", self._headers(frame), frame.raw, departure) as response:
            if response.status_code == HTTPStatus.NOT_FOUND and session:
                return False
            if frame.method == "initialize":
                self._session.begun(response)
            if not response.is_success or type_of(response) != "text/event-stream":
                await self._take(frame, response)
                return True
            if await stream.follow(self._http, response):
                return True
        await self._resume(stream)
        return True

    async def _take(self, frame: Frame, response: httpx2.Response) -> None:
        """Take the answer out of a response that is one message."""
        is_json = type_of(response) == "application/json"
        if response.is_success and not is_json:
            raise UpstreamUnavailable("took the request, and answered with something that is no message")
        most = frames.MAX_FRAME if response.is_success else _MAX_ERROR_BODY
        line = one_line(await self._http.body(response, most)) if is_json else b""
        if not response.is_success:
            line = _error_to(frame, line)
            if line is None:
                raise UpstreamUnavailable(refusal(response))
        if await self._pass_on(frame, line) is not Heard.ANSWER:
            raise UpstreamUnavailable("answered with something that is no answer to this request")

    async def _pass_on(self, frame: Frame, line: bytes) -> Heard:
        """Pass a line on that came for a request, and learn from the answer how to ask from now on."""
        await self.inbox.put(line)
        heard = message_in(line)
        if is_answer(heard, frame):
            self._stamp.learn(frame, heard)
            return Heard.ANSWER
        # Where the host has taken the request back, no work on it is a reason to wait longer.
        return Heard.WORK if _is_work(heard, frame) and self._is_awaited(frame) else Heard.NOTHING

    def _is_awaited(self, frame: Frame) -> bool:
        """Tell whether the host still waits for what the current task asks."""
        asked = self._asked.get(frame.id)
        return asked is not None and asked[0] is asyncio.current_task()

    async def _resume(self, stream: Stream) -> None:
        """Take a stream up again where it broke, until the answer is there or it does not come back."""
        failures = 0
        while stream.last is not None and failures < len(_AGAIN_SECONDS):
            before = stream.last
            otherwise = _AGAIN_SECONDS[failures] if stream.has_broken or failures else PAUSE
            await asyncio.sleep(stream.pause(otherwise))
            stream.check_silence()
            with contextlib.suppress(UpstreamUnavailable):
                async with self._http.exchange("GET", self._headers() | stream.headers) as response:
                    if response.is_success and await stream.follow(self._http, response):
                        return
            failures = 0 if stream.last != before else failures + 1
        raise UpstreamUnavailable("ended the stream before the answer")

    async def _listen(self, departure: Departure) -> None:
        """Follow what the server sends unasked, for as long as the session lives."""

        async def take(line: bytes) -> Heard:
            await self.inbox.put(line)
            return Heard.NOTHING

        session, stream, pause, was_there = self._session.id, Stream(take), 0.0, False
        # A server may give the same session again, or none: who listens anew is told by that it is another task.
        while session == self._session.id and self._listener is asyncio.current_task():
            await asyncio.sleep(pause)
            pause = min(2 * pause + max(stream.retry or PAUSE, PAUSE), LONGEST_PAUSE)
            with contextlib.suppress(GatewayError):
                async with self._http.exchange("GET", self._headers() | stream.headers, None, departure) as response:
                    is_forgotten = response.status_code == HTTPStatus.NOT_FOUND
                    if response.is_success:
                        was_there, pause = True, 0.0
                        await stream.follow(self._http, response)
                        pause = stream.retry or PAUSE
                if is_forgotten and was_there:
                    # A host that only waits would never hear again of what it waits for. But a server may forget each
                    # session as soon as it has begun.
                    await asyncio.sleep(max(PAUSE, self._session.pause()))
                    await self._renew(session)
                elif is_forgotten or response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                    return  # the server sends nothing unasked
            departure.sent.set()

    async def _renew(self, lost: str | None) -> None:
        """Begin a new session in the place of one that the server has forgotten, unless another request has done so."""
        async with self._renewing:
            if self._session.id == lost:
                for frame in await self._session.renew():
                    await self._tell(frame)
                self._incidents.report(IncidentKind.SESSION_RENEWED)

    async def _say_farewell(self) -> None:
        if self._session.id:
            async with self._http.exchange("DELETE", self._headers()):
                pass  # a server that keeps no sessions answers 405, which is as good

    def _headers(self, frame: Frame | None = None) -> dict[str, str]:
        is_modern = frame is not None and revision_of(frame) is not None
        session = {} if is_modern else self._session.headers
        return TYPES | session | (self._stamp.headers(frame) if frame else self._stamp.session_headers())

    def _report(self, frame: Frame, why: str) -> None:
        asked = {"method": frame.method} if frame.id is None else {"method": frame.method, "request_id": frame.id}
        self._incidents.report(IncidentKind.REQUEST_FAILED, reason=why, **asked)

    def _unanswered(self, frame: Frame, why: str) -> Unanswered:
        text = f"No answer: the upstream {self._endpoint.name!r} {why}"
        if frame.method == "tools/call":
            return Unanswered(frames.tool_error(frame.id, text, is_modern=revision_of(frame) is not None))
        return Unanswered(frames.error(frame.id, frames.UNAVAILABLE, text))


async def _left(departure: Departure) -> None:
    """Wait until a request has left, though not for ever."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(departure.sent.wait(), _ORDER_SECONDS)


def _is_work(heard: Frame | None, frame: Frame) -> bool:
    """Tell whether what was heard is of a server that is at work on a request.

    Its own requests are, but from revision 2026-07-28 on it has none.
    """
    if heard is None or heard.kind is FrameKind.RESPONSE:
        return False
    return heard.kind is FrameKind.NOTIFICATION or revision_of(frame) is None


def _error_to(frame: Frame, line: bytes) -> bytes | None:
    """Return the JSON-RPC error in the body of a refusal, with the id of the request that it refuses; else None."""
    try:
        message = frames.load(line)
    except MalformedFrame:
        return None
    if not isinstance(message.get("error"), dict):
        return None
    # A server that refuses a request before it reads it does not know its id.
    return line if frames.as_id(message.get("id")) == frame.id else frames.dump({**message, "id": frame.id})
