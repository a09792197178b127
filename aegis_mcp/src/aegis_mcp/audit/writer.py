"""Entries behind a mark: numbered, linked, in the tree, and in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aegis_audit import canonical, chain
from aegis_audit.entry import Draft
from aegis_audit.mark import Mark
from aegis_mcp.audit.clock import Clock
from aegis_mcp.audit.storage import Storage


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
        # Under the lock, so that the times of all gateways that share the log are in the order of its entries.
        timestamp = self.clock.timestamp()
        lines, head, tree = [before], mark.head, mark.tree
        for draft in drafts:
            line, head = chain.append(head, draft, timestamp)
            lines.append(line)
            if tree is not None:
                tree = tree.append(bytes.fromhex(head.entry_hash))
        lines.append(after)
        return self.storage.append(mark, b"".join(lines), head, tree, is_synced=is_synced)

    def event(self, event: Mapping[str, object]) -> Draft:
        """Return the draft of a security event."""
        return Draft("security_event", canonical.encode(event), self._session_id)

    def checkpoint(self, note: str) -> Draft:
        """Return the draft of the entry that holds a signed note."""
        return Draft("checkpoint", canonical.encode({"note": note}), self._session_id)
