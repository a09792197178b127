"""The session that a server gives in the era of the handshake, and a new one where it has forgotten that."""

from __future__ import annotations

import time
from typing import Final

import httpx2

from aegis_mcp.backoff import Backoff
from aegis_mcp.errors import UpstreamUnavailable
from aegis_mcp.frame import Frame
from aegis_mcp.upstream.exchange import Endpoint, Http, refusal
from aegis_mcp.upstream.stamp import Stamp
from aegis_mcp.upstream.stream import Heard, Stream, is_answer, message_in, one_line, type_of

TYPES: Final = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
"""The headers of every exchange: what may come, and what goes (MCP, transports, streamable HTTP)."""

_ID: Final = "mcp-session-id"


class Session:
    """The session with one server; `id` is None while there is none, or the server keeps none.

    `initialized` is the host's notification with that name.
    """

    def __init__(self, endpoint: Endpoint, http: Http, stamp: Stamp) -> None:
        self._endpoint = endpoint
        self._http = http
        self._stamp = stamp
        self._opening: Frame | None = None
        self._backoff = Backoff(time.monotonic)
        self.initialized: Frame | None = None
        self.id: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Return the header that names the session, if there is one."""
        return {_ID: self.id} if self.id else {}

    def begin(self, opening: Frame) -> None:
        """Note that the host begins a session with this request."""
        self._opening, self.initialized, self.id = opening, None, None

    def begun(self, response: httpx2.Response) -> None:
        """Learn the session from the response to the request that has begun it."""
        self.id = response.headers.get(_ID)

    def pause(self) -> float:
        """Return how many seconds to wait with a new one: the longer, the more often they are forgotten at once."""
        return self._backoff.pause()

    async def renew(self) -> list[Frame]:
        """Begin a new session with the host's own words; return what is left to be said of them.

        Raises:
            UpstreamUnavailable: the server does not begin it, or does not begin it as it did before.
        """
        assert self._opening  # noqa: S101 - what was forgotten was begun
        self._backoff.started()
        async with self._http.exchange("POST", TYPES, self._opening.raw) as response:
            if not response.is_success:
                raise UpstreamUnavailable(f"has forgotten the session, and {refusal(response)}")
            if await self._revision_in(response, self._opening) != self._stamp.revision:
                raise UpstreamUnavailable("has forgotten the session, and does not begin it as it did before")
            self.begun(response)
        return [self.initialized] if self.initialized else []

    async def _revision_in(self, response: httpx2.Response, opening: Frame) -> str | None:
        """Return the revision that the answer to a handshake agrees to; the host needs to know nothing else of it."""
        agreed = Stamp()

        async def take(line: bytes) -> Heard:
            heard = message_in(line)
            if not is_answer(heard, opening):
                return Heard.NOTHING
            agreed.learn(opening, heard)
            return Heard.ANSWER

        if type_of(response) == "application/json":
            await take(one_line(await self._http.body(response)))
        else:
            await Stream(take, self._endpoint.timeout).follow(self._http, response)
        return agreed.revision
