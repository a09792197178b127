"""Work that may hang, beside the loop: in a thread that holds up neither what else goes on nor the end of it all."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from aegis_mcp.errors import GatewayError

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """Return what `work` returns; it raises nothing but a `GatewayError`, and has a bound of its own or the caller's.

    Raises:
        GatewayError: what it raises.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[T] = loop.create_future()

    def settle(outcome: T | GatewayError) -> None:
        if found.done():
            return  # nobody waits any more
        if isinstance(outcome, GatewayError):
            found.set_exception(outcome)
        else:
            found.set_result(outcome)

    def run() -> None:
        outcome: T | GatewayError = GatewayError("failed in a way that is not foreseen")
        try:
            outcome = work()
        except GatewayError as exc:
            outcome = exc
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(settle, outcome)

    # The threads of the loop's own pool are waited for at its end.
    threading.Thread(target=run, daemon=True).start()
    return await found
