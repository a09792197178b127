"""From the options of `aegis-mcp` and `aegis-mcp wrap` to a gateway that runs."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from aegis_mcp import limits, settings
from aegis_mcp.audit import redaction
from aegis_mcp.audit.anchoring import Anchoring
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.record import EventKind, Recordkeeper
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.cli.signing import signing_keys
from aegis_mcp.enforcement import Enforcement
from aegis_mcp.errors import ConfigError
from aegis_mcp.events import Events
from aegis_mcp.gateway import Gateway
from aegis_mcp.limits import Limiter
from aegis_mcp.pins.quarantine import Pins, default_path
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import PinMode, Policy
from aegis_mcp.policy.watch import PolicyWatch
from aegis_mcp.reload import PolicyReload
from aegis_mcp.supervisor import Served, Supervisor
from aegis_mcp.upstream import environment
from aegis_mcp.upstream.guardian import Guardian
from aegis_mcp.upstream.process import UpstreamProcess

Wire = tuple[int, int]

_ANCHOR_SECONDS = 1.0
"""How long an end waits for the last checkpoint to leave the host; the next start would send it, too."""

_EMBEDDED: Final = ("-m", "aegis_mcp", "workspace")
"""What is part of this package, and changes with it: there is nothing to pin."""


def serve_command(
    wire: Wire,
    policy_file: Path | None,
    audit_log: Path | None,
    served: tuple[str, tuple[str, ...]],
    passed: tuple[str, ...],
) -> None:
    """Serve the upstream `served`, a name and a command, until the host or a signal ends it.

    Raises:
        ConfigError: the policy, the log's place or the environment cannot be used.
        UpstreamUnavailable: the command cannot be run.
    """
    watch = PolicyWatch(policy_file)
    policy = loader.chosen(policy_file)
    with Guardian.start() as guardian:
        _serve(wire, (policy, watch), _process(guardian, policy, served, passed), audit_log)


def serve_policy(
    wire: Wire, policy_file: Path | None, audit_log: Path | None, workspace: Path | None, chosen: str | None
) -> None:
    """Serve the upstream that the policy names, or the embedded workspace server if it names none.

    Raises:
        ConfigError: the policy names several upstreams and none was chosen, or what `serve_command` says.
        UpstreamUnavailable: the upstream cannot be run.
    """
    watch = PolicyWatch(policy_file)
    policy = loader.chosen(policy_file)
    served = _choose(policy, chosen) or ("workspace", _workspace_command(workspace))
    with Guardian.start() as guardian:
        _serve(wire, (policy, watch), _process(guardian, policy, served), audit_log)


def _process(
    guardian: Guardian, policy: Policy, served: tuple[str, tuple[str, ...]], passed: tuple[str, ...] = ()
) -> Served:
    """Return an upstream that is a process; its environment is settled here, before anything starts."""
    name, command = served
    seen = environment.build(os.environ, policy.upstream(name).env, passed)
    # Of the command only the program is said: arguments may hold secrets.
    start = partial(UpstreamProcess.start, command, seen, guardian)
    return Served(name, start, command[0], partial(_open_pins, name, command))


def _open_pins(name: str, command: tuple[str, ...], policy: Policy) -> Pins | None:
    """Return the pins of a server that is started with this command, beside the policy that asks for them."""
    if policy.pins is PinMode.OFF or command[:4] == (sys.executable, *_EMBEDDED):
        return None
    origin = json.dumps(command, ensure_ascii=False, separators=(",", ":"))
    is_required = policy.pins is PinMode.REQUIRE
    return Pins.open(default_path(Path(policy.editable)), name, origin, is_required=is_required)


def _choose(policy: Policy, chosen: str | None) -> tuple[str, tuple[str, ...]] | None:
    commands = {upstream.name: upstream.command for upstream in policy.upstreams.values() if upstream.command}
    if chosen is not None and chosen not in commands:
        raise ConfigError(f"the policy names no upstream {chosen!r} with a command; it names {sorted(commands)}")
    if chosen is None and len(commands) > 1:
        raise ConfigError(f"the policy names the upstreams {sorted(commands)}; choose one with --upstream NAME")
    return next(((name, command) for name, command in commands.items() if chosen in {None, name}), None)


def _workspace_command(workspace: Path | None) -> tuple[str, ...]:
    root = (workspace or settings.default_workspace()).expanduser().absolute()
    return (sys.executable, *_EMBEDDED, "--workspace", str(root))


def _serve(wire: Wire, chosen: tuple[Policy, PolicyWatch], served: Served, audit_log: Path | None) -> None:
    policy, watch = chosen
    key = redaction.RedactionKey.load_or_create(settings.default_redaction_key())
    redact = partial(redaction.encode, mode=policy.audit.arguments, key=key)
    keeper = Recordkeeper(policy_sha256=policy.sha256, redact=redact, scrub=redaction.scrub)
    path = (audit_log or settings.default_audit_log()).expanduser().absolute()
    anchoring = Anchoring(policy.audit.anchors, partial(keeper.security, EventKind.ANCHOR_LAGGING))
    journal = Journal(path, keeper.session_id, policy.audit.rotation, signing_keys(policy.audit, anchoring.offer))
    recorder = Recorder(journal, policy.audit, anchoring)
    limiter = Limiter(limits.path_of(path))
    gate = Enforcement(served.name, policy, keeper, recorder, limiter=limiter, open_pins=served.open_pins)
    events = Events(keeper, recorder)
    reload = PolicyReload(served.name, gate, events, watch)
    gateway = Gateway(gate, Supervisor(served, gate, events), events, reload)
    gc.freeze()  # what a start has made stays: no collection needs to look at it again
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(gateway.run(*wire))
    anchoring.close(_ANCHOR_SECONDS)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the quicker event loop where the platform has it."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
