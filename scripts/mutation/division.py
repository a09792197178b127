"""A process that divides: what it does then is done in a copy of it, within bounds, and does it no harm."""

from __future__ import annotations

import json
import os
import resource
import signal
import traceback
from collections.abc import Callable
from typing import Any, Final, NoReturn

_MEMORY: Final = 2 << 30
OUT_OF_BOUNDS: Final = "out of bounds"
"""The result of a copy that has taken too long or too much memory, or has crashed."""


class Division:
    """A copy of this process that does one thing; it may use so many `seconds` of a processor, in ten times as many."""

    def __init__(self, work: Callable[[], Any], seconds: int | None = None) -> None:
        self._reader, writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _work(work, writer, seconds)
        os.close(writer)

    def result(self) -> Any:
        """Wait for the end; return what was returned, which JSON can hold."""
        with os.fdopen(self._reader, "rb") as file:
            data = file.read()
        os.waitpid(self._pid, 0)
        return json.loads(data) if data else OUT_OF_BOUNDS


def _bound(seconds: int) -> None:
    """Bound this process, and the processor and memory of each that it divides into."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(10 * seconds)


def _work(work: Callable[[], Any], writer: int, seconds: int | None) -> NoReturn:
    try:
        if seconds:
            _bound(seconds)
        with os.fdopen(writer, "wb") as file:
            file.write(json.dumps(work()).encode())
    except BaseException:  # noqa: BLE001 - nothing may go on in a copy
        traceback.print_exc()
    finally:
        os._exit(0)
