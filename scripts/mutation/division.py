"""A process that divides: what it does then is done in a copy of it, within bounds, and does it no harm."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any, Final, NoReturn

_MEMORY: Final = 2 << 30
OUT_OF_BOUNDS: Final = "out of bounds"
"""The result of a copy that has taken too long or too much memory, or has crashed."""
_WAITING: Final = 20
"""A copy may take so many times as long on a clock as on a processor: there are others that use it."""


class FailedCopyError(Exception):
    """What should have been done in a copy has raised an exception, which the copy has printed."""


class Division:
    """A copy of this process that does one thing."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._reader, writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._reader)
            _work(work, writer)
        os.close(writer)

    def result(self) -> Any:
        """Wait for the end; return what was returned, which JSON can hold.

        Raises:
            FailedCopyError: an exception was raised.
        """
        with os.fdopen(self._reader, "rb") as file:
            data = file.read()
        _, status = os.waitpid(self._pid, 0)
        if os.WIFSIGNALED(status):
            return OUT_OF_BOUNDS
        if os.WEXITSTATUS(status):
            raise FailedCopyError
        return json.loads(data)


def bound(seconds: int) -> None:
    """Let this process use so many more seconds of a processor, and each that it divides into as many in all."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + seconds, hard))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_WAITING * seconds)


def _work(work: Callable[[], Any], writer: int) -> NoReturn:
    status = 1
    try:
        with os.fdopen(writer, "wb") as file:
            file.write(json.dumps(work()).encode())
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may go on in a copy
        traceback.print_exc()
    finally:
        os._exit(status)
