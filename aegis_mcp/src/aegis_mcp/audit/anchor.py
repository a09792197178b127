"""The places outside the host: what it takes to leave a checkpoint there. Each call is bounded."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aegis_audit.value import Value
from aegis_mcp.audit import stamping
from aegis_mcp.audit.cosigning import Cosigning
from aegis_mcp.audit.sidecar import put, sidecar_of
from aegis_mcp.audit.stamping import Stamping
from aegis_mcp.errors import AnchorUnavailable
from aegis_mcp.settings import Anchor, AnchorKind

TIMEOUT: Final = 30.0
"""Seconds that a command or a socket has."""

_SYSLOG: Final = "<109>aegis-mcp: checkpoint "
"""Facility 13, log audit, and severity 5, notice (RFC 5424 §6.2.1)."""


class Place(Value):
    """A place that takes checkpoints: `publish` returns once one is there, or raises `AnchorUnavailable`.

    A place is not asked again within `spacing` seconds.
    """

    name: str
    publish: Callable[[bytes], None]
    trace: Trace
    spacing: float = 0.0


class Trace(Value):
    """A file that is there while a place is behind, and whose time says since when: it outlives the gateway."""

    path: Path

    def since(self) -> float | None:
        """Return since when the place is behind, on the monotonic clock; None if it is not."""
        with suppress(OSError):
            return time.monotonic() - max(0.0, time.time() - self.path.stat().st_mtime)
        return None

    def leave(self) -> None:
        """Note that the place is behind from now on, or that it still is."""
        with suppress(OSError):
            self.path.touch(mode=0o600, exist_ok=False)

    def clear(self) -> None:
        """Note that it is not behind any more."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def place_of(anchor: Anchor, log: Path, warn: Callable[[str], None]) -> Place:
    """Return the place that an anchor names, for the checkpoints of a log.

    Raises:
        ConfigError: it cannot be used as it is given.
    """
    name = hashlib.sha256(json.dumps([anchor.kind.value, *anchor.target]).encode("utf-8")).hexdigest()
    trace = Trace(sidecar_of(log) / f"behind-{name[:16]}")
    publish = partial(_publish, str(anchor), _means(anchor, log, warn))
    return Place(str(anchor), publish, trace, stamping.SPACING if anchor.kind is AnchorKind.TIMESTAMP else 0.0)


def _means(anchor: Anchor, log: Path, warn: Callable[[str], None]) -> Callable[[bytes], object]:
    target = anchor.target[0]
    match anchor.kind:
        case AnchorKind.FILE:
            return partial(put, Path(target))
        case AnchorKind.COMMAND:
            return partial(_run, anchor.target)
        case AnchorKind.SYSLOG:
            return partial(_to_syslog, target)
        case AnchorKind.GIT:
            return partial(_to_git, Path(target))
        case AnchorKind.TIMESTAMP:
            return Stamping(target, sidecar_of(log)).publish
        case AnchorKind.WITNESS:
            return Cosigning.of(Path(target), log, warn).publish


def _publish(name: str, means: Callable[[bytes], object], note: bytes) -> None:
    try:
        means(note)
    except AnchorUnavailable as exc:
        raise AnchorUnavailable(f"{name}: {exc}") from exc
    except OSError as exc:
        raise AnchorUnavailable(f"{name}: {exc.strerror or type(exc).__name__}") from exc
    except subprocess.TimeoutExpired as exc:
        raise AnchorUnavailable(f"{name}: not done within {TIMEOUT:g} s") from exc
    except subprocess.CalledProcessError as exc:
        raise AnchorUnavailable(f"{name}: ended with status {exc.returncode}") from exc


def _to_syslog(address: str, note: bytes) -> None:
    """Send the note in one line, as a JSON text."""
    if sys.platform == "win32":
        raise OSError(0, "there is no syslog on this platform")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(TIMEOUT)
        sender.connect(address)
        sender.send((_SYSLOG + json.dumps(note.decode("utf-8"))).encode("ascii"))


def _to_git(tree: Path, note: bytes) -> None:
    """Commit the note in a work tree, and push it where the tree has a remote."""
    origin = note.split(b"\n", 1)[0].decode("utf-8")
    name = f"{quote(origin, safe='')}.checkpoint"
    put(tree / name, note)
    git = ("git", "-C", str(tree))
    _run((*git, "add", "--", name))
    if _run((*git, "status", "--porcelain", "--", name)):
        _run((*git, "commit", "--quiet", "--message", f"checkpoint of {origin}", "--", name))
    if _run((*git, "remote")):
        _run((*git, "push", "--quiet"))


def _run(command: tuple[str, ...], given: bytes = b"") -> bytes:
    done = subprocess.run(
        command, input=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT, check=True
    )
    return done.stdout
