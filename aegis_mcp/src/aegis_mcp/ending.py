"""The signals that ask the gateway to end, which can wait until there is somebody who ends it well."""

from __future__ import annotations

import signal
import sys
from typing import Final

SIGNALS: Final = tuple(
    number for name in ("SIGTERM", "SIGINT", "SIGHUP") if isinstance(number := getattr(signal, name, None), int)
)


def let_end() -> None:
    """Let Ctrl-C end this process as the other signals do, until `hold`: so far there is nothing to end well.

    As an exception it would come out of whatever is done at that moment, and be lost where none can come out.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def let_interrupt() -> None:
    """Let Ctrl-C be an exception again."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def hold() -> None:
    """Let these signals wait until `release`; what is started meanwhile must release them for itself."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def release() -> None:
    """Let them come, and those that have waited."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
