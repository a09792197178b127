"""Entries behind a mark: numbered, linked, in the tree, and in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aegis_audit import canonical, chain
from aegis_audit.entry import Draft
from aegis_audit.mark import Mark
from aegis_mcp.audit.clock import Clock
from aegis_mcp.audit.storage import Storage
from aegis_mcp.audit.stretch import Stretch


class Writer:
    """Writes entries of one session to the files of one log; whoever uses it holds their lock."""

    def __init__(self, storage: Storage, session_id: str) -> None:
        self.storage = storage
        self.clock = Clock()
        self._session_id = session_id

    def write(
        self,
        mark: Mark,
        drafts: Sequence[Draft],
        *,
        is_synced: bool = True,
        before: bytes = b"",
        after: bytes = b"",
    ) -> Mark:
        """Append entries behind `mark`, with other bytes before and after them, and store the new mark."""
        return self.storage.store(self.put(mark, drafts, is_synced=is_synced, before=before, after=after))

    def put(
        self, mark: Mark, drafts: Sequence[Draft], *, is_synced: bool, before: bytes = b"", after: bytes = b""
    ) -> Mark:
        """Do the same, but leave it to the caller to store the mark."""
        stretch = Stretch(mark)
        self.add(stretch, drafts, is_synced=is_synced, before=before, after=after)
        return stretch.mark()

    def add(
        self, stretch: Stretch, drafts: Sequence[Draft], *, is_synced: bool, before: bytes = b"", after: bytes = b""
    ) -> None:
        """Append entries behind a stretch of others, which they then belong to."""
        # Under the lock, so that the times of all gateways that share the log are in the order of its entries.
        timestamp = self.clock.timestamp()
        lines, hashes, head = [before], list[str](), stretch.head
        for draft in drafts:
            line, head = chain.append(head, draft, timestamp)
            lines.append(line)
            hashes.append(head.entry_hash)
        lines.append(after)
        data = b"".join(lines)
        self.storage.append(stretch.since.inode, stretch.ring, data, is_synced=is_synced)
        stretch.add(head, hashes, len(data))

    def event(self, event: Mapping[str, object]) -> Draft:
        """Return the draft of a security event."""
        return Draft("security_event", canonical.encode(event), self._session_id)

    def checkpoint(self, note: str) -> Draft:
        """Return the draft of the entry that holds a signed note."""
        return Draft("checkpoint", canonical.encode({"note": note}), self._session_id)
