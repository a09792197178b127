"""The life of one gateway: start the upstream, run the pumps, and end everything in the right order."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import Final

from aegis_mcp import __version__, ending, relay, wire
from aegis_mcp.audit.record import EventKind, Status
from aegis_mcp.enforcement import Enforcement
from aegis_mcp.errors import UpstreamUnavailable
from aegis_mcp.events import Events
from aegis_mcp.reload import PolicyReload
from aegis_mcp.supervisor import Supervisor

_FLUSH_SECONDS: Final = 0.2
_TEND_SECONDS: Final = 0.5
_LOG_SECONDS: Final = 1.6
"""How long the end may wait for the log: less than the two seconds after which a host loses its patience."""
_LEAST_LOG_SECONDS: Final = 0.4
"""What is left to it of that at the least, whatever the upstream has taken."""


class Gateway:
    """One host, one gate, one upstream."""

    def __init__(self, gate: Enforcement, upstream: Supervisor, events: Events, policy: PolicyReload) -> None:
        self._gate = gate
        self._upstream = upstream
        self._events = events
        self._policy = policy
        self._stop = asyncio.Event()
        self._why = "the host closed the input"
        self._failure: BaseException | None = None

    def catch_signals(self) -> None:
        """Let signals end the gateway well from now on, also those that have waited; before `run`, in its loop."""
        loop = asyncio.get_running_loop()
        for number in ending.SIGNALS:
            if sys.platform == "win32":
                signal.signal(number, lambda caught, _: loop.call_soon_threadsafe(self._on_signal, caught))
            else:
                loop.add_signal_handler(number, self._on_signal, number)
        ending.release()

    async def run(self, wire_in: int, wire_out: int) -> None:
        """Serve the host on these two descriptors until it closes the first one, or a signal asks to end.

        Raises:
            UpstreamUnavailable: the upstream could not be started.
        """
        # A log that does not answer holds up neither the host, whose calls it refuses in time, nor the end.
        self._events.note(EventKind.GATEWAY_STARTED, version=__version__, server=self._upstream.name)
        self._policy.note(self._gate.policy)
        try:
            link = await self._upstream.start()
        except UpstreamUnavailable:
            self._events.hurry(_LOG_SECONDS)
            await self._events.close("the upstream could not be started")
            raise
        host_in, host_out = await wire.read_lines(wire_in), await wire.write_lines(wire_out)
        self._gate.connect(to_host=host_out.send, to_upstream=link.outbox.send)
        inward = asyncio.create_task(relay.pump(host_in, self._gate.host_sent, self._upstream, host_out))
        # Not for room at the upstream: one that answers before it reads on would wait for us, and we for it.
        outward = asyncio.create_task(self._upstream.run(host_out))
        reload = asyncio.create_task(self._policy.run())
        tend = asyncio.create_task(self._tend())
        incidents = asyncio.create_task(self._upstream.follow_incidents())
        for task in (inward, outward, reload, tend, incidents):
            task.add_done_callback(self._on_done)
        inward.add_done_callback(lambda _: self._stop.set())
        await self._stop.wait()
        await self._end(outward, inward, reload, tend, incidents)
        await host_out.close(_FLUSH_SECONDS)
        if self._failure:
            raise self._failure

    def _on_done(self, task: asyncio.Task[None]) -> None:
        # A gate that cannot judge must not stay open, nor shut without a word.
        if not task.cancelled() and task.exception():
            self._failure = task.exception()
            self._why = "an internal error"
            self._stop.set()

    async def _tend(self) -> None:
        """Let the gate do what time brings, until the gateway ends."""
        while True:
            await asyncio.sleep(_TEND_SECONDS)
            await self._gate.tend()

    async def _end(self, outward: asyncio.Task[None], *others: asyncio.Task[None]) -> None:
        """Stop the upstream while what it still answers is recorded and passed on, then close the log."""
        end = time.monotonic() + _LOG_SECONDS
        for task in others:
            task.cancel()
        await self._upstream.stop()
        self._events.hurry(max(end - time.monotonic(), _LEAST_LOG_SECONDS))
        await asyncio.wait({outward}, timeout=_FLUSH_SECONDS)
        outward.cancel()
        await self._gate.upstream_ended("was stopped with the gateway", Status.CANCELLED)
        if self._gate.unrecorded:
            await self._events.record(EventKind.ENTRIES_LOST, count=self._gate.unrecorded)
        await self._events.close(self._why)

    def _on_signal(self, number: int) -> None:
        self._why = signal.Signals(number).name
        self._stop.set()
