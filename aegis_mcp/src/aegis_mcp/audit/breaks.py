"""What a person acknowledges, looked up in the segments on the disk: what is there is not missing.

Nothing is judged here: an acknowledgement says what was there when it was written, and the verifier holds it to that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aegis_audit.archive import find_segments
from aegis_audit.entry import ZERO_HASH, Entry
from aegis_audit.errors import AuditError, DamagedSegment, MalformedEntry
from aegis_audit.segment import Segment
from aegis_mcp.audit.survey import hash_of, seq_of
from aegis_mcp.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Breaks:
    """What a person says is missing.

    `missing` are ranges of entries, `torn` the SHA-256 of torn lines, `lost` the numbers of entries in which the
    gateway has recorded a loss.
    """

    missing: Sequence[range]
    torn: Sequence[str]
    lost: Sequence[int]

    def look_up(self, log: Path, last: int) -> dict[str, Any]:
        """Return them as the log records them, whose last entry has the number `last`.

        Raises:
            ConfigError: something of it is there, is still to come, or is not known to the log.
        """
        disk = OnDisk.read(log, {one.start - 1 for one in self.missing})
        for one in self.missing:
            if one[-1] > last:
                # What is to come cannot have been looked at.
                raise ConfigError(f"entry {one[-1]} is not there yet; the log ends with entry {last}")
            if (there := disk.first_in(one)) is not None:
                raise ConfigError(
                    f"entry {there} is there: name what `aegis-audit verify` names as missing, and no more"
                )
        if unknown := [one for one in self.torn if one not in disk.torn]:
            raise ConfigError(f"no segment ends in a torn line with the hash {unknown[0]}")
        if unknown := [one for one in self.lost if one not in disk.losses]:
            raise ConfigError(f"entry {unknown[0]} records no loss")
        details = {
            "missing": [[one.start, one[-1]] for one in self.missing],
            "follows": [disk.before(one.start) for one in self.missing],
            "torn": list(self.torn),
            "lost": list(self.lost),
        }
        return {name: value for name, value in details.items() if value}


@dataclass(slots=True)
class OnDisk:
    """The entries of a log that are on the disk, as ranges, and what in them a break is known by.

    `hashes` are those of the entries that were asked for, `torn` the SHA-256 of lines that nothing ends, `losses` the
    entries in which the writer has recorded a loss.
    """

    ranges: list[range] = field(default_factory=list[range])
    hashes: dict[int, str] = field(default_factory=dict[int, str])
    torn: set[str] = field(default_factory=set[str])
    losses: set[int] = field(default_factory=set[int])

    @classmethod
    def read(cls, log: Path, asked: Collection[int]) -> OnDisk:
        """Read all segments of a log; `asked` are the numbers of entries whose hashes are wanted.

        Raises:
            ConfigError: they cannot be read.
        """
        found = cls()
        try:
            for segment in _segments_of(log):
                with suppress(DamagedSegment):  # what it holds up to there was read
                    found._take(segment, asked)
        except AuditError as exc:
            raise ConfigError(f"the log cannot be read: {exc}") from exc
        return found

    def first_in(self, numbers: range) -> int | None:
        """Return the first of these entries that is there."""
        there = [one for one in self.ranges if one.start < numbers.stop and numbers.start < one.stop]
        return min((max(one.start, numbers.start) for one in there), default=None)

    def before(self, seq: int) -> str | None:
        """Return the hash of the entry before this one, None if that is not there; it has to be asked for."""
        return self.hashes.get(seq - 1) if seq else ZERO_HASH

    def _take(self, segment: Segment, asked: Collection[int]) -> None:
        for line in segment.lines():
            if not line.raw.endswith(b"\n"):
                self.torn.add(hashlib.sha256(line.raw).hexdigest())
            elif (seq := seq_of(line.raw)) >= 0:
                self._add(seq)
                if seq in asked:
                    self.hashes[seq] = hash_of(line.raw)
                if b'"kind":"entries_lost"' in line.raw:
                    self._heed(line.raw)

    def _add(self, seq: int) -> None:
        if self.ranges and self.ranges[-1].stop == seq:
            self.ranges[-1] = range(self.ranges[-1].start, seq + 1)
        else:
            self.ranges.append(range(seq, seq + 1))

    def _heed(self, raw: bytes) -> None:
        with suppress(MalformedEntry):
            entry = Entry.parse(raw)
            if entry.kind == "entries_lost":
                self.losses.add(entry.seq)


def _segments_of(log: Path) -> Iterator[Segment]:
    """Yield the segments beside a log that are named like it: `audit.log`, `audit.log.1`, `audit-20261124.log.gz`."""
    for segment in find_segments([str(log.parent)]):
        if Path(segment.path).name.startswith((f"{log.stem}.", f"{log.stem}-")):
            yield segment
