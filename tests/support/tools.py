"""The programs from elsewhere that tests drive, and where they are."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
_INSTALLED = ROOT / ".cache" / "node"
_SERVERS = _INSTALLED / "node_modules" / "@modelcontextprotocol"


def filesystem_server(*directories: Path) -> tuple[str, ...]:
    """Return the command of the official filesystem server for these directories."""
    return (_node(), str(_SERVERS / "server-filesystem" / "dist" / "index.js"), *map(str, directories))


def everything_server() -> tuple[str, ...]:
    """Return the command of the official server that has something of everything."""
    return (_node(), str(_SERVERS / "server-everything" / "dist" / "index.js"))


def program(name: str) -> str | None:
    """Return where a program is, which may be where only administrators look; None if it is nowhere."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def missing(marker: str) -> str | None:
    """Say what a test with this marker lacks here, None if it can run."""
    match marker:
        case "node":
            has_servers = shutil.which("node") and (_INSTALLED / ".setup").exists()
            return None if has_servers else "needs Node.js and npm: install them and run `make setup`"
        case "mount":
            return None if shutil.which("mount") and _may_mount() else "needs the right to mount a tmpfs"
        case _:
            return None if program(marker) else f"needs {marker}"


def _may_mount() -> bool:
    # CAP_SYS_ADMIN is bit 21 of the effective capabilities.
    status = Path("/proc/self/status")
    if not status.exists():
        return False
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> 21 & 1)


def _node() -> str:
    return shutil.which("node") or "node"
