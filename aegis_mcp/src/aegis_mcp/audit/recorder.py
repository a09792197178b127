"""The log as the event loop sees it: a commit that waits, but never longer than the deadline.

What needs no sync is appended at once, in the loop: it costs a few microseconds. The rest is done by one thread, and
what comes together shares one write and one sync. A disk or a lock that hangs holds up that thread and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aegis_audit.entry import Draft
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.storage import LogLocked
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.settings import AuditSettings, Durability

_MOST_AT_ONCE: Final = 256
_MARGIN: Final = 0.05
"""Seconds by which the thread gives up before those who wait for it do."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Entries that wait for the thread; nobody waits for them after `expires`, on the monotonic clock."""

    drafts: Sequence[Draft]
    is_synced: bool
    done: asyncio.Future[None]
    expires: float


class Recorder:
    """Commits entries to one journal, in the order in which the commits were asked for."""

    def __init__(self, journal: Journal, settings: AuditSettings) -> None:
        self._journal = journal
        self._settings = settings
        self._waiting: queue.SimpleQueue[_Batch] = queue.SimpleQueue()
        self._unfinished = 0
        self._thread: threading.Thread | None = None
        self._late_since: float | None = None

    async def commit(self, drafts: Sequence[Draft], *, is_write: bool) -> None:
        """Return once the entries are as durable as the settings ask for writes or for reads.

        Raises:
            AuditUnavailable: they are not, or not within the deadline.
        """
        durability = self._settings.durability
        is_synced = durability is Durability.SYNC or (durability is Durability.SYNC_WRITES and is_write)
        if not is_synced and not self._unfinished:
            try:
                self._journal.append(drafts, is_synced=False, patience=0)
            except LogLocked:
                pass  # another gateway is writing: let the thread wait for it
            else:
                return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._commit_in_thread(_Batch(drafts, is_synced, done, time.monotonic() + self._settings.deadline))

    async def _commit_in_thread(self, batch: _Batch) -> None:
        if self._late_since is not None:
            raise AuditUnavailable(f"the audit log has not answered for {time.monotonic() - self._late_since:.0f} s")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, args=(asyncio.get_running_loop(),), daemon=True)
            self._thread.start()
        self._unfinished += 1
        self._waiting.put(batch)
        try:
            await asyncio.wait_for(asyncio.shield(batch.done), self._settings.deadline)
        except TimeoutError as exc:
            self._late_since = self._late_since or time.monotonic()
            raise AuditUnavailable(f"the audit log did not answer within {self._settings.deadline:g} s") from exc

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            batches = self._next_batches()
            failure: AuditUnavailable | None = None
            try:
                self._write(batches)
            except AuditUnavailable as exc:
                failure = exc
            try:
                loop.call_soon_threadsafe(self._finish, batches, failure)
            except RuntimeError:
                return  # the loop has ended: nobody waits any more

    def _write(self, batches: Sequence[_Batch]) -> None:
        # What nobody waits for any more was refused: it must not be recorded as sent.
        now = time.monotonic()
        wanted = [batch for batch in batches if batch.expires > now]
        if wanted:
            drafts = [draft for batch in wanted for draft in batch.drafts]
            patience = max(0.0, min(batch.expires for batch in wanted) - now - _MARGIN)
            self._journal.append(drafts, is_synced=any(batch.is_synced for batch in wanted), patience=patience)

    def _next_batches(self) -> list[_Batch]:
        """Wait for a batch, and take those that have come by then with it."""
        batches = [self._waiting.get()]
        with contextlib.suppress(queue.Empty):
            while len(batches) < _MOST_AT_ONCE:
                batches.append(self._waiting.get_nowait())
        return batches

    def _finish(self, batches: list[_Batch], failure: AuditUnavailable | None) -> None:
        self._unfinished -= len(batches)
        self._late_since = None
        for batch in batches:
            if batch.done.done():
                continue
            if failure:
                batch.done.set_exception(failure)
            else:
                batch.done.set_result(None)
            batch.done.exception()  # one that nobody waits for any more is no error of its own
