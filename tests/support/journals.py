"""Journals in a temporary place, and the chain that their log holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from aegis_audit import canonical
from aegis_audit.entry import Draft, Entry
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.signing import Keys
from aegis_mcp.settings import Rotation

SESSION: Final = "5" * 32

_NEVER: Final = Rotation()
_open: Final[list[Journal]] = []


def journal(directory: Path, rotation: Rotation = _NEVER, keys: Keys | None = None) -> Journal:
    """Return a journal whose log is `logs/audit.log` in a directory; it is closed when the test is over."""
    _open.append(Journal(log_of(directory), SESSION, rotation, keys))
    return _open[-1]


def close_all() -> None:
    """Close what was opened: a gateway has one journal, and ends with it."""
    while _open:
        _open.pop().close()


def log_of(directory: Path) -> Path:
    """Return the path of that log."""
    return directory / "logs" / "audit.log"


def draft(number: int, size: int = 0) -> Draft:
    """Return an entry that carries a number, and so many bytes of bulk."""
    event = canonical.encode({"bulk": "x" * size, "number": number})
    return Draft("tool_invocation", event, SESSION, "1" * 32)


class Meanwhile(list[Draft]):
    """Entries that something happens to the log before, when it was looked at and nothing is written yet."""

    def __init__(self, act: Callable[[], object], *drafts: Draft) -> None:
        super().__init__(drafts)
        self._act = act

    def __iter__(self) -> Iterator[Draft]:
        self._act()
        return super().__iter__()


def append(journal: Journal, *numbers: int, size: int = 0, patience: float = 10) -> None:
    """Append one entry for each number, together."""
    journal.append([draft(number, size) for number in numbers], is_synced=False, patience=patience)


def entries(*segments: Path) -> list[Entry]:
    """Return the entries of segments; what is not an entry is passed over."""
    lines = [line for segment in segments for line in segment.read_bytes().splitlines(keepends=True)]
    return [Entry.parse(line) for line in lines if line.startswith(b'{"entry_hash"') and line.endswith(b"}\n")]


def numbers(*segments: Path) -> list[int]:
    """Return the numbers that entries carry, each once, in the order of their sequence."""
    by_seq = {entry.seq: entry.event["number"] for entry in entries(*segments) if "number" in entry.event}
    return [by_seq[seq] for seq in sorted(by_seq)]


def is_strict_chain(*segments: Path) -> bool:
    """Tell whether the entries of all segments together are one chain from the first on, equal ones counted once."""
    by_seq: dict[int, Entry] = {}
    for entry in entries(*segments):
        if entry.computed_hash != entry.entry_hash or by_seq.setdefault(entry.seq, entry) != entry:
            return False
    chain = [by_seq[seq] for seq in sorted(by_seq)]
    links = pairwise(chain)
    return chain[0].seq == 0 and all(b.seq == a.seq + 1 and b.prev_hash == a.entry_hash for a, b in links)


def kinds(*segments: Path) -> list[str]:
    """Return the kinds of the security events, in the order in which they stand."""
    return [entry.kind for entry in entries(*segments) if entry.kind]
