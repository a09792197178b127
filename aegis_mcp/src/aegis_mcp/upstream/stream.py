"""A stream of messages over one or more responses: where one breaks, the next goes on after the last event."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from enum import Enum
from typing import Final, TypeAlias, TypeGuard

import httpx2

from aegis_mcp import frame as frames
from aegis_mcp.errors import MalformedFrame, UpstreamUnavailable
from aegis_mcp.frame import Frame, FrameKind
from aegis_mcp.upstream.exchange import Http

PAUSE: Final = 1.0
"""Seconds between two responses, unless the server asks for others."""
LONGEST_PAUSE: Final = 30.0
"""Seconds between two responses at the most, whatever the server asks for."""


class Heard(Enum):
    """What a line is to the one who waits for an answer."""

    ANSWER = "answer"
    WORK = "work"
    """What a server that is at work sends before the answer: a notification, or a request of its own."""
    NOTHING = "nothing"


Take: TypeAlias = Callable[[bytes], Awaitable[Heard]]


class Stream:
    """What comes on one stream goes line by line to `take`, until that has heard the answer.

    `silence` is how many seconds a server may go on without a word of its work, None for as many as it likes.
    """

    def __init__(self, take: Take, silence: float | None = None) -> None:
        self._take = take
        self._silence = silence
        self._since = time.monotonic()
        self.last: str | None = None
        """The id of the last event, from which a server can go on (server-sent events, Last-Event-ID)."""
        self.retry: float | None = None
        """How many seconds the server asks to be left alone before the next response (server-sent events, retry)."""
        self.has_broken = False
        """Whether the last response ended without an end."""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that say where to go on."""
        return {"last-event-id": self.last} if self.last else {}

    async def follow(self, http: Http, response: httpx2.Response) -> bool:
        """Take what a response brings; return whether the answer was there.

        Raises:
            UpstreamUnavailable: it broke, and it cannot be gone on with.
        """
        self.has_broken = False
        if self.last is None:
            self._since = time.monotonic()
        try:
            async with aclosing(http.events(response, self._left)) as events:
                async for event in events:
                    self._move(event)
                    heard = await self._hear(event)
                    if heard is Heard.ANSWER:
                        return True
                    if heard is Heard.WORK:
                        self._since = time.monotonic()
        except UpstreamUnavailable:
            if self.last is None:
                raise
            self.has_broken = True
        return False

    def pause(self, otherwise: float) -> float:
        """Return how long to wait before the next response, which is no longer than something has to come in."""
        pause, left = self.retry or otherwise, self._left()
        return pause if left is None else min(pause, left)

    def check_silence(self) -> None:
        """See that a word of the server's work has come in time.

        Raises:
            UpstreamUnavailable: it has not.
        """
        if self._left() == 0:
            raise UpstreamUnavailable(f"has not answered within {self._silence:g} s")

    def _left(self) -> float | None:
        """Return within how many seconds something has to come, None where that is as the server likes."""
        return None if self._silence is None else max(self._since + self._silence - time.monotonic(), 0)

    async def _hear(self, event: httpx2.ServerSentEvent) -> Heard:
        if event.event != "message" or not event.data:
            return Heard.NOTHING
        return await self._take(one_line(event.data.encode()))

    def _move(self, event: httpx2.ServerSentEvent) -> None:
        self.last = event.id or self.last
        if event.retry is not None:
            self.retry = min(max(event.retry, 10), LONGEST_PAUSE * 1000) / 1000


def one_line(message: bytes) -> bytes:
    """Return a message on one line: a line break is white space outside of strings, and JSON has none inside."""
    return message.replace(b"\r", b" ").replace(b"\n", b" ").strip()


def type_of(response: httpx2.Response) -> str:
    """Return the media type of a response in lower case, without its parameters."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def message_in(line: bytes) -> Frame | None:
    """Return the message that a line is, None where it is none: that is recorded by the gate."""
    try:
        return frames.parse(line)
    except MalformedFrame:
        return None


def is_answer(heard: Frame | None, frame: Frame) -> TypeGuard[Frame]:
    """Tell whether what was heard is the answer to a request."""
    return heard is not None and heard.kind is FrameKind.RESPONSE and heard.id == frame.id
