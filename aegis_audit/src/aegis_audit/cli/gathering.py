"""What is known of a log from outside of it, gathered before the log is read: it holds that then, and more."""

from __future__ import annotations

from pathlib import Path

from aegis_audit.anchor import load_anchor
from aegis_audit.checks.known import Known
from aegis_audit.key import default_directory, find_roots
from aegis_audit.sidecar import booted_at, find_sidecars
from aegis_audit.state import load
from aegis_audit.timestamp import Authorities
from aegis_audit.trust import Pin, Trust
from aegis_audit.verify import Knowledge
from aegis_audit.witness import WitnessPolicy


def gather(
    paths: tuple[str, ...],
    trust: Trust,
    *,
    anchors: tuple[Path, ...] = (),
    heads: tuple[Known, ...] = (),
    state: Path | None = None,
    no_sidecar: bool = False,
) -> Knowledge:
    """Return what options say of the logs at `paths`, and what stands beside them.

    Raises:
        UnusableAnchor: a checkpoint cannot be read.
        UnusableState: the earlier verification cannot be read.
    """
    return Knowledge(
        heads=heads,
        anchors=tuple(map(load_anchor, anchors)),
        earlier=load(state) if state else None,
        sidecars=() if no_sidecar else tuple(find_sidecars(paths)),
        trust=trust,
        booted=booted_at(),
    )


def trust_in(
    pins: tuple[Pin, ...], witnesses: WitnessPolicy | None = None, authorities: Authorities | None = None
) -> Trust:
    """Return whose signatures count: the keys that were given, else those that this host keeps."""
    directory = default_directory()
    named = tuple(Pin(key, "named by the witness policy") for key in witnesses.logs) if witnesses else ()
    kept = f"kept on this host in {directory}"
    return Trust((*pins, *named), lambda origin: find_roots(origin, directory), kept, witnesses, authorities)
