"""A remote server and a host that outrun each other: nothing hangs, nothing is lost, and memory stays bounded."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from support.gateway import Stage
from support.host import INITIALIZE, WAIT_SECONDS
from support.processes import peak_memory, wait_until, wait_until_still
from support.remote import command_of, host_of, policy_for, remote_server, requests_received, text_of

FRAMES: Final = 1500
SIZE: Final = 60_000
MOST_MEMORY: Final = 100 * 1024 * 1024
"""More than a gateway needs with what it keeps of either side, and together with all of the frames not enough."""
SOME: Final = 20
"""More frames than a pipe holds."""
SENT: Final = 200
CALLS: Final = 400
"""More at the same time than there are connections to one server."""


class Idle:
    """A host that reads and writes only when it wants to."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def send(self, *messages: dict[str, Any]) -> None:
        assert self.process.stdin
        for message in messages:
            self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def end(self) -> int:
        """Close the input and return the exit status."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(WAIT_SECONDS)


@contextmanager
def _idle(stage: Stage) -> Generator[Idle]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command_of(stage), stdin=pipe, stdout=pipe, env=stage.environment) as process:
        host = Idle(process)
        try:
            host.send({"id": 0, "method": "initialize", "params": INITIALIZE})
            assert host.receive()["id"] == 0
            host.send({"method": "notifications/initialized"})
            yield host
        finally:
            process.kill()


def _flood(host: Idle, directory: Path) -> Callable[[], int]:
    """Ask for more than anybody keeps; return what counts how much the gateway has taken."""
    taken = directory / "taken"
    params = {"name": "flood", "arguments": {"count": FRAMES, "size": SIZE, "taken": str(taken)}}
    host.send({"id": 1, "method": "tools/call", "params": params})
    return lambda: int(taken.read_bytes() or b"0") if taken.exists() else 0


def test_a_host_that_does_not_read_makes_the_server_wait_and_loses_nothing(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url, _idle(Stage(tmp_path, policy_for(url))) as host:
        taken = _flood(host, tmp_path)
        wait_until(lambda: taken() > SOME)
        wait_until_still(taken)
        assert taken() < FRAMES - 1
        assert peak_memory(host.process.pid) < MOST_MEMORY
        assert [host.receive()["params"]["n"] for _ in range(FRAMES)] == list(range(FRAMES))
        assert text_of(host.receive()) == "done"
        assert peak_memory(host.process.pid) < MOST_MEMORY
        assert host.end() == 0


def test_a_host_that_does_not_read_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with _idle(stage) as host:
            taken = _flood(host, tmp_path)
            wait_until(lambda: taken() > SOME)
            host.process.terminate()
            assert host.process.wait(WAIT_SECONDS) == 0
    assert [entry["event"].get("status") for entry in stage.requests()] == [None, "cancelled"]
    assert stage.verify().returncode == 0


def test_a_server_that_takes_nothing_makes_the_host_wait_and_loses_nothing(tmp_path: Path) -> None:
    may_read = tmp_path / "may_read"
    sent: list[int] = []
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with _idle(stage) as host:

            def send() -> None:
                for number in range(SENT):
                    params = {"until": str(may_read), "n": number, "data": "z" * SIZE}
                    host.send({"method": "notifications/held", "params": params})
                    sent.append(number)

            sender = threading.Thread(target=send)
            sender.start()
            wait_until_still(lambda: len(sent))
            assert len(sent) < SENT
            may_read.touch()
            sender.join(WAIT_SECONDS)
            host.send({"id": 2, "method": "ping"})
            assert host.receive()["id"] == 2
            assert host.end() == 0
        bodies = (json.loads(request["body"]) for request in requests_received(stage) if request["body"])
        assert [body["params"]["n"] for body in bodies if body["method"] == "notifications/held"] == list(range(SENT))


def test_a_burst_of_calls_gets_every_answer(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url, host_of(Stage(tmp_path, policy_for(url))) as host:
        host.initialize()
        for number in range(CALLS):
            host.send_call(number, "echo", {"n": number})
        answers = {(answer := host.receive_message())["id"]: text_of(answer) for _ in range(CALLS)}
    assert answers == {number: json.dumps({"n": number}) for number in range(CALLS)}
