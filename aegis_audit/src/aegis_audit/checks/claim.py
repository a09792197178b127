"""What an entry of kind `break_acknowledged` says: which breaks a person has looked at (decision 14).

It is a claim until a checkpoint that counts covers it, and until it names a break as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from aegis_audit.checks.run import Run
from aegis_audit.entry import Entry

MAX_CLAIMS: Final = 256
"""Acknowledgements that are held against findings; what more there are is not accepted."""

_MOST: Final = 100
_MAX_TEXT: Final = 512


@dataclass(frozen=True, slots=True)
class Claim:
    """An acknowledgement, where it stands, and what it names.

    `missing` are ranges of entries, each with the hash of the entry that it follows, None where that is not said;
    `torn` are the SHA-256 of torn lines; `lost` are the numbers of entries in which the writer has recorded a loss.
    `run` is where the acknowledgement stands.
    """

    seq: int
    entry_hash: str
    timestamp: str
    by: str
    note: str
    missing: Mapping[range, str | None]
    torn: frozenset[object]
    lost: frozenset[object]
    run: Run

    @classmethod
    def of(cls, entry: Entry, run: Run) -> Claim:
        """Return what an entry in this run says; what has another form than the gateway's names nothing."""
        event = entry.event
        by, note = (value[:_MAX_TEXT] if isinstance(value := event.get(name), str) else "" for name in ("by", "note"))
        ranges = [range_in(one, below=entry.seq) for one in _list(event, "missing")]
        return cls(
            seq=entry.seq,
            entry_hash=entry.entry_hash,
            timestamp=entry.timestamp,
            by=by,
            note=note,
            missing={one: follows for one, follows in zip(ranges, _hashes(event), strict=False) if one},
            torn=frozenset(one for one in _list(event, "torn") if isinstance(one, str)),
            lost=frozenset(one for one in _list(event, "lost") if type(one) is int and one < entry.seq),
            run=run,
        )


def _list(event: dict[str, Any], name: str) -> list[Any]:
    value = event.get(name)
    return cast("list[Any]", value)[:_MOST] if isinstance(value, list) else []


def _hashes(event: dict[str, Any]) -> list[str | None]:
    """Return what each range follows; as many as there may be ranges."""
    said = [one if isinstance(one, str) else None for one in _list(event, "follows")]
    return [*said, *[None] * (_MOST - len(said))]


def range_in(value: Any, *, below: int) -> range | None:
    """Read `[a, b]`, both of them numbers of entries before the one with the number `below`."""
    match value:
        case [int() as first, int() as last] if 0 <= first <= last < below:
            return range(first, last + 1)
        case _:
            return None
