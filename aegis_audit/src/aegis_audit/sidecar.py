"""The sidecars that a gateway keeps beside its logs, as far as they help to judge one.

`audit.log` has `audit.tlog/` beside it, and in there the mark of its latest entry. On the host that wrote the log, a
log that is shorter than its mark, emptied, deleted or replaced shows by that. A sidecar is as easily rewritten as the
log: it shows what was done to the log alone.
"""

from __future__ import annotations

import glob
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aegis_audit.anchor import Anchor, find_anchors
from aegis_audit.archive import SIDECAR, find_segments
from aegis_audit.errors import UnreadableSegment
from aegis_audit.mark import SLOTS_SIZE, Mark, newest
from aegis_audit.segment import STANDARD_INPUT, open_file

CRASHED: Final = "the machine was started after that: when one crashes, what was not synced is lost"
"""Why entries that were in a file may not be there any more."""

_HEAD: Final = "head"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar as it was found before its log is read: what is in the log then, is in it when it is read.

    `log` is the path at which the log is written. `is_whole` says that the evidence claims to hold the log up to its
    end: the log itself was named, or its directory. `problem` says why there is no mark; `modified` is when the mark
    was stored, in nanoseconds since the epoch; `anchors` are the checkpoints that it holds.
    """

    path: Path
    log: Path
    is_whole: bool
    mark: Mark | None = None
    problem: str = ""
    modified: int = 0
    anchors: tuple[Anchor, ...] = ()


def find_sidecars(paths: Iterable[str]) -> list[Sidecar]:
    """Return the sidecars of the logs at `paths`, as `find_segments` takes them, each once."""
    found: dict[Path, tuple[Path, bool]] = {}
    for path in paths:
        for sidecar, log, is_whole in _beside(path):
            if is_whole or sidecar not in found:
                found[sidecar] = log, is_whole
    return [_read(path, log, is_whole=is_whole) for path, (log, is_whole) in found.items()]


def excuse(sidecar: Sidecar, given: Iterable[str], booted: int | None) -> str | None:
    """Say by which accident a log may end before the mark of its sidecar; None if there is none.

    `given` are the paths of the evidence; `booted` is when the machine was started, in nanoseconds since the epoch,
    None if that cannot be told. What a process has written is in the file for every other process from then on, and
    leaves it only by a rotation, or by a crash of the machine.
    """
    try:
        state = sidecar.log.lstat()
    except OSError:
        return f"{str(sidecar.log)!r} is gone: renamed by a rotation, or removed"
    if sidecar.mark and state.st_ino != sidecar.mark.inode:
        return f"{str(sidecar.log)!r} is another file than the one that was written: rotated, copied or replaced"
    if not state.st_size:
        return f"{str(sidecar.log)!r} is empty: cut by a rotation, or emptied"
    known = {os.path.realpath(path) for path in given}
    if others := [path for path in _segments_of(sidecar) if os.path.realpath(path) not in known]:
        return f"{others[0]!r} was not given"
    if booted is None or sidecar.modified < booted:
        return CRASHED
    return None


def booted_at() -> int | None:
    """Return when this machine was started, in nanoseconds since the epoch; None if that cannot be told."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return None if clock is None else time.time_ns() - time.clock_gettime_ns(clock)


def _beside(path: str) -> Iterator[tuple[Path, Path, bool]]:
    """Yield the sidecar of each log at a path, the log's own path, and whether the log is named to its end."""
    if path == STANDARD_INPUT:
        return
    is_pattern = glob.has_magic(path) and not os.path.lexists(path)
    for name in sorted(glob.glob(path)) if is_pattern else [path]:  # noqa: PTH207 - as the segments are found
        segment = Path(name)
        if segment.name.endswith(SIDECAR):
            continue
        is_all = segment.is_dir()
        for sidecar in _sidecars_in(segment if is_all else segment.parent):
            if is_all:
                yield sidecar, _log_of(sidecar), True
            elif segment.stem == _stem(sidecar):
                yield sidecar, segment, True
            elif _is_segment_of(sidecar, segment.name):
                yield sidecar, _log_of(sidecar), False


def _sidecars_in(directory: Path) -> list[Path]:
    with suppress(OSError, ValueError):
        return sorted(one for one in directory.iterdir() if one.name.endswith(SIDECAR) and one.is_dir())
    return []


def _log_of(sidecar: Path) -> Path:
    """Return the path of the log that a sidecar belongs to: its name has the same stem, and any one suffix."""
    with suppress(OSError):
        for one in sorted(sidecar.parent.iterdir()):
            if one.stem == _stem(sidecar) and one != sidecar:
                return one
    return sidecar.with_suffix(".log")


def _segments_of(sidecar: Sidecar) -> list[str]:
    found = (segment.path for segment in find_segments([str(sidecar.path.parent)]))
    return [path for path in found if _is_segment_of(sidecar.path, Path(path).name)]


def _is_segment_of(sidecar: Path, name: str) -> bool:
    """Tell whether a file is named like a segment of the log: `audit.log`, `audit-20261124.log.gz`."""
    return name.startswith((f"{_stem(sidecar)}.", f"{_stem(sidecar)}-"))


def _stem(sidecar: Path) -> str:
    return sidecar.name.removesuffix(SIDECAR)


def _read(path: Path, log: Path, *, is_whole: bool) -> Sidecar:
    anchors = tuple(find_anchors(path))
    try:
        descriptor = open_file(str(path / _HEAD))
    except UnreadableSegment as exc:
        return Sidecar(path, log, is_whole, problem=exc.reason, anchors=anchors)
    try:
        state = os.fstat(descriptor)
        slots = os.read(descriptor, SLOTS_SIZE) if stat.S_ISREG(state.st_mode) else b""
    except OSError as exc:
        return Sidecar(path, log, is_whole, problem=exc.strerror or str(exc), anchors=anchors)
    finally:
        os.close(descriptor)
    mark = newest(slots)
    problem = "" if mark else "it holds no whole mark"
    return Sidecar(path, log, is_whole, mark, problem, state.st_mtime_ns, anchors)
