"""The pump between a pipe and the gate: what arrives goes through at once, but never past what came before it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest

from aegis_mcp.relay import pump
from aegis_mcp.upstream.link import DONE
from aegis_mcp.wire import read_lines

BOUND = 30.0


def test_lines_that_arrive_while_the_gate_is_waiting_come_after_that() -> None:
    async def play() -> list[bytes]:
        (first, to_first), (second, to_second) = os.pipe(), os.pipe()
        inbox, other = await read_lines(first), await read_lines(second)
        passed: list[bytes] = []

        async def slowly() -> None:
            os.write(to_first, b"2\n3\n")
            os.write(to_second, b"x\n")
            passed.extend(await other.batch())  # in the same turn of the loop the others have arrived

        def gate(lines: Sequence[bytes]) -> Awaitable[None]:
            passed.extend(lines)
            if lines == [b"1"]:
                return slowly()
            os.close(to_first)
            return DONE

        os.write(to_first, b"1\n")
        await asyncio.wait_for(pump(inbox, gate), BOUND)
        other.close()
        os.close(to_second)
        return passed

    assert asyncio.run(play()) == [b"1", b"x", b"2", b"3"]


def test_a_gate_that_fails_ends_its_pump_with_the_error_and_the_loop_prints_nothing() -> None:
    printed: list[dict[str, Any]] = []

    def gate(lines: Sequence[bytes]) -> Awaitable[None]:
        raise RuntimeError(lines)

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: printed.append(context))
        descriptor, other_end = os.pipe()
        inbox = await read_lines(descriptor)
        os.write(other_end, b"1\n")
        try:
            await asyncio.wait_for(pump(inbox, gate), BOUND)
        finally:
            inbox.close()
            os.close(other_end)

    with pytest.raises(RuntimeError) as caught:
        asyncio.run(play())
    assert (caught.value.args, printed) == (([b"1"],), [])
