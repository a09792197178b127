"""The least that a gateway on an event loop can do: copy bytes both ways and look at none.

    python relay.py COMMAND [ARGUMENT…]

It runs on the event loop that the gateway runs on, so that the difference to it is what the gate costs.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys


class _Copier(asyncio.Protocol):
    def __init__(self, sink: asyncio.WriteTransport, ended: asyncio.Event) -> None:
        self._sink = sink
        self._ended = ended

    def data_received(self, data: bytes) -> None:
        self._sink.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._sink.close()
        self._ended.set()


async def _run(command: list[str]) -> None:
    upstream = subprocess.Popen(  # noqa: ASYNC220 - before anything is served
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert upstream.stdin
    assert upstream.stdout
    ended = asyncio.Event()
    await _copy(0, upstream.stdin.fileno(), ended)
    await _copy(upstream.stdout.fileno(), 1, ended)
    await ended.wait()
    upstream.terminate()
    upstream.wait()


async def _copy(source: int, sink: int, ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(os.dup(sink), "wb", buffering=0))
    await loop.connect_read_pipe(lambda: _Copier(transport, ended), os.fdopen(os.dup(source), "rb", buffering=0))


def main() -> None:
    """Relay until either side closes."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(_run(sys.argv[1:]))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(sys.argv[1:]))


if __name__ == "__main__":
    main()
