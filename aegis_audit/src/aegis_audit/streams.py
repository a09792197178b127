"""The standard streams of a command: any of them may be closed, full, not in UTF-8, or read by nobody."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Final, TextIO

INTERRUPTED: Final = 130
"""The exit status after Ctrl-C: 128 + SIGINT, as a shell has it."""

READER_GONE: Final = 141
"""The exit status once nobody reads the output any more: 128 + SIGPIPE."""


def prepare() -> None:
    """Make every character writable, and a stream that the caller has closed a stream to nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def abandon() -> None:
    """Leave nothing that the interpreter would write, and complain about, at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            discard(stream)


def discard(stream: TextIO) -> None:
    """Send what a stream still holds, and what is written to it from now on, nowhere."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(message: str) -> None:
    """Write a line to standard error, where there is one."""
    with suppress(OSError):
        print(message, file=sys.stderr)  # noqa: T201 - the edge
