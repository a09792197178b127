"""What the gateway says to the person who reads the host's logs."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import Final

from aegis_mcp.audit.redaction import scrub

_STDERR: Final = 2
_AT_ONCE: Final = 4096
"""Bytes that a pipe which can be written to takes without waiting (POSIX, PIPE_BUF on Linux)."""


def say(message: str) -> None:
    """Say something on stderr, where hosts look, without secrets; nothing waits for a host that does not read it."""
    line = f"aegis-mcp: {scrub(message)}\n".encode("utf-8", "replace")
    with contextlib.suppress(OSError):
        if sys.platform == "win32" or select.select([], [_STDERR], [], 0)[1]:
            os.write(_STDERR, line[:_AT_ONCE])
