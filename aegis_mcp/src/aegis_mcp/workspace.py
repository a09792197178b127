"""The embedded server: a folder of text files that a host may list, read, search, write and delete in.

It is an upstream like any other: a process of its own, judged by policy like any other. Nothing that it is asked leads
out of its root: a path is resolved, links and all, before it is used.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from aegis_mcp import __version__
from aegis_mcp.errors import ConfigError

MAX_FILE: Final = 1024 * 1024
"""Bytes of the largest file that is read, searched or written."""

MAX_RESULTS: Final = 1000
"""How many files or lines one answer lists."""

MAX_VISITED: Final = 20_000
"""How many files one listing or search looks at."""

_READS: Final = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_WRITES: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)


def serve(root: Path) -> None:
    """Serve the folder `root` over stdio until the input ends; it is made, for its owner alone, if it is missing.

    Raises:
        ConfigError: there cannot be such a folder.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        reason = f"the workspace {str(root)!r} cannot be made: {exc.strerror}"
        raise ConfigError(f"{reason}; give a folder of your own with --workspace or AEGIS_WORKSPACE") from exc
    server(root).run("stdio")


def server(root: Path) -> MCPServer[None]:
    """Return the server of a folder that exists."""
    workspace = Workspace(root)
    made: MCPServer[None] = MCPServer(
        "aegis-workspace",
        instructions=f"Text files below one folder: {root.name}",
        version=__version__,
        # Whoever asks is answered with the error; a traceback on stderr would quote what was asked.
        log_level="CRITICAL",
    )
    for tool in (workspace.list_files, workspace.read_file, workspace.search_files):
        made.tool(annotations=_READS)(tool)
    for tool in (workspace.write_file, workspace.delete_file):
        made.tool(annotations=_WRITES)(tool)
    return made


class Workspace:
    """The tools, one method each; their docstrings are what a model reads.

    Each raises `ToolError` with a reason that names no path outside of the root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve(strict=True)

    def list_files(self, folder: str = ".") -> list[str]:
        """List the files below a folder, as paths relative to the workspace."""
        start = self._resolve(folder)
        if not start.is_dir():
            raise ToolError(f"no folder {folder!r}")
        return [self._name(path) for path in self._files(start)][:MAX_RESULTS]

    def read_file(self, path: str) -> str:
        """Read a text file."""
        return self._read(self._resolve(path), path)

    def search_files(self, text: str, folder: str = ".") -> list[str]:
        """Find lines that contain a text, ignoring case; each is given as path:line: content."""
        found: list[str] = []
        for path in self._files(self._resolve(folder)):
            try:
                lines = self._read(path, path.name).splitlines()
            except ToolError:
                continue  # not text, or too large: nothing to find in it
            name = self._name(path)
            found += [f"{name}:{n}: {line[:300]}" for n, line in enumerate(lines, 1) if text.lower() in line.lower()]
            if len(found) >= MAX_RESULTS:
                break
        return found[:MAX_RESULTS]

    def write_file(self, path: str, content: str) -> str:
        """Write a text file, replacing it as a whole if it is there; its folder is made if need be."""
        target = self._resolve(path)
        data = content.encode("utf-8", "surrogatepass")
        if len(data) > MAX_FILE:
            raise ToolError(f"{len(data)} bytes; a file has at most {MAX_FILE}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, data)
        except OSError as exc:
            raise ToolError(f"{path!r} cannot be written: {exc.strerror}") from exc
        return f"wrote {len(data)} bytes to {path}"

    def delete_file(self, path: str) -> str:
        """Delete a file."""
        try:
            self._resolve(path).unlink()
        except OSError as exc:
            raise ToolError(f"{path!r} cannot be deleted: {exc.strerror}") from exc
        return f"deleted {path}"

    def _resolve(self, path: str) -> Path:
        try:
            resolved = (self._root / path).resolve()
            resolved.exists()  # a name that is too long shows here
        except (OSError, ValueError, RuntimeError) as exc:
            raise ToolError(f"{path!r} is not a path") from exc
        if not resolved.is_relative_to(self._root):
            raise ToolError(f"{path!r} is outside of the workspace")
        return resolved

    def _files(self, start: Path) -> Iterator[Path]:
        """Yield the files below a folder in order, links left out."""
        visited = 0
        for folder, folders, files in os.walk(start):
            folders.sort()
            for name in sorted(files):
                visited += 1
                if visited > MAX_VISITED:
                    return
                path = Path(folder, name)
                if path.is_file() and not path.is_symlink():
                    yield path

    def _read(self, path: Path, name: str) -> str:
        if not path.is_file():
            raise ToolError(f"no file {name!r}")
        try:
            with open(path, "rb", opener=_open_plain) as file:
                data = file.read(MAX_FILE + 1)
            text = data.decode("utf-8")
        except OSError as exc:
            raise ToolError(f"{name!r} cannot be read: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise ToolError(f"{name!r} is not text") from exc
        if len(data) > MAX_FILE:
            raise ToolError(f"{name!r} has more than {MAX_FILE} bytes")
        return text

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _open_plain(path: str, flags: int) -> int:
    # A FIFO would hold the server up for ever; a link that was put there since the check is not followed.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _replace(target: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".write-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, target)  # noqa: PTH105 - the name of what mkstemp gave
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
