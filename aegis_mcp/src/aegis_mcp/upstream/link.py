"""What the gateway needs of an upstream, however it is reached: lines from it, lines to it, and its end.

One link is one life of an upstream: it ends once, and a fresh one is started for what comes after.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Final, Protocol, TypeAlias


class _Done:
    """Nothing to wait for: who awaits it goes on at once."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


DONE: Final[Awaitable[None]] = _Done()
"""What there is to wait for where everything is done."""

Gate: TypeAlias = Callable[[Sequence[bytes]], Awaitable[None]]
"""Takes lines, and returns what there is to wait for before it takes more: `DONE` if there is nothing."""


class Source(Protocol):
    """Where lines come from."""

    async def batch(self, shortcut: Gate | None = None) -> list[bytes]:
        """Return every line that has arrived, LF excluded, waiting for the first; empty once there will be no more.

        While it waits, lines may go through the `shortcut` as soon as they arrive; then it goes on waiting.
        """
        ...

    def close(self) -> None:
        """End the stream: `batch` gives what is there, then nothing."""
        ...


class Sink(Protocol):
    """Where lines go."""

    def send(self, line: bytes) -> None:
        """Send a line, LF excluded, in order and without waiting; to a peer that has gone, nothing."""
        ...

    @property
    def has_room(self) -> bool:
        """Return whether the peer has taken enough of what was sent before."""
        ...

    async def room(self) -> None:
        """Wait until the peer has taken enough of what was sent before."""
        ...

    async def close(self, seconds: float) -> None:
        """Close the way once everything has left, within so many seconds."""
        ...


class Link(Protocol):
    """One running upstream."""

    @property
    def inbox(self) -> Source:
        """Return where its lines come from."""
        ...

    @property
    def outbox(self) -> Sink:
        """Return where lines to it go."""
        ...

    async def ended(self) -> str:
        """Wait for its end and say how it ended, to continue "the upstream 'files' …", for a person."""
        ...

    async def stop(self) -> None:
        """End it, within two seconds; when this returns nothing of it is left."""
        ...


Start: TypeAlias = Callable[[], Awaitable[Link]]
"""Starts an upstream afresh; raises `UpstreamUnavailable` where that cannot be done."""
