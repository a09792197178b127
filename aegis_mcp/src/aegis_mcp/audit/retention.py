"""The segments that were rotated, and which of them are not kept.

A segment is known by its own first entry, never by its name alone: whoever renames or dates files decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from aegis_audit.entry import Entry
from aegis_audit.errors import AuditError
from aegis_audit.value import Value
from aegis_mcp.settings import Rotation

_NAME: Final = re.compile(r"-[0-9]{8}T[0-9]{6}Z-[0-9]+(\.(gz|xz|bz2|zst))?")
_MOST_LISTED: Final = 10_000


class Kept(Value):
    """A segment that was rotated by us, compressed since or not: where it is, and its first entry."""

    path: Path
    first: Entry


def rotated_name(log: Path, last_seq: int, now: datetime) -> str:
    """Return the name of a segment that ends with this entry."""
    return f"{log.name}-{now:%Y%m%dT%H%M%SZ}-{last_seq}"


def rotated_segments(log: Path) -> list[Kept]:
    """Return the segments of a log that we have rotated, in the order of their entries.

    Raises:
        OSError: the directory cannot be read.
    """
    return sorted(islice(_found(log), _MOST_LISTED), key=lambda kept: kept.first.seq)


def to_drop(segments: Sequence[Kept], follower: Entry, rotation: Rotation, now: datetime) -> Sequence[Kept]:
    """Return the oldest segments that are not to be kept; `follower` is the entry that comes after the newest.

    A segment is as old as its last entry, which the first one of the next segment is not older than.
    """
    count = len(segments) - rotation.keep_segments if rotation.keep_segments is not None else 0
    if rotation.keep_days is not None:
        oldest = f"{now.astimezone(UTC) - timedelta(days=rotation.keep_days):%Y-%m-%dT%H:%M:%S}"
        ends = [after.first.timestamp for after in segments[1:]] + [follower.timestamp]
        expired = next((index for index, end in enumerate(ends) if end >= oldest), len(ends))
        count = max(count, expired)
    return segments[: max(0, count)]


def _found(log: Path) -> Iterator[Kept]:
    from aegis_audit.segment import Segment  # noqa: PLC0415 - only a rotation reads what is compressed

    for path in log.parent.iterdir():
        if path.name.startswith(log.name) and _NAME.fullmatch(path.name.removeprefix(log.name)):
            try:
                line = next(Segment(str(path)).lines(), None)
                first = Entry.parse(line.raw) if line else None
            except AuditError:
                continue  # not ours to judge, and so not ours to remove
            if first and first.kind in {"log_opened", "segment_opened"} and first.has_its_hash:
                yield Kept(path, first)
