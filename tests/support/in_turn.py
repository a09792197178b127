"""Run a command when one of a few slots is free: of many that start at once only so many do their work at once.

python -S -m support.in_turn DIRECTORY COMMAND ARGUMENTS…
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import IO, Final

SLOTS: Final = 2
_PAUSE_SECONDS: Final = 0.01


def main(directory: str, *command: str) -> None:
    """Wait for a slot, then become the command, which holds it until it ends."""
    with _opened(directory, "turn") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # one looks for a free slot, and the others wait for that one
        slots = [_opened(directory, f"slot-{number}") for number in range(SLOTS)]
        while (slot := next(filter(_is_taken, slots), None)) is None:
            time.sleep(_PAUSE_SECONDS)
    os.set_inheritable(slot.fileno(), True)
    os.execv(command[0], command)  # noqa: S606 - no shell has to read it


def _opened(directory: str, name: str) -> IO[bytes]:
    return (Path(directory) / name).open("ab")


def _is_taken(slot: IO[bytes]) -> bool:
    """Take a slot if it is free."""
    try:
        fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
