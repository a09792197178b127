"""The real gateway in front of a remote server, and what reached that."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from support.gateway import Stage
from support.host import GATEWAY, RawHost

SERVER: Final = Path(__file__).with_name("remote_server.py")


@contextmanager
def listening(*command: str) -> Generator[str]:
    """Run a server that prints its address once it listens, and yield that; it is ended afterwards."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.kill()  # one that sends without end would not end on a word


@contextmanager
def remote_server(directory: Path, *options: str) -> Generator[str]:
    """Run the remote server that keeps every request, and yield its address."""
    received = str(directory / "received.jsonl")
    with listening(sys.executable, "-P", str(SERVER), "--received", received, *options) as url:
        yield url


def policy_for(url: str, *lines: str, timeout: float = 30) -> str:
    """Return a policy with one remote upstream, all of whose tools are reads but `write`; lines are further keys."""
    keys = [f"url: {url}", f"timeout: {timeout}", "access: {write: write, read: '*'}", *lines]
    return "version: 1\nupstreams:\n  remote:\n" + "".join(f"    {line}\n" for line in keys)


def host_of(stage: Stage, *options: str) -> RawHost:
    """Start the gateway with the policy of the stage."""
    return RawHost(command_of(stage, *options), stage.environment)


def command_of(stage: Stage, *options: str) -> Sequence[str]:
    """Return the command of the gateway with the policy of the stage."""
    policy = stage.directory / "policy.yaml"
    policy.write_text(stage.policy, encoding="utf-8")
    return (*GATEWAY, "--policy", str(policy), "--audit-log", str(stage.log), *options)


@contextmanager
def staged(kind: str, directory: Path) -> Generator[tuple[Stage, Callable[[], RawHost]]]:
    """Yield a stage and what starts a gateway on it: in front of a command, or of a server that stays, for `url`.

    Of the tools `echo` is a read.
    """
    if kind == "command":
        stage = Stage(directory)
        yield stage, stage.wrap
    else:
        with remote_server(directory) as url:
            stage = Stage(directory, policy_for(url))
            yield stage, partial(host_of, stage)


def requests_received(stage: Stage) -> list[dict[str, Any]]:
    """Return the HTTP requests that reached the server, oldest first, with their bodies as bytes."""
    found: list[dict[str, Any]] = []
    for line in stage.received.read_text(encoding="utf-8").splitlines():
        request = json.loads(line)
        found.append({**request, "body": base64.b64decode(request["body"])})
    return found


def text_of(response: dict[str, Any]) -> str:
    """Return what a tool has answered, or why there is no answer."""
    return response["result"]["content"][0]["text"] if "result" in response else response["error"]["message"]
