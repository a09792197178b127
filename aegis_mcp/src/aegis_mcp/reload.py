"""A policy file that changes decides as it is now; where it cannot be used, the last one that could goes on."""

from __future__ import annotations

import asyncio
import contextlib

from aegis_audit.value import replace
from aegis_mcp.audit.record import MAX_TEXT, EventKind
from aegis_mcp.enforcement import Enforcement
from aegis_mcp.errors import ConfigError
from aegis_mcp.events import Events
from aegis_mcp.notice import say
from aegis_mcp.policy.model import Policy, Upstream
from aegis_mcp.policy.watch import PolicyWatch


class PolicyReload:
    """Follows one policy file for one gate in front of the upstream `server`."""

    def __init__(self, server: str, gate: Enforcement, events: Events, watch: PolicyWatch) -> None:
        self._server = server
        self._gate = gate
        self._events = events
        self._watch = watch
        self._launched = _launch(gate.policy, server)
        self._is_rejected = False

    async def run(self) -> None:
        """Take over what the file holds, each time that it changes."""
        found: asyncio.Queue[Policy | ConfigError] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def hand_over(policy: Policy | ConfigError) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(found.put_nowait, policy)

        self._watch.start(hand_over)
        while True:
            policy = await found.get()
            if isinstance(policy, ConfigError):
                await self._reject(policy)
            else:
                self._adopt(policy)

    def note(self, policy: Policy, **details: object) -> None:
        """Record which policy decides from now on."""
        self._events.note(EventKind.POLICY_LOADED, sha256=policy.sha256, source=policy.source, **details)

    async def _reject(self, error: ConfigError) -> None:
        self._is_rejected = True
        mistakes = "; ".join(str(error).splitlines())
        reason = mistakes if len(mistakes) <= MAX_TEXT else f"{mistakes[: MAX_TEXT - 1]}…"
        await self._events.record(EventKind.POLICY_REJECTED, reason=reason)
        say(f"the policy cannot be used, so the one before it still decides: {mistakes}")

    def _adopt(self, policy: Policy) -> None:
        deferred = self._deferred(policy)
        # Who reads the log may rely on how it was written for all of a session.
        is_other = self._gate.adopt(replace(policy, audit=self._gate.policy.audit))
        if not is_other and not self._is_rejected:
            return
        self._is_rejected = False
        self.note(policy, **({"deferred": deferred} if deferred else {}))
        say(f"the policy {policy.source} decides from now on")
        if deferred:
            say(f"what has changed in {deferred} holds from the next start of aegis-mcp on")
        if is_other:
            self._gate.announce()

    def _deferred(self, policy: Policy) -> str:
        """Name the sections that are read at the start only and say something else than at the start."""
        audit = "audit" if policy.audit != self._gate.policy.audit else ""
        launch = f"upstreams.{self._server}" if _launch(policy, self._server) != self._launched else ""
        return ", ".join(section for section in (audit, launch) if section)


def _launch(policy: Policy, server: str) -> Upstream:
    """Return of an upstream only how it is started."""
    return replace(policy.upstream(server), trust_annotations=False, access=())
