"""The levels of assurance, and what each of them does not show (audit-log §1)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Level(IntEnum):
    """How sure a verdict is; a higher level includes the lower ones."""

    A0 = 0
    A1 = 1
    A2 = 2
    A3 = 3
    A4 = 4

    @property
    def title(self) -> str:
        """Return its name, as in `A1 signed`."""
        return f"{self.name} {_NAMES[self]}"

    @property
    def not_shown(self) -> str:
        """Return what it leaves open, in one sentence."""
        return _NOT_SHOWN[self]


_NAMES: Final = {
    Level.A0: "consistent",
    Level.A1: "signed",
    Level.A2: "forward-secure",
    Level.A3: "anchored",
    Level.A4: "witnessed",
}

_NOT_SHOWN: Final = {
    Level.A0: "A0 shows accidents and careless edits only: it cannot see a log that was rewritten from some entry on "
    "with all hashes recomputed, nor a tail that was cut off.",
    Level.A1: "A1 shows that the log's key has signed: it cannot see what was done with that key, which is on the host "
    "that writes the log, nor a log that was cut back to an earlier checkpoint.",
    Level.A2: "A2 shows that nothing was changed that an earlier epoch has signed: it cannot see what was done in the "
    "current epoch with its key, nor a log that was cut back to an earlier checkpoint.",
    Level.A3: "A3 shows that the log goes on from what was kept outside the host: it cannot see what was done with the "
    "log's keys to entries that came after that.",
    Level.A4: "A4 shows that a quorum of witnesses has seen the log: it cannot see what was done with the log's keys "
    "to entries that came after that, nor that witnesses work together.",
}
