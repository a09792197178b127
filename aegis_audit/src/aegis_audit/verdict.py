"""What a verifier concludes, and the exit status that says so.

The numbers are a contract with release pipelines: `exit_code` in JSON always equals the status of the process.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Verdict(Enum):
    """A conclusion; its value is the exit status. Status 2 belongs to wrong usage (Click's own)."""

    VALID = 0
    TAMPERED = 1
    CORRUPT = 3
    INCOMPLETE = 4
    UNVERIFIABLE = 5
    UNREADABLE = 6

    @property
    def exit_code(self) -> int:
        """Return the exit status, 0, 1 or 3 to 6."""
        return self.value


# A contradiction outweighs everything; damage outweighs what could not be read; what could not be read
# outweighs a gap, because the gap may be that very segment.
_PRECEDENCE = (
    Verdict.TAMPERED,
    Verdict.CORRUPT,
    Verdict.UNREADABLE,
    Verdict.INCOMPLETE,
    Verdict.UNVERIFIABLE,
    Verdict.VALID,
)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict that outweighs the others; `VALID` for none."""
    return min(verdicts, key=_PRECEDENCE.index, default=Verdict.VALID)
