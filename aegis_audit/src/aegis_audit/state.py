"""What an earlier verification has seen, kept in a file, so that the next one reads only what is new.

A state never goes backwards: the log that it is compared with must hold the last entry that was verified, and what
comes after it. It is written when a verdict is valid and not otherwise, and appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from aegis_audit.chain import Head
from aegis_audit.entry import MAX_LINE, is_timestamp
from aegis_audit.errors import AbsentSegment, UnreadableSegment, UnusableState
from aegis_audit.segment import Segment, open_file

_VERSION: Final = 1
_MAX_STATE: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Verified:
    """One log as far as it was verified: entries `first_seq` to `seq`, the last with this hash and time.

    `signed` is the ledger behind that entry in plain JSON values, None where there was none.
    """

    origin: str | None
    first_seq: int
    seq: int
    entry_hash: str
    timestamp: str
    signed: dict[str, Any] | None = None

    @property
    def head(self) -> Head:
        """Return the last entry."""
        return Head(self.seq, self.entry_hash)


@dataclass(frozen=True, slots=True)
class Read:
    """A file that was read to its end: which it is, how it was then, and the hash of its last entry.

    `size` counts its bytes, `modified` is in nanoseconds since the epoch; `line` counts its lines, and is 0 where it
    cannot be gone on from the last one: it is compressed, or ends otherwise.
    """

    device: int
    inode: int
    size: int
    modified: int
    line: int
    entry_hash: str


@dataclass(frozen=True, slots=True)
class State:
    """What was verified, when (a timestamp as entries have it), and in which files."""

    verified_at: str
    logs: tuple[Verified, ...]
    segments: tuple[Read, ...]

    @property
    def nanoseconds(self) -> int:
        """Return when that was, in nanoseconds since the epoch."""
        return int(datetime.fromisoformat(self.verified_at).timestamp()) * 1_000_000_000

    @property
    def heads(self) -> frozenset[str]:
        """Return the hashes of the last entries."""
        return frozenset(log.entry_hash for log in self.logs)


def load(path: Path) -> State | None:
    """Return the state in a file, None if there is no file.

    Raises:
        UnusableState: it cannot be read, or is no state.
    """
    try:
        descriptor = open_file(str(path))
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_MAX_STATE + 1)
    except AbsentSegment:
        return None
    except (UnreadableSegment, OSError) as exc:
        raise UnusableState(path, getattr(exc, "reason", None) or str(exc)) from exc
    try:
        return _decode(json.loads(data[:_MAX_STATE]))
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise UnusableState(path, "it is not a state that `verify --state` has written") from exc


def store(path: Path, state: State) -> None:
    """Put a state in the place of the one in a file.

    Raises:
        UnusableState: it cannot be written; the one before is still there.
    """
    data = json.dumps({"v": _VERSION, **asdict(state)}, indent=1).encode("ascii") + b"\n"
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600, and nobody else's
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as exc:
        raise UnusableState(path, exc.strerror or str(exc)) from exc


def resume(segments: Iterable[Segment], state: State) -> list[Segment]:
    """Return what is left to read of the segments: not those that are as they were, and of one that has grown its end.

    Where a log ended, its last entry is read again, so that it is known to be there still.
    """
    known = {(one.device, one.inode): one for one in state.segments}
    resumed = (_resume(segment, known, state.heads) for segment in segments)
    return [segment for segment in resumed if segment]


def _resume(segment: Segment, known: dict[tuple[int, int], Read], heads: frozenset[str]) -> Segment | None:
    status = segment.status()
    before = known.get((status.st_dev, status.st_ino)) if status else None
    if status is None or before is None:
        return segment
    is_same = (status.st_size, status.st_mtime_ns) == (before.size, before.modified)
    if is_same and before.entry_hash not in heads:
        return None
    start = _last_line(segment, before) if before.line and status.st_size >= before.size else None
    return segment if start is None else replace(segment, start=start, lines_before=before.line - 1)


def _last_line(segment: Segment, before: Read) -> int | None:
    """Return where the last line begins that was read before; None if another one stands there now."""
    try:
        descriptor = open_file(segment.path)
        with os.fdopen(descriptor, "rb") as file:
            start = max(0, before.size - MAX_LINE - 1)
            file.seek(start)
            data = file.read(before.size - start)
    except (UnreadableSegment, OSError):
        return None
    at = data.rfind(b"\n", 0, -1) + 1
    is_same = data.endswith(b"\n") and data[at:].startswith(b'{"entry_hash":"%b"' % before.entry_hash.encode("ascii"))
    return start + at if is_same else None


def _decode(value: Any) -> State:
    if value["v"] != _VERSION or not is_timestamp(value["verified_at"]):
        raise ValueError(value["v"])
    logs, segments = (tuple(value[name]) for name in ("logs", "segments"))
    return State(
        value["verified_at"], tuple(_typed(Verified, one) for one in logs), tuple(_typed(Read, one) for one in segments)
    )


_Record = TypeVar("_Record", Verified, Read)


def _typed(kind: type[_Record], members: dict[str, Any]) -> _Record:
    for field in fields(kind):
        if type(members[field.name]).__name__.removesuffix("Type") not in str(field.type):
            raise TypeError(field.name)
    return kind(**members)
