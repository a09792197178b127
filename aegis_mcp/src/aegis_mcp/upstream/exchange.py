"""One HTTP exchange with a remote upstream: bounded in time and size, and every failure said in one sentence."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias

import anyio
import httpx2

from aegis_audit.value import Value
from aegis_mcp.errors import UpstreamUnavailable
from aegis_mcp.frame import MAX_FRAME
from aegis_mcp.upstream.network import MAX_CONNECTIONS, RESERVE, GuardedTransport, Reach, certificate_error, origin

_CONNECT_SECONDS: Final = 10.0
_WRITE_SECONDS: Final = 30.0
_FIRST_CONTACT_SECONDS: Final = 1.2
_MAX_REDIRECTS: Final = 5
_MAX_ANSWER: Final = 256 * 1024
"""Bytes of the largest answer to a request of the gateway's own."""
_FIELD_NAMES: Final = 1024
"""Bytes that an event may have beside a frame: the names of its fields."""
_SECONDS: Final = re.compile(r"[0-9]{1,6}")
_BROKEN: Final = "broke the connection off"
_SENTENCES: Final[dict[type[Exception], str]] = {
    httpx2.ConnectError: "could not be reached: nothing takes connections there",
    httpx2.ProxyError: "could not be reached through the proxy that the environment names",
    httpx2.SSEError: f"sent an event of more than {MAX_FRAME} bytes, or no stream of events at all",
    httpx2.InvalidURL: "redirects to what is no address",
    UnicodeError: "has given something to be sent back to it that no header can hold (a session, a cookie or a token)",
}
_REFUSALS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: (
        "wants to know who asks (401), and does not accept what `auth` in the policy says; where a person logs in, that"
        " is `auth: oauth`, or `--oauth`"
    ),
    HTTPStatus.FORBIDDEN: "forbids this (403)",
    HTTPStatus.NOT_FOUND: "has nothing at its address (404)",
}


Ask: TypeAlias = Callable[[httpx2.Request], Awaitable[httpx2.Response]]
"""Sends a request of the gateway's own and returns the response with its whole body, both bounded."""


class Authorization(Protocol):
    """How the gateway shows an upstream who it is, where headers of the policy do not say it."""

    async def headers(self, ask: Ask) -> dict[str, str]:
        """Return what goes with a request."""
        ...

    async def is_to_retry(self, response: httpx2.Response, ask: Ask) -> bool:
        """Look at a response; return whether the request is to be sent again with other headers."""
        ...

    def refusal(self) -> UpstreamUnavailable:
        """Return what is to be said where other headers were no better."""
        ...

    async def settled(self) -> None:
        """Wait until nothing is under way that would be lost by an end now."""
        ...


class Endpoint(Value):
    """Where a remote upstream is. `timeout` is how many seconds it may be silent; `headers` go with each request."""

    name: str
    url: str
    reach: Reach
    timeout: float
    headers: Mapping[str, str]
    auth: Authorization | None = None


@dataclass(slots=True, eq=False)
class Departure:
    """How far a request has got: `sent` is set once its last byte has left, or it never will.

    It has its turn once a connection is its own, or is being made for it. What is `short` does not wait for one that
    long requests have.
    """

    within: float = _CONNECT_SECONDS
    is_short: bool = False
    sent: asyncio.Event = field(default_factory=asyncio.Event)
    has_turn: bool = False


class Http:
    """The way to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._under_way: set[Departure] = set()
        self._client = httpx2.AsyncClient(
            transport=GuardedTransport(endpoint.reach),
            # Nothing that has to be unpacked: a small answer could become a large one.
            headers={"accept-encoding": "identity", **endpoint.headers},
            timeout=httpx2.Timeout(_CONNECT_SECONDS, read=endpoint.timeout, write=_WRITE_SECONDS, pool=None),
            follow_redirects=False,
        )

    @property
    def is_full(self) -> bool:
        """Return whether another request would have to wait for its turn, behind those that do already."""
        return sum(not each.is_short for each in self._under_way) >= MAX_CONNECTIONS

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    @asynccontextmanager
    async def exchange(
        self, method: str, headers: Mapping[str, str], body: bytes | None = None, departure: Departure | None = None
    ) -> AsyncGenerator[httpx2.Response]:
        """Send one request and yield the response, whose body has not been read.

        Redirects are followed where they lead to the same origin with the same method.

        Raises:
            UpstreamUnavailable: the request or its response did not come through.
        """
        auth, departure = self._endpoint.auth, departure or Departure()
        with self._explained(), self._counted(departure):
            request = self._client.build_request(method, self._endpoint.url, headers=dict(headers), content=body)
            response = await self._authorized(request, departure, auth)
            if auth and await _is_to_retry(auth, response, self.ask):
                response = await self._authorized(request, departure, auth)
                if response.status_code == HTTPStatus.UNAUTHORIZED:
                    await response.aclose()
                    raise auth.refusal()
                await _is_to_retry(auth, response, self.ask)  # it may say that the login is not enough
            try:
                yield response
            finally:
                await response.aclose()

    async def ask(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request of the gateway's own and return the response with its whole body.

        Raises:
            UpstreamUnavailable: it did not come through.
        """
        with self._explained():
            response = await self._send(request, Departure(_FIRST_CONTACT_SECONDS))
            try:
                content = await self.body(response, _MAX_ANSWER)
            finally:
                await response.aclose()
        return httpx2.Response(
            response.status_code, headers=response.headers, content=content, request=response.request
        )

    async def _authorized(
        self, request: httpx2.Request, departure: Departure, auth: Authorization | None
    ) -> httpx2.Response:
        """Send a request with what shows who asks, and follow redirects within its origin."""
        if auth:
            request.headers.update(await auth.headers(self.ask))
        response = await self._send(request, departure)
        for _ in range(_MAX_REDIRECTS):
            following = _following(response)
            if following is None:
                break
            await response.aclose()
            response = await self._send(following, departure)
        return response

    async def _send(self, request: httpx2.Request, departure: Departure) -> httpx2.Response:
        loop = asyncio.get_running_loop()
        departure.has_turn, within, is_sent = False, departure.within, False
        try:
            async with asyncio.timeout(within) as limit:

                async def trace(event: str, _: Mapping[str, Any]) -> None:
                    nonlocal within, is_sent
                    departure.has_turn = True
                    if event.endswith("send_request_headers.started"):
                        within = self._endpoint.timeout
                        limit.reschedule(loop.time() + within)
                    elif event.endswith("send_request_body.complete"):
                        is_sent = True
                        departure.sent.set()

                request.extensions["trace"] = trace
                request.extensions[RESERVE] = departure.is_short and self.is_full
                return await self._client.send(request, stream=True)
        except TimeoutError as exc:
            if is_sent:
                raise
            raise UpstreamUnavailable(self._not_sent(departure, within)) from exc

    def _not_sent(self, departure: Departure, within: float) -> str:
        is_full = sum(each.has_turn for each in self._under_way) >= MAX_CONNECTIONS
        if is_full and departure in self._under_way and not departure.has_turn:
            full = f"has {MAX_CONNECTIONS} requests under way, and no more at once"
            return f"{full}: this one has waited {within:g} s for its turn"
        return f"could not be reached within {within:g} s"

    @contextmanager
    def _counted(self, departure: Departure) -> Generator[None]:
        self._under_way.add(departure)
        try:
            yield
        finally:
            self._under_way.discard(departure)

    async def body(self, response: httpx2.Response, most: int = MAX_FRAME) -> bytes:
        """Return the body of a response of at most so many bytes.

        Raises:
            UpstreamUnavailable: it has more, or it did not come in time.
        """
        chunks: list[bytes] = []
        size = 0
        with self._explained():
            _refuse_packed(response)
            async with asyncio.timeout(self._endpoint.timeout):
                async for chunk in response.aiter_raw():
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > most:
                        raise UpstreamUnavailable(f"sent an answer of more than {most} bytes")
        return b"".join(chunks)

    async def events(
        self, response: httpx2.Response, left: Callable[[], float | None]
    ) -> AsyncGenerator[httpx2.ServerSentEvent]:
        """Yield the events of a stream until it ends; `left` says before each how many seconds it has to come.

        Raises:
            UpstreamUnavailable: the stream broke, one did not come in time, or it was too large.
        """
        with self._explained():
            _refuse_packed(response)
            # Whatever the header says, and without a byte order mark (HTML, server-sent events, parsing).
            response.encoding = "utf-8-sig"
            source = aiter(httpx2.EventSource(response, max_event_size=MAX_FRAME + _FIELD_NAMES))
            while True:
                try:
                    async with asyncio.timeout(left()):
                        event = await anext(source)
                except StopAsyncIteration:
                    return
                yield event

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Say in one sentence what went wrong, without the URL, whose query may hold a secret."""
        try:
            yield
        except TimeoutError as exc:
            raise UpstreamUnavailable(f"has not answered within {self._endpoint.timeout:g} s") from exc
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, UnicodeError, OSError) as exc:
            raise UpstreamUnavailable(self._sentence(exc)) from exc
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
            raise UpstreamUnavailable(_BROKEN) from exc

    def _sentence(self, error: Exception) -> str:
        if failure := certificate_error(error):
            return f"could not be reached over TLS: {getattr(failure, 'verify_message', '') or failure.reason}"
        if isinstance(error, httpx2.ConnectTimeout):
            return f"could not be reached within {_CONNECT_SECONDS:g} s"
        if isinstance(error, httpx2.TimeoutException):
            return f"has not answered within {self._endpoint.timeout:g} s"
        return next((sentence for kind, sentence in _SENTENCES.items() if isinstance(error, kind)), _BROKEN)


def refusal(response: httpx2.Response) -> str:
    """Say what a status that is no success means, to continue "the upstream 'files' …"."""
    status = response.status_code
    if _following(response):
        return "redirects from one of its addresses to another without end"
    if response.next_request is not None:
        aim = origin(response.next_request.url)
        return f"redirects to {aim}, which is not followed; if that is the server that you mean, write it in the policy"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return f"was asked too often (429){_when(response.headers.get('retry-after', ''))}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"failed ({status})"
    return _REFUSALS.get(status, f"answered with HTTP status {status}")


def _when(after: str) -> str:
    """Say when to try again, in words of our own (RFC 9110 §10.2.3, Retry-After); nothing where that is not said."""
    if _SECONDS.fullmatch(after):
        return f"; try again in {after} s"
    try:
        moment = parsedate_to_datetime(after).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return f"; try again at {moment:%Y-%m-%d %H:%M:%S} UTC"


async def _is_to_retry(auth: Authorization, response: httpx2.Response, ask: Ask) -> bool:
    """Tell whether a request is to be sent again; a response that nobody will read is closed."""
    is_to_retry = True
    try:
        is_to_retry = await auth.is_to_retry(response, ask)
    finally:
        if is_to_retry:
            await response.aclose()
    return is_to_retry


def _following(response: httpx2.Response) -> httpx2.Request | None:
    """Return the request that a redirect asks for, if it keeps to the method and the origin."""
    following = response.next_request
    if following is None or following.method != response.request.method:
        return None
    return following if _origin(following.url) == _origin(response.request.url) else None


def _origin(url: httpx2.URL) -> tuple[str, str, int | None, bytes]:
    return (url.scheme, url.host, url.port, url.userinfo)


def _refuse_packed(response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise UpstreamUnavailable("packed an answer that was to come as it is (Content-Encoding)")
