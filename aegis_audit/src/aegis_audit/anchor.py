"""Checkpoints that are kept outside of a log: in its sidecar, in a file on another mount, by a witness."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.errors import AbsentSegment, MalformedNote, UnreadableSegment, UnusableAnchor
from aegis_audit.note import MAX_NOTE, Note
from aegis_audit.segment import open_file


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint that a log is known to have had, and from where."""

    checkpoint: Checkpoint
    note: Note
    path: Path


def load_anchor(path: Path) -> Anchor:
    """Return the checkpoint in a file.

    Raises:
        UnusableAnchor: it cannot be read, or holds no checkpoint.
    """
    try:
        with open(open_file(str(path)), "rb") as file:  # noqa: PTH123 - of a descriptor
            note = Note.parse(file.read(MAX_NOTE + 1))
        return Anchor(Checkpoint.parse(note.text), note, path)
    except AbsentSegment as exc:
        raise UnusableAnchor(path, exc.reason) from exc
    except (UnreadableSegment, MalformedNote, OSError) as exc:
        raise UnusableAnchor(path, getattr(exc, "reason", None) or str(exc)) from exc


def find_anchor(sidecar: Path) -> Anchor | None:
    """Return the checkpoint in a sidecar; None if there is none.

    Raises:
        UnusableAnchor: there is something else in its place.
    """
    path = sidecar / "checkpoint"
    return load_anchor(path) if os.path.lexists(path) else None
