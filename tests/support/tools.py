"""The programs from elsewhere that tests drive, and where they are."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CACHE = ROOT / ".cache"
_INSTALLED = _CACHE / "node"
_PACKAGES = _INSTALLED / "node_modules"
_PYTHON_SERVERS = ("mcp-server-git", "mcp-server-time")


def filesystem_server(*directories: Path) -> tuple[str, ...]:
    """Return the command of the official filesystem server for these directories."""
    return (*_script("server-filesystem/dist/index.js"), *map(str, directories))


def everything_server() -> tuple[str, ...]:
    """Return the command of the official server that has something of everything."""
    return _script("server-everything/dist/index.js")


@contextmanager
def remote_everything_server() -> Generator[str]:
    """Run that server over streamable HTTP, and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = (*everything_server(), "streamableHttp")
    env = {**os.environ, "PORT": str(port)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env) as process:
        assert process.stderr
        try:
            assert b"listening" in process.stderr.readline()
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()


def memory_server(file: Path) -> tuple[str, ...]:
    """Return the command of the official server that keeps a graph of knowledge in this file."""
    return ("env", f"MEMORY_FILE_PATH={file}", *_script("server-memory/dist/index.js"))


def git_server(repository: Path) -> tuple[str, ...]:
    """Return the command of the official git server for a repository."""
    return (_python_server("mcp-server-git"), "--repository", str(repository))


def time_server() -> tuple[str, ...]:
    """Return the command of the official time server."""
    return (_python_server("mcp-server-time"), "--local-timezone", "UTC")


def conformance_suite() -> tuple[str, ...]:
    """Return the command of the official conformance suite."""
    return _script("conformance/dist/index.js")


def inspector() -> tuple[str, ...]:
    """Return the command of the official Inspector, without a browser."""
    return (*_script("inspector/clients/launcher/build/index.js"), "--cli")


def program(name: str) -> str | None:
    """Return where a program is, which may be where only administrators look; None if it is nowhere."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def missing(marker: str) -> str | None:
    """Say what a test with this marker lacks here, None if it can run."""
    match marker:
        case "node":
            has_packages = (_INSTALLED / ".setup").exists()
            return None if has_packages else "needs Node.js and npm: install them and run `make setup`"
        case "servers":
            has_servers = all((_CACHE / name / ".setup").exists() for name in _PYTHON_SERVERS)
            return None if has_servers else "needs the published Python servers: run `make setup`"
        case "mount":
            return None if shutil.which("mount") and _may_mount() else "needs the right to mount a tmpfs"
        case "openssl":
            return None if _is_openssl_3() else "needs OpenSSL 3: LibreSSL does not verify Ed25519"
        case _:
            return None if program(marker) else f"needs {marker}"


def _may_mount() -> bool:
    # CAP_SYS_ADMIN is bit 21 of the effective capabilities.
    status = Path("/proc/self/status")
    if not status.exists():
        return False
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> 21 & 1)


def _script(path: str) -> tuple[str, str]:
    """Return the command of a script of an official package.

    Some ask for a newer Node.js than systems have; npm has that as a package, one for each platform.
    """
    brought = next(_PACKAGES.glob("node-*/bin/node*"), None)
    return (str(brought or shutil.which("node")), str(_PACKAGES / "@modelcontextprotocol" / path))


def _python_server(name: str) -> str:
    folder = "Scripts" if sys.platform == "win32" else "bin"
    return str(_CACHE / name / folder / name)


def _is_openssl_3() -> bool:
    found = shutil.which("openssl")
    version = subprocess.run([found, "version"], capture_output=True, text=True, check=False).stdout if found else ""
    return version.startswith("OpenSSL ") and int(version.split()[1].split(".")[0]) >= 3
