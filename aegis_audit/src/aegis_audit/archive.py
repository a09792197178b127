"""Finding the segments of a log among files, directories and globs.

What is named on its own is judged, whatever it is. A directory gives the files that are named like a segment or begin
like an entry, so that neither a renamed segment nor a damaged one is passed over, and a note beside them is no segment.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from aegis_audit.errors import AuditError
from aegis_audit.segment import STANDARD_INPUT, Identity, Segment

SIDECAR: Final = ".tlog"
"""How the name of a sidecar ends."""
_NAME: Final = re.compile(r"\.(log|jsonl)([.-][0-9][0-9A-Za-z.-]*)?(\.(gz|xz|bz2|zst))?$")
"""`audit.log`, and what our own rotation and logrotate make of it: `audit.log.1`, `audit.log-20261124.gz`."""
_BEGINNING: Final = b'{"entry_hash":"'


def find_segments(paths: Iterable[str]) -> list[Segment]:
    """Return the segments at `paths`: files, directories (not below them), globs, and `-` for standard input.

    A path at which there is nothing, or a directory without a segment, is returned as it is: reading it raises
    `AbsentSegment`. Each path comes once.
    """
    found = (segment for path in paths for segment in _at(path))
    return [Segment(path, found=Identity.of(path)) for path in dict.fromkeys(found)]


def _at(path: str) -> list[str]:
    if path in {STANDARD_INPUT, ""}:  # a variable that was not set names nothing: not the working directory
        return [path]
    if glob.has_magic(path) and not _exists(path):
        return [found for match in sorted(glob.glob(path)) for found in _expanded(match)] or [path]  # noqa: PTH207
    return _expanded(path)


def _expanded(path: str) -> list[str]:
    # The writer's sidecar is no part of the log: a shell's `audit*` names it together with the segments.
    if not _is_directory(path):
        return [path]
    return [] if path.rstrip("/").endswith(SIDECAR) else sorted(_in_directory(path)) or [path]


def _in_directory(path: str) -> Iterator[str]:
    try:
        members = sorted(Path(path).iterdir())
    except OSError:
        return  # reading the directory as a segment says what is wrong with it
    for member in members:
        if member.name.startswith(".") or _is_directory(str(member)):
            continue
        if _NAME.search(member.name) or _begins_like_a_segment(str(member)):
            yield str(member)


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
