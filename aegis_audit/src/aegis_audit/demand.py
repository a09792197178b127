"""What is demanded of a log beside that nothing is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aegis_audit.level import Level


@dataclass(frozen=True, slots=True)
class Demands:
    """What a verification has to show; by default nothing but an intact log, or a part of one.

    `from_genesis`: each log begins with its first entry. `allow_empty`: files and directories that are there and hold
    no entry are accepted. `min_records`: so many entries in all. `not_before`: the latest entry of each log is not
    older than this timestamp; where a level above A0 is demanded, the latest of those that keys that count have signed.
    `level`: each log reaches it. `max_uncovered`: of each log, no more entries than that are not covered by the level
    that is demanded, else by the one that is reached; with None, a log of which a level above A0 is demanded is covered
    to its end by one of these levels, and any other need not be. `accept_acknowledged`: what is missing has no effect
    on the verdict where an acknowledgement counts.
    """

    from_genesis: bool = False
    allow_empty: bool = False
    min_records: int = 0
    not_before: str | None = None
    level: Level = Level.A0
    max_uncovered: int | None = None
    accept_acknowledged: bool = False


NOTHING_DEMANDED: Final = Demands()
