"""The real `aegis-audit`, in a pipe or on a terminal, with a bound on every wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

from support.loaded import run

WAIT_SECONDS: Final = 30.0
COMMAND: Final = (sys.executable, "-m", "aegis_audit")


@dataclass(frozen=True)
class Outcome:
    """What a command has written, and its exit status."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Return standard output as JSON."""
        return json.loads(self.stdout)


def audit(*arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Outcome:
    """Run the command with its output in pipes."""
    done = run("aegis_audit", map(str, arguments), environment(env), stdin=stdin, seconds=WAIT_SECONDS)
    return Outcome(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


def audit_on_terminal(*arguments: str | Path, columns: int = 80, env: Mapping[str, str] | None = None) -> Outcome:
    """Run the command on a terminal that is so wide."""
    return run_on_terminal(*COMMAND, *arguments, columns=columns, env=env)


def run_on_terminal(*command: str | Path, columns: int = 80, env: Mapping[str, str] | None = None) -> Outcome:
    """Run any command on a terminal; all that it shows is in `stdout`, line ends as `\\n`."""
    if sys.platform == "win32":
        pytest.skip("needs a POSIX terminal")
    import fcntl  # noqa: PLC0415 - Windows has none of these modules
    import pty  # noqa: PLC0415
    import struct  # noqa: PLC0415
    import termios  # noqa: PLC0415

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    shown = bytearray()
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment({"TERM": "xterm-256color", **(env or {})}),
    ) as process:
        os.close(theirs)
        reader = threading.Thread(target=_drain, args=(ours, shown))
        reader.start()
        status = process.wait(WAIT_SECONDS)
        reader.join(WAIT_SECONDS)
        os.close(ours)
    return Outcome(status, shown.decode("utf-8").replace("\r\n", "\n"), "")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment that says nothing of colours or widths but what `extra` says."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "TMPDIR", "SYSTEMROOT"}}
    return {**kept, "LANG": "C.UTF-8", "PYTHONWARNINGS": "error", **(extra or {})}


class Watched:
    """A command that is still running, and the lines that it has written so far."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            (*COMMAND, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        self._shown = bytearray()
        assert self.process.stdout
        self._reader = threading.Thread(target=_drain, args=(self.process.stdout.fileno(), self._shown))
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(WAIT_SECONDS)
        self._reader.join(WAIT_SECONDS)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream
            stream.close()

    @property
    def lines(self) -> list[str]:
        """Return the whole lines so far."""
        return bytes(self._shown).decode("utf-8").split("\n")[:-1]

    def shows(self, count: int) -> list[str]:
        """Wait until so many lines are there, and return them."""
        wait_until(lambda: len(self.lines) >= count, f"{count} lines; there are {self.lines}")
        return self.lines

    def end(self, signal: int | None = None) -> Outcome:
        """Wait for the end, after this signal."""
        if signal is not None:
            self.process.send_signal(signal)
        status = self.process.wait(WAIT_SECONDS)
        self._reader.join(WAIT_SECONDS)
        assert self.process.stderr
        return Outcome(status, bytes(self._shown).decode("utf-8"), self.process.stderr.read().decode("utf-8"))


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}"
        time.sleep(0.01)


def _drain(descriptor: int, into: bytearray) -> None:
    try:
        while piece := os.read(descriptor, 65_536):
            into += piece
    except OSError:
        pass  # a terminal whose last program has gone
