"""Two pumps: what the host sends goes through the gate to the upstream, and what the upstream sends to the host.

Each pump takes everything that has arrived, in order, and takes no more until the gate is done with it and the other
end has room: order is kept and memory is bounded by what the two peers have in flight.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from aegis_mcp.upstream.link import DONE, Gate, Source


class End(Protocol):
    """Where the gate sends to."""

    @property
    def has_room(self) -> bool:
        """Return whether enough of what was sent before has been taken."""
        ...

    async def room(self) -> None:
        """Wait until enough of what was sent before has been taken."""
        ...


async def pump(inbox: Source, gate: Gate, *ends: End) -> None:
    """Take lines through the gate until the inbox ends; wait for room at each end that the gate sends to."""

    def take(lines: Sequence[bytes]) -> Awaitable[None]:
        passing = gate(lines)
        for end in ends:
            if not end.has_room:
                return _wait(passing, ends)
        return passing if passing is DONE else _wait(passing, ends)

    while lines := await inbox.batch(take):
        await take(lines)


async def _wait(passing: Awaitable[None], ends: Sequence[End]) -> None:
    await passing
    for end in ends:
        await end.room()
