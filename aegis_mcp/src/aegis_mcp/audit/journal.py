"""The writer: one critical section in which the log is looked at, mended if need be, appended to, and signed.

Rotation and retention are here as well: a segment is set aside, and what is not kept is dropped, on record.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aegis_audit.chain import Head
from aegis_audit.entry import MAX_LINE, Draft, Entry
from aegis_audit.errors import MalformedEntry
from aegis_audit.mark import Mark
from aegis_mcp.audit import retention
from aegis_mcp.audit.mending import Mending
from aegis_mcp.audit.signing import EPOCH, Keys, Signing
from aegis_mcp.audit.storage import Overtaken, Storage, explain
from aegis_mcp.audit.writer import Writer
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.settings import Rotation

_NEVER: Final = Rotation()


class Journal:
    """The log at one path, shared with every other process that writes to it; signed if there are `keys`."""

    def __init__(self, path: Path, session_id: str, rotation: Rotation = _NEVER, keys: Keys | None = None) -> None:
        self._storage = Storage(path)
        self._writer = Writer(self._storage, session_id)
        self._signing = Signing(self._writer, keys)
        self._mending = Mending(self._writer, self._signing)
        self._rotation = rotation
        self._full = rotation.max_bytes or sys.maxsize
        self._room = 0
        """How many entries may follow before the log is looked at and signed."""
        self._unseen: Mark | None = None
        """Since which mark nobody has looked whether what was written stands at the log's path."""

    def append(self, drafts: Sequence[Draft], *, is_synced: bool, patience: float, keeps: bool = False) -> Head:
        """Append entries with one write, and one sync if asked for; wait at most `patience` seconds for the lock.

        With `keeps` the lock is held on, for `go_on`: whoever asks for it calls `leave` within milliseconds, and before
        another thread uses this journal.

        Raises:
            LogLocked: another process has held the lock for that long.
            AuditUnavailable: not all are in the log. What did get there counts, and the next append goes on from it.
        """
        is_again = is_written = False
        while True:
            try:
                with self._settled(patience, keeps=keeps) as start:
                    mark = self._storage.owe(self._writer.put(start, drafts, is_synced=is_synced))
                    head, is_written = mark.head, True
                    if self._signing.is_due(mark):
                        mark = self._sign(mark, is_synced=is_synced)
                    self._look_again(start, mark)
                    return head
            except AuditUnavailable as exc:
                if is_written or is_again or not isinstance(exc.__cause__, Overtaken):
                    raise
                is_again = True

    def go_on(self, drafts: Sequence[Draft]) -> bool:
        """Append entries without a sync if the lock was kept and the log is as it was left; tell whether that was so.

        The path of the log is not looked at until `leave`. Raises as `append` does.
        """
        stretch = self._storage.as_left()
        if stretch is None or stretch.offset >= self._full:
            return False
        if not stretch.count:
            self._room = self._signing.room(stretch.since)
        # Whoever signs stores the head: what it covers has to stand at the log's path by then.
        if stretch.count + len(drafts) > self._room:
            return False
        self._unseen = self._unseen or stretch.since
        try:
            self._writer.add(stretch, drafts, is_synced=False)
        except OSError as exc:
            unavailable = self._unavailable(exc)
            if isinstance(exc, Overtaken):
                return False
            raise unavailable from exc
        return True

    def checkpoint(self, *, patience: float) -> Mark:
        """Sign what is not signed yet, on the disk; return where the log ends. Waits and raises as `append` does."""
        with self._settled(patience) as mark:
            if not mark.unsigned:
                return mark
            return self._look_again(mark, self._signing.checkpoint(mark, is_synced=True, epoch=EPOCH))

    def rotate(self, reason: str, *, patience: float) -> Path | None:
        """Let the log go on in a new segment, and drop what is not to be kept; wait at most `patience` seconds.

        Return where the full segment is now, None if it holds nothing but the entry that opened it.

        Raises:
            LogLocked: another process has held the lock for that long.
            AuditUnavailable: the log could not be signed or renamed, or not gone on with.
        """
        with self._settled(patience) as mark:
            if len(self._first_line(mark)) == mark.offset:
                return None
            segment, end = self._set_aside(mark)
            self._after_rotation(end, reason)
            return segment

    def head(self, *, patience: float) -> Head:
        """Return the last entry of the log, mended if need be; waits and raises as `rotate` does."""
        with self._settled(patience) as mark:
            return mark.head

    def leave(self) -> None:
        """Give back the lock that was kept, once what was written meanwhile stands at the log's path."""
        with suppress(AuditUnavailable, OSError):  # who writes the next entry is told, and goes on from what is there
            if self._unseen:
                with self._settled(0):
                    pass
            self._storage.leave()

    def close(self) -> None:
        """Close the files."""
        self._storage.close()

    @contextmanager
    def _settled(self, patience: float, *, keeps: bool = False) -> Generator[Mark]:
        """Hold the lock, with a mark that agrees with the log, behind which there is room and, if need be, a signature.

        Raises as `append` does.
        """
        try:
            with self._storage.locked(patience, keeps=keeps):
                unseen, self._unseen = self._unseen, None
                mark = self._mending.settle(since=unseen.ring if unseen else None)
                if mark.offset >= self._full:
                    mark = self._rotate_full(mark)
                demanded = self._signing.demand(mark)
                yield mark if demanded is mark else self._look_again(mark, demanded)
        except OSError as exc:
            raise self._unavailable(exc) from exc

    def _unavailable(self, error: OSError) -> AuditUnavailable:
        """Say why an entry is not in the log, which is looked at anew before the next one."""
        self._storage.drop_log()
        self._storage.abandon()
        self._unseen = None
        return AuditUnavailable(explain(error))

    def _sign(self, mark: Mark, *, is_synced: bool) -> Mark:
        # The entries are in the log: what is wrong with a key is said to whoever writes the next ones.
        with suppress(AuditUnavailable):
            return self._signing.checkpoint(mark, is_synced=is_synced)
        return mark

    def _look_again(self, start: Mark, mark: Mark) -> Mark:
        """Write what was written since `start` once more, if the log was renamed or cut before all of it was there.

        It may be gone: with what was cut, or because whoever has renamed the file had compressed it by then.
        """
        state = self._storage.log_state()
        if state is None or state.st_ino != mark.inode:
            return self._mending.open_segment(mark, "rotated" if state else "missing", since=start.ring)
        return self._mending.open_segment(mark, "truncated") if state.st_size < mark.offset else mark

    def _rotate_full(self, mark: Mark) -> Mark:
        try:
            _, end = self._set_aside(mark)
        except OSError:
            # A log that cannot be renamed is still a log: try again when it has grown by as much once more.
            self._full += self._full
            self._storage.drop_log()
            return self._mending.settle(since=mark.ring)  # it may have been signed before
        return self._after_rotation(end, "size")

    def _set_aside(self, mark: Mark) -> tuple[Path, Mark]:
        """Sign the segment to its end, with the last signature of this epoch, and give it another name."""
        mark = self._look_again(mark, self._signing.checkpoint(mark, is_synced=True, epoch=0))
        name = retention.rotated_name(self._storage.path, mark.head.seq, datetime.now(UTC))
        return self._storage.set_aside(name), mark

    def _after_rotation(self, mark: Mark, reason: str) -> Mark:
        mark = self._mending.open_segment(mark, reason)
        with suppress(OSError, MalformedEntry):  # what cannot be removed now is found again at the next rotation
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
        mark = self._writer.write(mark, [self._writer.event(event)])
        for segment in dropped:
            self._storage.remove(segment.path)
        return mark

    def _first_line(self, mark: Mark) -> bytes:
        start = self._storage.read(mark.inode, 0, MAX_LINE)
        return start[: start.find(b"\n") + 1]
