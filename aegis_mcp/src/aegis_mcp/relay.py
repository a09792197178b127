"""Two pumps: what the host sends goes through the gate to the upstream, and what the upstream sends to the host.

Each pump takes everything that has arrived, in order, and takes no more until the gate is done with it and the other
end has room: order is kept and memory is bounded by what the two peers have in flight.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aegis_mcp.upstream.link import Source


async def pump(
    inbox: Source, gate: Callable[[Sequence[bytes]], Awaitable[None]], *rooms: Callable[[], Awaitable[None]]
) -> None:
    """Take lines through the gate until the inbox ends; wait for room at each end that the gate sends to."""
    while lines := await inbox.batch():
        await gate(lines)
        for room in rooms:
            await room()
