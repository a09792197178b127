"""Checkpoints that are kept beside a log: in a file on another mount, in its sidecar, with what others say of them.

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


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint that a log is said to have had, and from where; it is `outside` if it was kept off the log's host.

    `raw` are the bytes of the note.
    """

    checkpoint: Checkpoint
    note: Note
    path: Path
    raw: bytes
    is_outside: bool


def load_anchor(path: Path, *, is_outside: bool = True) -> Anchor:
    """Return the checkpoint in a file.

    Raises:
        UnusableAnchor: it cannot be read, or holds no checkpoint.
    """
    try:
        with open(open_file(str(path)), "rb") as file:  # noqa: PTH123 - of a descriptor
            raw = file.read(MAX_NOTE + 1)
        note = Note.parse(raw)
        return Anchor(Checkpoint.parse(note.text), note, path, raw, is_outside)
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
