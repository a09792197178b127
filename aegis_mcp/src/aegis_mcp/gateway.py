"""The life of one gateway: start the upstream, run the pumps, and end everything in the right order."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from typing import Final

from aegis_mcp import __version__, relay, wire
from aegis_mcp.audit.record import EventKind, Recordkeeper, Status
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.enforcement import Enforcement, OpenPins
from aegis_mcp.errors import AuditUnavailable, UpstreamUnavailable
from aegis_mcp.limits import Limiter
from aegis_mcp.policy.model import Policy
from aegis_mcp.upstream.link import Link, Start

_SIGNALS: Final = ("SIGTERM", "SIGINT", "SIGHUP")
_FLUSH_SECONDS: Final = 0.2
_TEND_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Served:
    """The upstream to serve: its name in policy and log, how it is started, and what the log says of that.

    `address` is the program of a command, or a URL: nothing that may hold a secret. `open_pins` opens the pins of what
    it says of itself, as a policy has it.
    """

    name: str
    start: Start
    address: str
    open_pins: OpenPins


class Gateway:
    """One host, one gate, one upstream."""

    def __init__(
        self, served: Served, policy: Policy, keeper: Recordkeeper, recorder: Recorder, limiter: Limiter
    ) -> None:
        self._served = served
        self._policy = policy
        self._keeper = keeper
        self._recorder = recorder
        self._gate = Enforcement(served.name, policy, keeper, recorder, limiter=limiter, open_pins=served.open_pins)
        self._stop = asyncio.Event()
        self._why = "the host closed the input"
        self._failure: BaseException | None = None

    async def run(self, wire_in: int, wire_out: int) -> None:
        """Serve the host on these two descriptors until it closes the first one, or a signal asks to end.

        Raises:
            UpstreamUnavailable: the upstream could not be started.
        """
        self._catch_signals()
        await self._note(EventKind.GATEWAY_STARTED, version=__version__, server=self._served.name)
        await self._note(EventKind.POLICY_LOADED, sha256=self._policy.sha256, source=self._policy.source)
        upstream = await self._start_upstream()
        host_in, host_out = await wire.read_lines(wire_in), await wire.write_lines(wire_out)
        self._gate.connect(to_host=host_out.send, to_upstream=upstream.outbox.send)
        inward = asyncio.create_task(relay.pump(host_in, self._gate.host_sent, upstream.outbox, host_out))
        # Not for room at the upstream: one that answers before it reads on would wait for us, and we for it.
        outward = asyncio.create_task(relay.pump(upstream.inbox, self._gate.upstream_sent, host_out))
        watch = asyncio.create_task(self._watch(upstream, outward))
        tend = asyncio.create_task(self._tend())
        for task in (inward, outward, watch, tend):
            task.add_done_callback(self._on_done)
        inward.add_done_callback(lambda _: self._stop.set())
        await self._stop.wait()
        tend.cancel()
        await self._end(upstream, inward, outward, watch)
        await host_out.close(_FLUSH_SECONDS)
        if self._failure:
            raise self._failure

    def _on_done(self, task: asyncio.Task[None]) -> None:
        # A gate that cannot judge must not stay open, nor shut without a word.
        if not task.cancelled() and task.exception():
            self._failure = task.exception()
            self._stop.set()

    async def _start_upstream(self) -> Link:
        try:
            upstream = await self._served.start()
        except UpstreamUnavailable as exc:
            await self._note(EventKind.UPSTREAM_LOST, server=self._served.name, reason=str(exc))
            raise
        await self._note(EventKind.UPSTREAM_STARTED, server=self._served.name, command=self._served.address)
        return upstream

    async def _tend(self) -> None:
        """Let the gate do what time brings, until the gateway ends."""
        while True:
            await asyncio.sleep(_TEND_SECONDS)
            await self._gate.tend()

    async def _watch(self, upstream: Link, outward: asyncio.Task[None]) -> None:
        """When the upstream ends by itself, answer what waits and refuse what comes."""
        why = await upstream.ended()
        await outward
        await self._gate.upstream_ended(why, Status.UPSTREAM_LOST)
        await self._note(EventKind.UPSTREAM_LOST, server=self._served.name, reason=why)
        _say(f"the upstream {self._served.name!r} {why}; its calls are refused until the host starts aegis-mcp again")

    async def _end(self, upstream: Link, inward: asyncio.Task[None], *tasks: asyncio.Task[None]) -> None:
        """Stop the upstream while what it still answers is recorded and passed on, then close the log."""
        outward, watch = tasks
        watch.cancel()
        inward.cancel()
        await upstream.stop()
        upstream.inbox.close()
        await asyncio.wait({outward}, timeout=_FLUSH_SECONDS)
        await self._gate.upstream_ended("was stopped with the gateway", Status.CANCELLED)
        await self._note(EventKind.GATEWAY_STOPPED, reason=self._why)
        try:
            await self._recorder.close()
        except AuditUnavailable as exc:
            _say(f"the end of the log is not signed: {exc}")

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is None:
                continue
            if sys.platform == "win32":
                signal.signal(number, lambda caught, _: loop.call_soon_threadsafe(self._on_signal, caught))
            else:
                loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: int) -> None:
        self._why = signal.Signals(number).name
        self._stop.set()

    async def _note(self, kind: EventKind, **details: object) -> None:
        """Record an event of the gateway's own life; it goes on without, and every call will say why it is refused."""
        try:
            await self._recorder.commit([self._keeper.security(kind, details)], is_write=False)
        except AuditUnavailable as exc:
            _say(f"{kind.value} is not recorded: {exc}")


def _say(message: str) -> None:
    print(f"aegis-mcp: {message}", file=sys.stderr, flush=True)  # noqa: T201 - stderr is where hosts look
