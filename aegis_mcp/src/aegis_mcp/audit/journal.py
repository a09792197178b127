"""The writer: one critical section in which the log is looked at, mended if need be, and appended to.

What was written stays: a torn line is completed or attested, never cut off; numbers never go back; a log that is
shorter than its head is not quietly continued.
"""

from __future__ import annotations

import re
import secrets
import socket
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aegis_audit import canonical, chain
from aegis_audit.chain import GENESIS, Head
from aegis_audit.entry import MAX_LINE, Draft, Entry
from aegis_audit.mark import Mark
from aegis_mcp import __version__
from aegis_mcp.audit import retention, survey
from aegis_mcp.audit.clock import Clock
from aegis_mcp.audit.storage import RING_SIZE, Storage, explain
from aegis_mcp.audit.survey import Beyond, Lost
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.settings import Rotation

_REPLAY_NANOSECONDS: Final = 60_000_000_000
"""How long before a truncation a line may have been written and still be written again after it."""

_NEVER: Final = Rotation()

_SAMPLE: Final = 256
"""Bytes before a mark that tell one place in a log from another: less than a line, and most of what is its own."""


class Journal:
    """The log at one path, shared with every other process that writes to it."""

    def __init__(self, path: Path, session_id: str, rotation: Rotation = _NEVER) -> None:
        self._storage = Storage(path)
        self._session_id = session_id
        self._rotation = rotation
        self._full = rotation.max_bytes or sys.maxsize
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
                    mark = self._open_segment(mark, "truncated")
                return mark.head
        except OSError as exc:
            self._storage.drop_log()
            raise AuditUnavailable(explain(exc)) from exc

    def rotate(self, reason: str, *, patience: float) -> Path | None:
        """Let the log go on in a new segment, and drop what is not to be kept; wait at most `patience` seconds.

        Return where the full segment is now, None if it holds nothing but the entry that opened it.

        Raises:
            LogLocked: another process has held the lock for that long.
            AuditUnavailable: the log could not be renamed, or not gone on with.
        """
        with self._settled(patience) as mark:
            if len(self._first_line(mark)) == mark.offset:
                return None
            segment = self._set_aside(mark)
            self._after_rotation(mark, reason)
            return segment

    def head(self, *, patience: float) -> Head:
        """Return the last entry of the log, mended if need be; waits and raises as `rotate` does."""
        with self._settled(patience) as mark:
            return mark.head

    @contextmanager
    def _settled(self, patience: float) -> Generator[Mark]:
        """Hold the lock, with a mark that agrees with the log: for what is rare."""
        try:
            with self._storage.locked(patience):
                yield self._settle()
        except OSError as exc:
            self._storage.drop_log()
            raise AuditUnavailable(explain(exc)) from exc

    def close(self) -> None:
        """Close the files."""
        self._storage.close()

    def _write(
        self,
        mark: Mark,
        drafts: Sequence[Draft],
        *,
        is_synced: bool = True,
        before: bytes = b"",
        after: bytes = b"",
    ) -> Mark:
        """Append entries behind `mark`, with other bytes before and after them, and store the new mark."""
        # Under the lock, so that the times of all gateways that share the log are in the order of its entries.
        timestamp = self._clock.timestamp()
        lines, head = [before], mark.head
        for draft in drafts:
            line, head = chain.append(head, draft, timestamp)
            lines.append(line)
        lines.append(after)
        return self._storage.store(self._storage.append(mark, b"".join(lines), head, is_synced=is_synced))

    def _settle(self) -> Mark:
        """Return a mark that agrees with the log, after mending what a crash or a rotation has left."""
        mark, state = self._storage.mark(), self._storage.log_state()
        if mark is None:
            return self._begin()
        if state is None or state.st_ino != mark.inode:
            return self._open_segment(mark, "rotated" if state else "missing")
        if state.st_size == mark.offset:
            return mark if mark.offset < self._full else self._rotate_full(mark)
        is_cut = state.st_size < mark.offset or self._was_cut(mark)
        return self._open_segment(mark, "truncated") if is_cut else self._take_over(mark)

    def _rotate_full(self, mark: Mark) -> Mark:
        try:
            self._set_aside(mark)
        except OSError:
            # A log that cannot be renamed is still a log: try again when it has grown by as much once more.
            self._full += self._full
            return mark
        return self._after_rotation(mark, "size")

    def _set_aside(self, mark: Mark) -> Path:
        return self._storage.set_aside(retention.rotated_name(self._storage.path, mark.head.seq, datetime.now(UTC)))

    def _after_rotation(self, mark: Mark, reason: str) -> Mark:
        mark = self._open_segment(mark, reason)
        with suppress(OSError):  # what cannot be removed now is found again at the next rotation
            return self._drop_old(mark)
        return mark

    def _drop_old(self, mark: Mark) -> Mark:
        """Record which segments are not kept any longer, and only then remove them."""
        segments = retention.rotated_segments(self._storage.path)
        first = Entry.parse(self._first_line(mark))
        dropped = retention.to_drop(segments, first, self._rotation, datetime.now(UTC))
        if not dropped:
            return mark
        after = segments[len(dropped)].first if len(dropped) < len(segments) else first
        event: dict[str, object] = {
            "dropped": [dropped[0].first.seq, after.seq - 1],
            "kind": "segments_dropped",
            "origin": mark.origin,
            "prev_hash": after.prev_hash,
            "segments": len(dropped),
        }
        mark = self._write(mark, [self._event(event)])
        for segment in dropped:
            self._storage.remove(segment.path)
        return mark

    def _first_line(self, mark: Mark) -> bytes:
        start = self._storage.read(mark.inode, 0, MAX_LINE)
        return start[: start.find(b"\n") + 1]

    def _was_cut(self, mark: Mark) -> bool:
        """Tell whether a log that is longer than its mark says was cut before, and has grown again."""
        size = min(mark.offset, mark.ring, _SAMPLE)
        kept = self._storage.recall(mark.ring - size, size)
        return bool(kept.strip(b"\0")) and kept != self._storage.read(mark.inode, mark.offset - size, size)

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
        """Go on in what stands at the path now: another file than before, a new one, or one that somebody has cut."""
        inode, size = self._storage.create_log()
        content = self._storage.read(inode, 0, size)
        kept = self._storage.recall(mark.ring, RING_SIZE)
        begun = survey.begun_segment(kept, mark.head)
        if begun and begun.startswith(content):
            # Another process was killed when it had begun to open this segment.
            end = replace(mark, inode=inode, offset=size, ring=mark.ring + size)
            self._storage.append(end, begun[size:], mark.head, is_synced=True)
            return self._take_over(replace(mark, inode=inode, offset=0))
        # The same, but before it could store the head: what it wrote to the file before may be there, or not.
        head, ahead = survey.written_ahead(kept, mark.head)
        found = survey.beyond(content, 0, head)
        if found.head != head:
            return self._take_over(replace(mark, inode=inode, offset=0))
        lost = self._lost_with_cut(mark, content) if reason == "truncated" else Lost()
        lost = replace(lost, lines=[*lost.lines, *(one for one in ahead if one[1] not in content)])
        ring = mark.ring + sum(len(line) for _, line in ahead)
        return self._write_opening(replace(mark, head=head, inode=inode, offset=size, ring=ring), reason, lost, found)

    def _lost_with_cut(self, mark: Mark, content: bytes) -> Lost:
        not_before = self._clock.at(self._storage.changed_at(mark) - _REPLAY_NANOSECONDS)
        kept = self._storage.recall(max(0, mark.ring - RING_SIZE), min(mark.ring, RING_SIZE))
        return survey.lost_with_cut(kept, content, mark.head, not_before)

    def _write_opening(self, mark: Mark, reason: str, lost: Lost, found: Beyond) -> Mark:
        """Write the entry that opens a segment, and behind it again, byte for byte, what may have been lost."""
        event: dict[str, object] = {
            "first_seq": mark.head.seq + 1,
            "kind": "segment_opened",
            "origin": mark.origin,
            "prev_hash": mark.head.entry_hash,
            "reason": reason,
        }
        event |= {"replay": [lost.lines[0][0], lost.lines[-1][0]]} if lost.lines else {}
        event |= {"fragments": found.fragments} if found.fragments else {}
        mark = self._write(
            mark,
            [self._event(event)],
            before=b"\n" if found.torn else b"",
            after=b"".join(line for _, line in lost.lines),
        )
        if not lost.missing:
            return mark
        gone = {"kind": "entries_lost", "missing": lost.missing, "reason": "the log was shorter than its head"}
        return self._write(mark, [self._event(gone)])

    def _event(self, event: Mapping[str, object]) -> Draft:
        return Draft("security_event", canonical.encode(event), self._session_id)


def _host_name() -> str:
    """Return the name of this machine as an origin may hold it: without spaces, `+` or anything beyond ASCII."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:100] or "localhost"
