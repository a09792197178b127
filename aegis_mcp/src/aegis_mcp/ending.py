"""The signals that ask the gateway to end, which can wait until there is somebody who ends it well."""

from __future__ import annotations

import signal
import sys
from typing import Final

SIGNALS: Final = tuple(
    number for name in ("SIGTERM", "SIGINT", "SIGHUP") if isinstance(number := getattr(signal, name, None), int)
)


def hold() -> None:
    """Let these signals wait until `release`; what is started meanwhile must release them for itself."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def release() -> None:
    """Let them come, and those that have waited."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
