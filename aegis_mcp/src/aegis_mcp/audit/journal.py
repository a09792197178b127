"""The writer: one critical section in which the log is looked at, mended if need be, and appended to.

What was written stays: a torn line is completed or attested, never cut off; numbers never go back; a log that is
shorter than its head is not quietly continued.
"""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from aegis_audit import canonical, chain
from aegis_audit.chain import GENESIS, Head
from aegis_audit.entry import MAX_LINE, Draft
from aegis_audit.mark import Mark
from aegis_mcp import __version__
from aegis_mcp.audit import survey
from aegis_mcp.audit.clock import Clock
from aegis_mcp.audit.storage import RING_SIZE, Storage, explain
from aegis_mcp.errors import AuditUnavailable

_REPLAY_NANOSECONDS: Final = 60_000_000_000
"""How long before a truncation a line may have been written and still be written again after it."""


class Journal:
    """The log at one path, shared with every other process that writes to it."""

    def __init__(self, path: Path, session_id: str) -> None:
        self._storage = Storage(path)
        self._session_id = session_id
        self._clock = Clock()

    def append(self, drafts: Sequence[Draft], *, is_synced: bool, patience: float) -> Head:
        """Append entries with one write, and one sync if asked for; wait at most `patience` seconds for the lock.

        Raises:
            LogLocked: another process has held the lock for that long.
            AuditUnavailable: not all are in the log. What did get there counts, and the next append goes on from it.
        """
        try:
            with self._storage.locked(patience):
                mark = self._write(self._settle(), drafts, is_synced=is_synced)
                if self._storage.size(mark) < mark.offset:
                    # Cut between the look and now: what was just written may be gone with the rest.
                    mark = self._after_truncation(mark)
                return mark.head
        except OSError as exc:
            self._storage.drop_log()
            raise AuditUnavailable(explain(exc)) from exc

    def close(self) -> None:
        """Close the files."""
        self._storage.close()

    def _write(self, mark: Mark, drafts: Sequence[Draft], *, is_synced: bool = True, before: bytes = b"") -> Mark:
        """Append entries after `mark`, with the bytes `before` in front of them, and store the new mark."""
        # Under the lock, so that the times of all gateways that share the log are in the order of its entries.
        timestamp = self._clock.timestamp()
        lines, head = [before], mark.head
        for draft in drafts:
            line, head = chain.append(head, draft, timestamp)
            lines.append(line)
        return self._storage.store(self._storage.append(mark, b"".join(lines), head, is_synced=is_synced))

    def _settle(self) -> Mark:
        """Return a mark that agrees with the log, after mending what a crash or a rotation has left."""
        mark, state = self._storage.mark(), self._storage.log_state()
        if mark is None:
            return self._begin()
        if state is None or state.st_ino != mark.inode:
            return self._open_segment(mark, "rotated" if state else "missing")
        if state.st_size == mark.offset:
            return mark
        return self._after_truncation(mark) if state.st_size < mark.offset else self._take_over(mark)

    def _begin(self) -> Mark:
        """Start a log, or go on with one whose sidecar is lost."""
        inode, size = self._storage.create_log()
        first = self._storage.read(inode, 0, MAX_LINE)
        origin = survey.origin_of(first) or f"{_host_name()}/{secrets.token_hex(8)}"
        if not size:
            opened = {"kind": "log_opened", "origin": origin, "version": __version__}
            return self._write(Mark(GENESIS, inode, 0, 0, 0, origin), [self._event(opened)])
        start = max(0, size - survey.LAST)
        head, end = survey.last_entry(self._storage.read(inode, start, size - start)) or (GENESIS, 0)
        return self._take_over(Mark(head, inode, start + end, 0, 0, origin), "the sidecar was lost")

    def _take_over(self, mark: Mark, why: str | None = None) -> Mark:
        """Go on from what another process wrote beyond the head, completing or attesting what it left torn."""
        found = survey.beyond(self._storage.read(mark.inode, mark.offset), mark.offset, mark.head)
        size = len(found.data)
        end = replace(mark, offset=mark.offset + size, ring=mark.ring + size)
        rest = survey.rest_of_torn(found, self._storage.recall(mark.ring, size + MAX_LINE))
        if rest:
            self._storage.append(end, rest, mark.head, is_synced=True)
            return self._take_over(mark, why)
        self._storage.remember(mark.ring, found.data)
        end = replace(end, head=found.head)
        if not found.fragments and not why:
            return self._storage.store(end)
        event: dict[str, object] = {"fragments": found.fragments, "kind": "recovered", "origin": mark.origin}
        event |= {"reason": why or "a line was torn"}
        return self._write(end, [self._event(event)], before=b"\n" if found.torn else b"")

    def _open_segment(self, mark: Mark, reason: str) -> Mark:
        """Go on in the file that stands at the path now, or in a new one."""
        inode, size = self._storage.create_log()
        return self._write_opening(replace(mark, inode=inode, offset=size), reason, {})

    def _after_truncation(self, mark: Mark) -> Mark:
        """Go on in a file that somebody has cut, and write again what may have been lost with the cut."""
        size = self._storage.size(mark)
        content = self._storage.read(mark.inode, 0, size)
        mark = replace(mark, offset=size)
        if survey.beyond(content, 0, mark.head).head != mark.head:
            # Another process was killed after it had opened the segment and before it had stored the mark.
            return self._take_over(replace(mark, offset=0))
        not_before = self._clock.at(self._storage.changed_at(mark) - _REPLAY_NANOSECONDS)
        kept = self._storage.recall(max(0, mark.ring - RING_SIZE), min(mark.ring, RING_SIZE))
        lost = survey.lost_lines(kept, content, mark.head, not_before)
        mark = self._write_opening(mark, "truncated", {"replay": [lost[0][0], lost[-1][0]]} if lost else {})
        if not lost:
            return mark
        lines = b"".join(line for _, line in lost)
        return self._storage.store(self._storage.append(mark, lines, mark.head, is_synced=True))

    def _write_opening(self, mark: Mark, reason: str, replay: dict[str, object]) -> Mark:
        event: dict[str, object] = {
            "first_seq": mark.head.seq + 1,
            "kind": "segment_opened",
            "origin": mark.origin,
            "reason": reason,
        }
        event |= {"prev_hash": mark.head.entry_hash} | replay
        is_ended = not mark.offset or self._storage.read(mark.inode, mark.offset - 1, 1) == b"\n"
        return self._write(mark, [self._event(event)], before=b"" if is_ended else b"\n")

    def _event(self, event: Mapping[str, object]) -> Draft:
        return Draft("security_event", canonical.encode(event), self._session_id)


def _host_name() -> str:
    """Return the name of this machine as an origin may hold it: without spaces, `+` or anything beyond ASCII."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:100] or "localhost"
