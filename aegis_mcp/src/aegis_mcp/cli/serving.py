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

from aegis_audit.value import replace
from aegis_mcp import limits, settings
from aegis_mcp.audit import redaction
from aegis_mcp.audit.anchoring import Anchoring
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.record import EventKind, Recordkeeper
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.cli.secret import check_secret
from aegis_mcp.cli.signing import signing_keys
from aegis_mcp.enforcement import Enforcement
from aegis_mcp.errors import ConfigError
from aegis_mcp.events import Events, say
from aegis_mcp.gateway import Gateway
from aegis_mcp.limits import Limiter
from aegis_mcp.pins.quarantine import Pins, default_path
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import PinMode, Policy, Upstream
from aegis_mcp.policy.watch import PolicyWatch
from aegis_mcp.reload import PolicyReload
from aegis_mcp.supervisor import Served, Supervisor
from aegis_mcp.upstream import environment
from aegis_mcp.upstream.guardian import Guardian
from aegis_mcp.upstream.incident import Incidents
from aegis_mcp.upstream.process import UpstreamProcess

Wire = tuple[int, int]

_ANCHOR_SECONDS = 1.0
"""How long an end waits for the last checkpoint to leave the host; the next start would send it, too."""

_EMBEDDED: Final = ("-m", "aegis_mcp", "workspace")
"""What is part of this package, and changes with it: there is nothing to pin."""


def serve_wrapped(
    wire: Wire, policy_file: Path | None, audit_log: Path | None, given: Upstream, passed: tuple[str, ...]
) -> None:
    """Serve an upstream whose command or URL was given, until the host or a signal ends it.

    Raises:
        ConfigError: the policy, the log's place or the environment cannot be used.
        UpstreamUnavailable: the command cannot be run.
    """
    watch = PolicyWatch(policy_file)
    policy = loader.chosen(policy_file)
    known = policy.upstream(given.name)
    by_command = replace(known, command=given.command, url=None)
    upstream = known.at(given.url, logs_in=given.auth is not None) if given.url else by_command
    with Guardian.start() as guardian:
        _serve(wire, (policy, watch), _served(guardian, policy, upstream, passed), audit_log)


def serve_policy(
    wire: Wire, policy_file: Path | None, audit_log: Path | None, workspace: Path | None, chosen: str | None
) -> None:
    """Serve the upstream that the policy names, or the embedded workspace server if it names none.

    Raises:
        ConfigError: the policy names several upstreams and none was chosen, or what `serve_wrapped` says.
        UpstreamUnavailable: the upstream cannot be run.
    """
    watch = PolicyWatch(policy_file)
    policy = loader.chosen(policy_file)
    upstream = _choose(policy, chosen) or replace(policy.upstream("workspace"), command=_workspace_command(workspace))
    with Guardian.start() as guardian:
        _serve(wire, (policy, watch), _served(guardian, policy, upstream), audit_log)


def _served(guardian: Guardian, policy: Policy, upstream: Upstream, passed: tuple[str, ...] = ()) -> Served:
    """Return what is to be served; its environment and secrets are settled here, before anything starts."""
    check_secret(policy, upstream)
    if upstream.url:
        from aegis_mcp.cli.remote import served  # noqa: PLC0415 - who has no remote upstream does not load HTTP

        return served(upstream, partial(_open_pins, upstream), policy)
    command = upstream.command
    assert command  # noqa: S101 - what is served has a command or a URL
    seen = environment.build(os.environ, upstream.env, passed)
    start = partial(UpstreamProcess.start, command, seen, guardian)
    # Of the command only the program is said: arguments may hold secrets.
    return Served(upstream.name, start, command[0], partial(_open_pins, upstream), Incidents(upstream.name))


def _open_pins(upstream: Upstream, policy: Policy) -> Pins | None:
    """Return the pins of a server that is reached in this way, beside the policy that asks for them."""
    command = upstream.command or ()
    if policy.pins is PinMode.OFF or command[:4] == (sys.executable, *_EMBEDDED):
        return None
    origin = upstream.url or json.dumps(command, ensure_ascii=False, separators=(",", ":"))
    is_required = policy.pins is PinMode.REQUIRE
    return Pins.open(default_path(Path(policy.editable)), upstream.name, origin, is_required=is_required)


def _choose(policy: Policy, chosen: str | None) -> Upstream | None:
    known = {name: upstream for name, upstream in policy.upstreams.items() if upstream.command or upstream.url}
    if chosen is not None and chosen not in known:
        names = ", ".join(map(repr, sorted(known))) or "none"
        raise ConfigError(f"the policy names no upstream {chosen!r} with a command or a url; it names {names}")
    if chosen is None and len(known) > 1:
        raise ConfigError(f"the policy names the upstreams {sorted(known)}; choose one with --upstream NAME")
    return next((upstream for name, upstream in known.items() if chosen in {None, name}), None)


def _workspace_command(workspace: Path | None) -> tuple[str, ...]:
    root = (workspace or settings.default_workspace()).expanduser().absolute()
    return (sys.executable, *_EMBEDDED, "--workspace", str(root))


def _serve(wire: Wire, chosen: tuple[Policy, PolicyWatch], served: Served, audit_log: Path | None) -> None:
    policy, watch = chosen
    key = redaction.RedactionKey.load_or_create(settings.default_redaction_key())
    redact = partial(redaction.encode, mode=policy.audit.arguments, key=key)
    keeper = Recordkeeper(policy_sha256=policy.sha256, redact=redact, scrub=redaction.scrub)
    path = (audit_log or settings.default_audit_log()).expanduser().absolute()
    lagging = partial(keeper.security, EventKind.ANCHOR_LAGGING)
    anchoring = Anchoring(policy.audit.anchors, path, entry=lagging, warn=say)
    journal = Journal(path, keeper.session_id, policy.audit.rotation, signing_keys(policy.audit, anchoring.offer))
    recorder = Recorder(journal, policy.audit, anchoring)
    limiter = Limiter(limits.path_of(path))
    gate = Enforcement(served.name, policy, keeper, recorder, limiter=limiter, open_pins=served.open_pins)
    events = Events(keeper, recorder)
    reload = PolicyReload(served.name, gate, events, watch)
    gateway = Gateway(gate, Supervisor(served, gate, events), events, reload)
    anchoring.resume()
    make_loop = _loop_factory()
    gc.freeze()  # what a start has made stays: no collection needs to look at it again
    gc.enable()
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(gateway.run(*wire))
    anchoring.close(_ANCHOR_SECONDS)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the quicker event loop where the platform has it."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
