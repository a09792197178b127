"""From the options of `aegis-mcp` and `aegis-mcp wrap` to an upstream that starts, and a gateway in front of it."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Final

from aegis_audit.value import replace
from aegis_mcp import settings
from aegis_mcp.audit import redaction
from aegis_mcp.audit.anchoring import Anchoring
from aegis_mcp.audit.record import EventKind, Recordkeeper
from aegis_mcp.cli.secret import check_secret
from aegis_mcp.errors import ConfigError
from aegis_mcp.notice import say
from aegis_mcp.pins.quarantine import Pins, default_path
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import PinMode, Policy, Upstream
from aegis_mcp.policy.watch import PolicyWatch
from aegis_mcp.stdio import Wire
from aegis_mcp.upstream import environment
from aegis_mcp.upstream.guardian import Guardian
from aegis_mcp.upstream.launch import Launch

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
    _serve(wire, (policy, watch), (upstream, passed), audit_log)


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
    _serve(wire, (policy, watch), (upstream, ()), audit_log)


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
    root = settings.workspace(workspace)
    return (sys.executable, *_EMBEDDED, "--workspace", str(root))


def _serve(
    wire: Wire, chosen: tuple[Policy, PolicyWatch], served: tuple[Upstream, tuple[str, ...]], audit_log: Path | None
) -> None:
    """Look at all that could be wrong, and only then start the upstream; what else there is to load comes meanwhile."""
    policy, watch = chosen
    upstream, passed = served
    check_secret(policy, upstream)
    seen = {} if upstream.url else environment.build(os.environ, upstream.env, passed)
    with Guardian.start() as guardian:
        key = redaction.RedactionKey.load_or_create(settings.default_redaction_key())
        redact = partial(redaction.encode, mode=policy.audit.arguments, key=key)
        keeper = Recordkeeper(policy_sha256=policy.sha256, redact=redact, scrub=redaction.scrub)
        path = settings.audit_log(audit_log)
        lagging = partial(keeper.security, EventKind.ANCHOR_LAGGING)
        anchoring = Anchoring(policy.audit.anchors, path, entry=lagging, warn=say)
        launch = Launch(upstream.command, seen, guardian) if upstream.command else None
        with launch or nullcontext():
            from aegis_mcp.cli.running import Checked, run  # noqa: PLC0415 - while the upstream starts

            open_pins = partial(_open_pins, upstream)
            run(wire, Checked(policy, watch, upstream, launch, open_pins, path, keeper, anchoring))
