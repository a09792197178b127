"""A gateway that runs: loaded while its upstream starts."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path

from aegis_audit.value import Value
from aegis_mcp import limits
from aegis_mcp.audit.anchoring import Anchoring
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.record import Recordkeeper
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.cli.signing import signing_keys
from aegis_mcp.enforcement import Enforcement
from aegis_mcp.events import Events
from aegis_mcp.gateway import Gateway
from aegis_mcp.limits import Limiter
from aegis_mcp.pins.quarantine import Pins
from aegis_mcp.policy.model import Policy, Upstream
from aegis_mcp.policy.watch import PolicyWatch
from aegis_mcp.reload import PolicyReload
from aegis_mcp.stdio import Wire
from aegis_mcp.supervisor import Served, Supervisor
from aegis_mcp.upstream.incident import Incidents
from aegis_mcp.upstream.launch import Launch
from aegis_mcp.upstream.process import UpstreamProcess

_ANCHOR_SECONDS = 1.0
"""How long an end waits for the last checkpoint to leave the host; the next start would send it, too."""


class Checked(Value):
    """What a gateway is made of, all of it looked at already; `launch` is that of a local upstream."""

    policy: Policy
    watch: PolicyWatch
    upstream: Upstream
    launch: Launch | None
    open_pins: Callable[[Policy], Pins | None]
    log: Path
    keeper: Recordkeeper
    anchoring: Anchoring


def run(wire: Wire, checked: Checked) -> None:
    """Serve the upstream until the host or a signal ends it.

    Raises:
        ConfigError: a secret of a remote upstream is missing, or the place of the logins cannot be used.
        UpstreamUnavailable: the command cannot be run.
    """
    policy, keeper, anchoring = checked.policy, checked.keeper, checked.anchoring
    served = _served(checked)
    journal = Journal(
        checked.log, keeper.session_id, policy.audit.rotation, signing_keys(policy.audit, anchoring.offer)
    )
    recorder = Recorder(journal, policy.audit, anchoring)
    limiter = Limiter(limits.path_of(checked.log))
    gate = Enforcement(served.name, policy, keeper, recorder, limiter=limiter, open_pins=served.open_pins)
    events = Events(keeper, recorder)
    reload = PolicyReload(served.name, gate, events, checked.watch)
    gateway = Gateway(gate, Supervisor(served, gate, events), events, reload)
    make_loop = _loop_factory()
    gc.freeze()  # what a start has made stays: no collection needs to look at it again
    gc.enable()
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(_run(wire, gateway, anchoring))
    anchoring.close(_ANCHOR_SECONDS)


async def _run(wire: Wire, gateway: Gateway, anchoring: Anchoring) -> None:
    gateway.catch_signals()
    anchoring.resume()  # not before: a thread would get the signals that wait, or hand it on that they do
    await gateway.run(*wire)


def _served(checked: Checked) -> Served:
    upstream = checked.upstream
    if checked.launch is None:
        from aegis_mcp.cli.remote import served  # noqa: PLC0415 - who has no remote upstream does not load HTTP

        return served(upstream, checked.open_pins, checked.policy)
    start = partial(UpstreamProcess.start, checked.launch)
    return Served(upstream.name, start, checked.launch.program, checked.open_pins, Incidents(upstream.name))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the quicker event loop where the platform has it."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
