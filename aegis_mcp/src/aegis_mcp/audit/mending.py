"""What is done when a log is not as its mark says: after a crash, a rotation, a cut, or the loss of the sidecar.

What was written stays: a torn line is completed or attested, never cut off; numbers never go back; a log that is
shorter than its head is not quietly continued.
"""

from __future__ import annotations

import re
import secrets
import socket
from typing import Final

from aegis_audit.chain import GENESIS
from aegis_audit.entry import MAX_LINE
from aegis_audit.mark import Mark
from aegis_audit.tree import EMPTY
from aegis_audit.value import replace
from aegis_mcp import __version__
from aegis_mcp.audit import survey
from aegis_mcp.audit.signing import Signing
from aegis_mcp.audit.storage import MOST_READ, RING_SIZE
from aegis_mcp.audit.survey import Beyond, Lost
from aegis_mcp.audit.writer import Writer

_REPLAY_NANOSECONDS: Final = 60_000_000_000
"""How long before a truncation a line may have been written and still be written again after it."""

_MOST_RENAMED: Final = 8
"""How often a log may go while it is gone on with, before that is left to the next look."""

_SAMPLE: Final = 256
"""Bytes before a mark that tell one place in a log from another: less than a line, and most of what is its own."""


class Mending:
    """Brings log and mark of one writer together; whoever uses it holds the lock of the log."""

    def __init__(self, writer: Writer, signing: Signing) -> None:
        self._writer = writer
        self._storage = writer.storage
        self._signing = signing

    def settle(self, since: int | None = None) -> Mark:
        """Return a mark that agrees with the log, after mending what a crash or a rotation has left.

        What was written to the tail from `since` on may have gone to a file that somebody had renamed by then.
        """
        mark, state = self._storage.mark(), self._storage.log_state()
        if mark is None:
            return self._begin()
        if state is None or state.st_ino != mark.inode:
            return self.open_segment(mark, "rotated" if state else "missing", since=since)
        if state.st_size == mark.offset:
            return mark
        is_cut = state.st_size < mark.offset or self._was_cut(mark)
        if is_cut:
            return self.open_segment(mark, "truncated")
        return self._take_over(mark, least=min(state.st_size - mark.offset, MOST_READ))

    def open_segment(self, mark: Mark, reason: str, *, since: int | None = None) -> Mark:
        """Go on in what stands at the path now: another file than before, a new one, or one that somebody has cut.

        What was written to the tail from `since` on, with which the log ends, is written again.
        """
        since = mark.ring if since is None else since
        for _ in range(_MOST_RENAMED):
            mark = self._open(mark, reason, since)
            state = self._storage.log_state()
            if state is not None and state.st_ino == mark.inode:
                break
            reason = "rotated" if state else "missing"
        return mark

    def _open(self, mark: Mark, reason: str, since: int) -> Mark:
        """Do that in what stands there now, which may have gone by the end."""
        inode, size = self._storage.create_log()
        content = self._storage.read(inode, 0, size)
        kept = self._storage.recall(mark.ring, RING_SIZE)
        begun = survey.begun_segment(kept, mark.head)
        if begun and begun.startswith(content):
            # Another process was killed when it had begun to open this segment.
            end = mark._replace(inode=inode, offset=size, ring=mark.ring + size)
            self._storage.append(inode, end.ring, begun[size:], is_synced=True)
            return self._take_over(mark._replace(inode=inode, offset=0))
        # The same, but before it could store the head: what it wrote to the file before may be there, or not.
        ahead = survey.written_ahead(kept, mark.head)
        found = survey.beyond(content, 0, ahead.head)
        if found.leaves:
            return self._take_over(mark._replace(inode=inode, offset=0))
        lost = self._lost_with_cut(mark, content) if reason == "truncated" else Lost([], [])
        again = [one for one in survey.numbered(ahead.data) if one[1] not in content]
        lines = sorted({*lost.lines, *again, *self._written(mark, since)})
        end = _behind(mark, ahead)._replace(inode=inode, offset=size)
        return self._write_opening(end, reason, replace(lost, lines=lines), found)

    def _written(self, mark: Mark, since: int) -> list[tuple[int, bytes]]:
        size = max(0, mark.ring - since)  # a tail that was lost begins anew
        data = self._storage.recall(mark.ring - size, size) if size <= RING_SIZE else b""
        return survey.numbered(data)

    def _was_cut(self, mark: Mark) -> bool:
        """Tell whether a log that is longer than its mark says was cut before, and has grown again."""
        size = min(mark.offset, mark.ring, _SAMPLE)
        kept = self._storage.recall(mark.ring - size, size)
        return bool(kept.strip(b"\0")) and kept != self._storage.read(mark.inode, mark.offset - size, size)

    def _begin(self) -> Mark:
        """Start a log, or go on with one whose sidecar is lost."""
        inode, size = self._storage.create_log()
        first = self._storage.read(inode, 0, MAX_LINE)
        origin = survey.origin_of(first) or self._signing.origin() or f"{_host_name()}/{secrets.token_hex(8)}"
        if not size:
            keys = self._signing.create(origin)
            opened = {"kind": "log_opened", "origin": origin, "version": __version__} | keys
            mark = Mark(GENESIS, inode, 0, 0, 0, origin, EMPTY, 0 if keys else -1)
            return self._writer.write(mark, [self._writer.event(opened)])
        start = max(0, size - survey.LAST)
        head, end = survey.last_entry(self._storage.read(inode, start, size - start)) or (GENESIS, 0)
        grown = survey.regrow(self._storage.lines(inode))
        # Behind what was written again, the last line is not the last entry.
        head = grown.head if grown.head.seq > head.seq else head
        tree = grown.tree if grown.head == head else None
        mark = Mark(head, inode, start + end, 0, 0, origin, tree, 0 if grown.is_signed else -1)
        return self._take_over(mark, "the sidecar was lost")

    def _take_over(self, mark: Mark, why: str | None = None, least: int = 0) -> Mark:
        """Go on from what another process wrote beyond the head, completing or attesting what it left torn."""
        data = self._storage.read(mark.inode, mark.offset)
        if len(data) < least:  # cut since it was looked at
            return self.open_segment(mark, "truncated")
        found = survey.beyond(data, mark.offset, mark.head)
        end = _behind(mark, found)
        rest = survey.rest_of_torn(found, self._storage.recall(mark.ring, len(found.data) + MAX_LINE))
        if rest:
            self._storage.append(end.inode, end.ring, rest, is_synced=True)
            return self._take_over(mark, why)
        self._storage.remember(mark.ring, found.data)
        if not found.fragments and not why:
            return self._storage.store(end)
        event: dict[str, object] = {"fragments": found.fragments, "kind": "recovered", "origin": mark.origin}
        event |= {"reason": why or "a line was torn"}
        return self._writer.write(end, [self._writer.event(event)], before=b"\n" if found.torn else b"")

    def _lost_with_cut(self, mark: Mark, content: bytes) -> Lost:
        not_before = self._writer.clock.at(self._storage.changed_at(mark) - _REPLAY_NANOSECONDS)
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
        event |= {"tree": [node.hex() for node in mark.tree.hashes]} if mark.tree else {}
        event |= {"signed": mark.signed} if mark.signed >= 0 else {}
        event |= {"replay": [lost.lines[0][0], lost.lines[-1][0]]} if lost.lines else {}
        event |= {"fragments": found.fragments} if found.fragments else {}
        before, after = b"\n" if found.torn else b"", b"".join(line for _, line in lost.lines)
        mark = self._writer.write(mark, [self._writer.event(event)], before=before, after=after)
        if not lost.missing:
            return mark
        gone = {"kind": "entries_lost", "missing": lost.missing, "reason": "the log was shorter than its head"}
        return self._writer.write(mark, [self._writer.event(gone)])


def _behind(mark: Mark, found: Beyond) -> Mark:
    """Return the mark behind what was found beyond it."""
    size, tree = len(found.data), mark.tree and mark.tree.extend(found.leaves)
    return mark._replace(head=found.head, offset=mark.offset + size, ring=mark.ring + size, tree=tree)


def _host_name() -> str:
    """Return the name of this machine as an origin may hold it: without spaces, `+` or anything beyond ASCII."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:100] or "localhost"
