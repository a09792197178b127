"""Finding the segments of a log among files, directories and globs.

What is named on its own is judged, whatever it is. A directory gives the files that are named like a segment or begin
like an entry, so that neither a renamed segment nor a damaged one is passed over, and a note beside them is no segment.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from aegis_audit.errors import AuditError
from aegis_audit.segment import GONE, STANDARD_INPUT, Identity, Segment

SIDECAR: Final = ".tlog"
"""How the name of a sidecar ends."""
_NAME: Final = re.compile(r"\.(log|jsonl)([.-][0-9][0-9A-Za-z.-]*)?(\.(gz|xz|bz2|zst))?$")
"""`audit.log`, and what our own rotation and logrotate make of it: `audit.log.1`, `audit.log-20261124.gz`."""
_ENDING: Final = re.compile(rf"[.-][0-9][0-9A-Za-z.-]*$|{_NAME.pattern}")
"""How a name ends that a rotation or a copy has made, whatever the log is called: `copy.2`, `audit-20261124.log`."""
_BEGINNING: Final = b'{"entry_hash":"'
_MOST_LISTINGS: Final = 9
"""How often at most a directory is listed again that does not hold still."""


def find_segments(paths: Iterable[str]) -> list[Segment]:
    """Return the segments at `paths`: files, directories (not below them), globs, and `-` for standard input.

    A path at which there is nothing, or a directory without a segment, is returned as it is: reading it raises
    `AbsentSegment`. What was listed and went away since raises `MovedSegment`. Each path comes once.
    """
    found: dict[str, Segment] = {}
    for segment in (segment for path in paths for segment in _at(path)):
        found.setdefault(segment.path, segment)
    return [*found.values()]


def is_left_by_rotation(empty: str, named: Collection[str], holding: Iterable[str]) -> bool:
    """Tell whether an empty file can be one of a log whose entries are in the files `holding`.

    A rotation leaves it beside them. What is `named` by itself, and not found in a directory, has to be named like one.
    """
    path = Path(empty)
    directory = os.path.realpath(path.parent)
    beside = (one.name for one in map(Path, holding) if os.path.realpath(one.parent) == directory)
    return any(empty not in named or _is_named_like(path.name, name) for name in beside)


def _is_named_like(name: str, other: str) -> bool:
    """Tell whether one of two names goes on from what the other one has in front of its ending."""
    stem, longer = sorted(_ENDING.sub("", one) for one in (name, other))
    return f"{longer}.".startswith((f"{stem}.", f"{stem}-"))


def _at(path: str) -> list[Segment]:
    if path in {STANDARD_INPUT, ""}:  # a variable that was not set names nothing: not the working directory
        return [Segment(path)]
    if glob.has_magic(path) and not _exists(path):
        matches = _settled(lambda: sorted(glob.glob(path)))  # noqa: PTH207
        return [found for match in matches for found in _expanded(match, is_listed=True)] or [Segment(path)]
    return _expanded(path, is_listed=False)


def _expanded(path: str, *, is_listed: bool) -> list[Segment]:
    # The writer's sidecar is no part of the log: a shell's `audit*` names it together with the segments.
    if not _is_directory(path):
        return [_segment(path, is_listed=is_listed)]
    if path.rstrip("/").endswith(SIDECAR):
        return []
    members = [_segment(member, is_listed=True) for member in _in_directory(path)]
    return members or [_segment(path, is_listed=is_listed)]


def _segment(path: str, *, is_listed: bool) -> Segment:
    """Return what is at a path; what was listed was there."""
    return Segment(path, found=Identity.of(path) or (GONE if is_listed else None))


def _in_directory(path: str) -> Iterator[str]:
    try:
        members = _settled(lambda: sorted(map(str, Path(path).iterdir())))
    except OSError:
        return  # reading the directory as a segment says what is wrong with it
    for member in members:
        name = Path(member).name
        if name.startswith(".") or _is_directory(member):
            continue
        if _NAME.search(name) or _begins_like_a_segment(member):
            yield member


def _settled(listing: Callable[[], list[str]]) -> list[str]:
    """Return a listing that was the same twice: a file that is renamed meanwhile may be in it under neither name."""
    last = listing()
    for _ in range(_MOST_LISTINGS):
        before, last = last, listing()
        if before == last:
            break
    return last


def _begins_like_a_segment(path: str) -> bool:
    try:
        return any(line.raw.startswith(_BEGINNING) for line in islice(Segment(path).lines(), 1))
    except AuditError:
        return False


def _is_directory(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False
