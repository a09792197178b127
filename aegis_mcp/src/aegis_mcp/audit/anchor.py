"""The places outside the host: what it takes to leave a checkpoint there. Each call is bounded."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aegis_mcp.errors import AnchorUnavailable
from aegis_mcp.settings import Anchor, AnchorKind

TIMEOUT: Final = 30.0
"""Seconds that a command or a socket has."""

_SYSLOG: Final = "<109>aegis-mcp: checkpoint "
"""Facility 13, log audit, and severity 5, notice (RFC 5424 §6.2.1)."""


def publish(anchor: Anchor, note: bytes) -> None:
    """Leave a checkpoint at a place, and return once it is there.

    Raises:
        AnchorUnavailable: it is not.
    """
    try:
        match anchor.kind:
            case AnchorKind.FILE:
                _to_file(Path(anchor.target[0]), note)
            case AnchorKind.COMMAND:
                _run(anchor.target, note)
            case AnchorKind.SYSLOG:
                _to_syslog(anchor.target[0], note)
            case AnchorKind.GIT:
                _to_git(Path(anchor.target[0]), note)
    except OSError as exc:
        raise AnchorUnavailable(f"{anchor}: {exc.strerror or type(exc).__name__}") from exc
    except subprocess.TimeoutExpired as exc:
        raise AnchorUnavailable(f"{anchor}: not done within {TIMEOUT:g} s") from exc
    except subprocess.CalledProcessError as exc:
        raise AnchorUnavailable(f"{anchor}: ended with status {exc.returncode}") from exc


def _to_file(path: Path, note: bytes) -> None:
    """Put the note in the place of the one before, whole and on the disk."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as stream:
        stream.write(note)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)


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
    _to_file(tree / name, note)
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
