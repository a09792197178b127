"""Checkpoints that are kept beside a log: in a file on another mount, in its sidecar, with what others say of them.

Beside a checkpoint its time stamp may stand, in a file of the same name with `.tsr` behind it.

Each is a claim until the log, a key or a certificate says otherwise (decision 9).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.errors import AbsentSegment, MalformedNote, UnreadableSegment, UnusableAnchor
from aegis_audit.note import MAX_NOTE, Note
from aegis_audit.segment import open_file

_KEPT: Final = re.compile("checkpoint|cosigned|stamped-[0-9]{1,19}")
_MOST_KEPT: Final = 16
_STAMP: Final = ".tsr"
_MAX_STAMP: Final = 262_144


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint that a log is said to have had, and from where; it is `outside` if it was kept off the log's host.

    `raw` are the bytes of the note, `token` is its time stamp (RFC 3161), None where there is none.
    """

    checkpoint: Checkpoint
    note: Note
    path: Path
    raw: bytes
    is_outside: bool
    token: bytes | None = None

    @property
    def token_path(self) -> Path:
        """Return where its time stamp stands, or would."""
        return _beside(self.path)


def load_anchor(path: Path, *, is_outside: bool = True) -> Anchor:
    """Return the checkpoint in a file, with the time stamp beside it; the file of either names both.

    Raises:
        UnusableAnchor: it cannot be read, or holds no checkpoint.
    """
    path = path.with_suffix("") if path.suffix == _STAMP else path
    try:
        raw = _read(path, MAX_NOTE)
        note = Note.parse(raw)
        token = None
        with suppress(AbsentSegment):
            token = _read(_beside(path), _MAX_STAMP)
        return Anchor(Checkpoint.parse(note.text), note, path, raw, is_outside, token)
    except AbsentSegment as exc:
        raise UnusableAnchor(path, exc.reason) from exc
    except (UnreadableSegment, MalformedNote, OSError) as exc:
        raise UnusableAnchor(path, getattr(exc, "reason", None) or str(exc)) from exc


def find_anchors(sidecar: Path) -> Iterator[Anchor]:
    """Yield the checkpoints in a sidecar; what is torn or something else says nothing."""
    with suppress(OSError):
        paths = sorted(path for path in sidecar.iterdir() if _KEPT.fullmatch(path.name))
        for path in islice(paths, _MOST_KEPT):
            with suppress(UnusableAnchor):
                yield load_anchor(path, is_outside=False)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + _STAMP)


def _read(path: Path, most: int) -> bytes:
    """Return what a file holds, of one that is too large one byte more than the most."""
    with open(open_file(str(path)), "rb") as file:  # noqa: PTH123 - of a descriptor
        return file.read(most + 1)
