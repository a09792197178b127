"""Run a command when one of a few slots is free: of many that start at once only so many do their work at once.

python -S -m support.in_turn DIRECTORY COMMAND ARGUMENTS…
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path
from typing import Final

SLOTS: Final = 2


def main(directory: str, *command: str) -> None:
    """Wait for a slot, then become the command, which holds it until it ends."""
    slot = os.open(Path(directory) / str(os.getpid() % SLOTS), os.O_CREAT | os.O_WRONLY, 0o600)
    fcntl.flock(slot, fcntl.LOCK_EX)
    os.set_inheritable(slot, True)
    os.execv(command[0], command)  # noqa: S606 - no shell has to read it


if __name__ == "__main__":
    main(*sys.argv[1:])
