"""A host that speaks raw JSON-RPC over real pipes, with a bound on every wait."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

WAIT_SECONDS: Final = 20.0

INITIALIZE: Final[dict[str, Any]] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "raw-host", "version": "1"},
}

GATEWAY: Final = (sys.executable, "-m", "aegis_mcp")


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which every default path is below `home`."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "TMPDIR", "SYSTEMROOT"}}
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_STATE_HOME": str(home / "state"),
        **(extra or {}),
    }


class RawHost:
    """A running stdio server and the lines it sends: every line that arrives is kept in `lines`, in order."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(env)
        )
        self.lines: list[bytes] = []
        self.stderr = b""
        self._arrived: queue.Queue[bytes | None] = queue.Queue()
        self._next_id = 0
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._read_stderr)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, frame: bytes | Mapping[str, Any]) -> None:
        """Send one line; bytes go as they are, LF added."""
        assert self.process.stdin
        line = frame if isinstance(frame, bytes) else json.dumps(frame, ensure_ascii=False).encode()
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def receive(self, seconds: float = WAIT_SECONDS) -> bytes | None:
        """Return the next line without LF, None once the stream has ended."""
        return self._arrived.get(timeout=seconds)

    def receive_message(self) -> dict[str, Any]:
        """Return the next line as a message."""
        line = self.receive()
        assert line is not None, f"the server has closed its output; stderr: {self.stderr!r}"
        return json.loads(line)

    def answer_to(self, request_id: object) -> dict[str, Any]:
        """Return the response to this id, passing over what comes before."""
        while True:
            message = self.receive_message()
            if message.get("id") == request_id and "method" not in message:
                return message

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request with an id of its own and return its response."""
        self._next_id += 1
        request_id = f"host-{self._next_id}"
        self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": dict(params or {})})
        return self.answer_to(request_id)

    def send_call(self, request_id: int | str, tool: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Send a call of a tool under this id, and wait for nothing."""
        params = {"name": tool, "arguments": dict(arguments or {})}
        self.send({"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params})

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool and return the whole response."""
        return self.request("tools/call", {"name": tool, "arguments": dict(arguments)})

    def initialize(self) -> dict[str, Any]:
        """Do the handshake of the revisions before 2026-07-28."""
        response = self.request("initialize", INITIALIZE)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return response

    def end(self, number: signal.Signals | None) -> float:
        """End the process by a signal, or with None by closing its input; return how many seconds that took."""
        start = time.monotonic()
        if number is not None:
            self.process.send_signal(number)
            self.process.wait(WAIT_SECONDS)
        assert self.close() == 0
        return time.monotonic() - start

    def close(self, seconds: float = WAIT_SECONDS) -> int:
        """Close the input, wait for the end and return the exit status; a process that stays is killed."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has gone before
            self.process.stdin.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            for thread in self._threads:
                thread.join(seconds)
        return self.process.returncode

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line.removesuffix(b"\n"))
                self._arrived.put(self.lines[-1])
        self._arrived.put(None)

    def _read_stderr(self) -> None:
        assert self.process.stderr
        with self.process.stderr as stream:
            for line in stream:
                self.stderr += line
