"""A host that costs next to nothing: blocking pipes, calls that are made before the clock starts.

Every answer is checked, but after the clock has stopped.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Timer
from types import TracebackType
from typing import Any, Final, Self

from bench.echo import ANSWER, CALL_START

IN_FLIGHT: Final = 32
MAX_SECONDS: Final = 600.0
"""How long one server may run; after that it is killed, which ends every read from it."""

_READ_SIZE: Final = 64 * 1024
_CALL: Final = (
    CALL_START + b'%d,"method":"tools/call","params":{"name":"echo","arguments":{"path":"notes/2026-11-02.md"}}}\n'
)
_HANDSHAKE: Final[tuple[dict[str, Any], ...]] = (
    {
        "jsonrpc": "2.0",
        "id": "initialize",
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "bench", "version": "1"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": "tools", "method": "tools/list"},
)


def verbatim(answers: bytes) -> object:
    """Read answers as what they are: bytes in their order."""
    return answers


def by_value(answers: bytes) -> object:
    """Read answers as what they say, in any order: a server may write them anew."""
    return sorted((json.loads(line) for line in answers.splitlines()), key=lambda answer: answer["id"])


class Client:
    """A running stdio server, up to the answer to `tools/list`; `start_seconds` is how long that took.

    Answers are compared with those that are due as `read` reads both.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], read: Callable[[bytes], object] = verbatim
    ) -> None:
        self._made = 0
        self._read_answers = read
        began = time.perf_counter()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environment), bufsize=0
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._shake_hands()
        self.start_seconds = time.perf_counter() - began
        self._limit = Timer(MAX_SECONDS, self._process.kill)
        self._limit.daemon = True
        self._limit.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._limit.cancel()

    @property
    def pid(self) -> int:
        """Return the id of the server's process."""
        return self._process.pid

    @property
    def made(self) -> int:
        """Return how many calls have been answered."""
        return self._made

    def call_one_by_one(self, count: int) -> list[int]:
        """Make so many calls, each after the answer to the one before; return how long each took, in nanoseconds."""
        calls, answers = self._prepare(count)
        times: list[int] = []
        received: list[bytes] = []
        for call in calls:
            began = time.perf_counter_ns()
            os.write(self._in, call)
            answer = self._read()
            times.append(time.perf_counter_ns() - began)
            received.append(answer)
        self._compare(received, answers)
        return times

    def call_at_once(self, count: int) -> float:
        """Make so many calls with `IN_FLIGHT` under way all the time; return how many were answered in a second."""
        calls, answers = self._prepare(count)
        received: list[bytes] = []
        sent, answered = IN_FLIGHT, 0
        began = time.perf_counter()
        os.write(self._in, b"".join(calls[:sent]))
        while answered < count:
            answer = self._read()
            received.append(answer)
            came = answer.count(b"\n")
            answered += came
            if sent < count:
                os.write(self._in, b"".join(calls[sent : sent + came]))
                sent += came
        seconds = time.perf_counter() - began
        self._compare(received, answers)
        return count / seconds

    def _shake_hands(self) -> None:
        for message in _HANDSHAKE:
            os.write(self._in, json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n")
        answers = b""
        while answers.count(b"\n") < 2:
            answers += self._read()
        results = {answer["id"]: answer["result"] for answer in map(json.loads, answers.splitlines())}
        tools = results["tools"]["tools"]
        assert [tool["name"] for tool in tools] == ["echo"], tools

    def _prepare(self, count: int) -> tuple[list[bytes], bytes]:
        numbers = range(self._made, self._made + count)
        self._made += count
        return [_CALL % number for number in numbers], b"".join(ANSWER % b"%d" % number for number in numbers)

    def _read(self) -> bytes:
        data = os.read(self._out, _READ_SIZE)
        if not data:
            raise SystemExit("the server has closed its output")
        return data

    def _compare(self, received: list[bytes], expected: bytes) -> None:
        if self._read_answers(b"".join(received)) != self._read_answers(expected):
            raise SystemExit(f"the server answered something else: {received[-1][:300]!r}")
