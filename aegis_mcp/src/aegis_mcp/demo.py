"""The demonstration: the real gateway, a real client, the real commands, and a check that each did what it says."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, TextContent

_SECONDS: Final = 60
_NOTE: Final = "Water the plants on Friday.\n"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demonstration takes place: a folder that is gone afterwards."""

    folder: Path

    @property
    def workspace(self) -> Path:
        """Return the folder that the embedded server serves."""
        return self.folder / "workspace"

    @property
    def log(self) -> Path:
        """Return the audit log."""
        return self.folder / "logs" / "audit.log"

    @property
    def environment(self) -> dict[str, str]:
        """Return an environment in which nothing of the user's is read or written."""
        directories = {
            name: str(self.folder / name.lower()) for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
        }
        return {**os.environ, "HOME": str(self.folder), **directories}


class Show:
    """Says what happens and whether it is what should; `say` writes one line, `mark` colours its first word."""

    def __init__(self, say: Callable[[str], None], mark: Callable[[str, bool], str]) -> None:
        self._say = say
        self._mark = mark
        self.is_good = True

    def chapter(self, title: str, why: str) -> None:
        """Begin a part."""
        self._say(f"\n{title}\n  {why}\n")

    def check(self, claim: str, *, holds: bool) -> None:
        """Say whether a claim holds."""
        self.is_good &= holds
        self._say(f"  {self._mark('ok' if holds else 'FAILED', holds)}  {claim}")

    def quote(self, text: str) -> None:
        """Show what somebody else said."""
        for line in text.rstrip().splitlines():
            self._say(f"      {line}")


def run(show: Show) -> bool:
    """Run the demonstration; return whether everything did what it says."""
    with tempfile.TemporaryDirectory(prefix="aegis-demo-") as folder:
        stage = Stage(Path(folder))
        stage.workspace.mkdir()
        (stage.workspace / "note.txt").write_text(_NOTE, encoding="utf-8")
        _show_calls(stage, show)
        _show_log(stage, show)
        _show_verification(stage, show)
        _show_tampering(stage, show)
    return show.is_good


def _show_calls(stage: Stage, show: Show) -> None:
    show.chapter(
        "1. A client calls tools through the gateway",
        "Policy decides on every call; the log has it before the server does.",
    )
    tools, read, written = asyncio.run(asyncio.wait_for(_call(stage), _SECONDS))
    is_hidden = bool(tools) and "write_file" not in tools
    show.check(f"what policy would refuse anyway is left out of the list: {', '.join(tools)}", holds=is_hidden)
    show.check("read_file is a read: it passes, and the answer comes back", holds=_text(read) == _NOTE)
    is_unchanged = (stage.workspace / "note.txt").read_text(encoding="utf-8") == _NOTE
    show.check(
        "write_file is a write: called all the same it is refused, and the file is as it was",
        holds=written.is_error is True and is_unchanged,
    )
    show.quote(_text(written))


async def _call(stage: Stage) -> tuple[list[str], CallToolResult, CallToolResult]:
    """Drive the gateway as a host does; return the tools that it lists, and what a read and a write get."""
    arguments = ["-m", "aegis_mcp", "--audit-log", str(stage.log), "--workspace", str(stage.workspace)]
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env=stage.environment)
    with open(os.devnull, "w", encoding="utf-8") as quiet:  # noqa: ASYNC230, PTH123 - the servers' own chatter
        async with stdio_client(parameters, errlog=quiet) as streams, ClientSession(*streams) as session:
            await session.initialize()
            tools = [tool.name for tool in (await session.list_tools()).tools]
            read = await session.call_tool("read_file", {"path": "note.txt"})
            written = await session.call_tool("write_file", {"path": "note.txt", "content": "gone"})
    return tools, read, written


def _show_log(stage: Stage, show: Show) -> None:
    show.chapter(
        "2. What the log says", "aegis-audit inspect: an intent before each call, an outcome after it, and the refusal."
    )
    inspected = _audit(stage, "inspect", str(stage.log))
    show.quote(inspected.stdout)
    show.check("the allowed call and the refused one are both there", holds=_has_all(inspected.stdout))


def _show_verification(stage: Stage, show: Show) -> None:
    show.chapter("3. Is the log intact?", "aegis-audit verify: every hash, every link, every number.")
    verified = _audit(stage, "verify", str(stage.log))
    show.quote(verified.stdout)
    show.check("the log is valid (exit status 0)", holds=verified.returncode == 0)


def _show_tampering(stage: Stage, show: Show) -> None:
    show.chapter("4. And now?", "The same, on a copy in which one byte was changed.")
    copy = stage.folder / "copy.log"
    content = stage.log.read_bytes()
    copy.write_bytes(content.replace(b'"deny"', b'"denx"', 1))
    verified = _audit(stage, "verify", str(copy))
    show.quote(verified.stdout)
    show.check("the change is found (exit status 1)", holds=verified.returncode == 1 and copy.read_bytes() != content)


def _audit(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aegis_audit", *arguments]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", env=stage.environment, timeout=_SECONDS, check=False
    )


def _has_all(text: str) -> bool:
    return all(word in text for word in ("read_file", "write_file", "deny", "allow"))


def _text(result: CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, TextContent))
