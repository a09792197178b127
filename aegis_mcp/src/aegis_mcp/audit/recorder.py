"""The log as the event loop sees it: a commit that waits, but never longer than the deadline.

What needs no sync is appended at once, in the loop: it costs a few microseconds. The rest is done by one thread, and
what comes together shares one write and one sync. A disk or a lock that hangs holds up that thread and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import threading
import time
from collections.abc import Awaitable, Sequence
from typing import Final

from aegis_audit.entry import Draft
from aegis_audit.value import Value
from aegis_mcp.audit.anchoring import Anchoring
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.turn import LogLocked
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.settings import AuditSettings, Durability, Signatures

_MOST_AT_ONCE: Final = 256
_CALM: Final = 5.0
"""Seconds after the last entry that is not signed until it is (audit-log §5)."""
_KEPT: Final = 0.002
"""Seconds for which the log stays locked: what comes within them need not look for what others have written."""
_MARGIN: Final = 0.05
"""Seconds by which the thread gives up before those who wait for it do."""


class _Batch(Value):
    """Entries that wait for the thread; nobody waits for them after `expires`, on the monotonic clock.

    Without entries it asks for a checkpoint.
    """

    drafts: Sequence[Draft]
    is_synced: bool
    done: asyncio.Future[None]
    expires: float


class Recorder:
    """Commits entries to one journal, in the order in which the commits were asked for."""

    def __init__(self, journal: Journal, settings: AuditSettings, anchoring: Anchoring | None = None) -> None:
        self._journal = journal
        self._settings = settings
        self._is_read_synced = settings.durability is Durability.SYNC
        self._is_write_synced = settings.durability is not Durability.FLUSH
        self._is_signed = settings.signatures is not Signatures.OFF
        self._anchoring = anchoring
        self._waiting: queue.SimpleQueue[_Batch] = queue.SimpleQueue()
        self._unfinished = 0
        self._thread: threading.Thread | None = None
        self._late_since: float | None = None
        self._end = math.inf
        self._latest = 0.0
        self._calm: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None

    def commit(self, drafts: Sequence[Draft], *, is_write: bool) -> Awaitable[None]:
        """Ask for entries, which come before all that are asked for later; return what to wait for.

        That is until they are as durable as the settings ask for writes or for reads.

        Raises:
            AuditUnavailable: they are not, or not within the deadline; whoever waits may get it, too.
        """
        refusal: str | None = None
        if self._anchoring:
            lags, refusal = self._anchoring.take_lags()
            drafts = lags if refusal else [*lags, *drafts]
        is_synced = self._is_write_synced if is_write else self._is_read_synced
        is_waiting = bool(drafts) and not self._append(drafts, is_synced=is_synced)
        return self._committed(self._ask(drafts, is_synced=is_synced) if is_waiting else None, refusal)

    async def _committed(self, done: asyncio.Future[None] | None, refusal: str | None) -> None:
        if done:
            await self._in_time(done)
            self._sign_later()
        if refusal:
            raise AuditUnavailable(refusal)

    def append(self, drafts: Sequence[Draft], *, is_write: bool) -> bool:
        """Commit entries for which nobody has to wait; tell whether they were such, else nothing is done.

        Raises:
            AuditUnavailable: the log cannot take them.
        """
        if self._anchoring and self._anchoring.is_behind:
            return False
        return self._append(drafts, is_synced=self._is_write_synced if is_write else self._is_read_synced)

    def _append(self, drafts: Sequence[Draft], *, is_synced: bool) -> bool:
        if is_synced or self._unfinished:
            return False
        try:
            if not self._journal.go_on(drafts):
                self._journal.append(drafts, is_synced=False, patience=0, keeps=True)
        except LogLocked:
            return False  # another gateway is writing: let the thread wait for it
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().call_later(_KEPT, self.leave)
        return True

    def leave(self) -> None:
        """Let other processes write: before what takes long, and when the lock was kept for long enough."""
        if self._leaving:
            self._leaving.cancel()
            self._leaving = None
            self._journal.leave()
            self._sign_later()

    def hurry(self, seconds: float) -> None:
        """Let all that is asked for from now on have so long together, where the deadline leaves more."""
        self._end = time.monotonic() + seconds

    async def checkpoint(self) -> None:
        """Return once what is not signed yet is, on the disk, or within the deadline it cannot be.

        Raises:
            AuditUnavailable: it cannot.
        """
        await self._in_time(self._ask((), is_synced=True))

    async def close(self) -> None:
        """Sign the end of the log; raises as `checkpoint` does."""
        self.leave()
        if self._calm or self._unfinished:
            await self.checkpoint()

    def _sign_later(self) -> None:
        self._latest = time.monotonic()
        if self._calm is None and self._is_signed:
            self._calm = asyncio.get_running_loop().call_later(_CALM, self._on_calm)

    def _on_calm(self) -> None:
        """Ask for a checkpoint if nothing was written for a while, else come again."""
        left = self._latest + _CALM - time.monotonic()
        if left > _MARGIN:
            self._calm = asyncio.get_running_loop().call_later(left, self._on_calm)
            return
        self._calm = None
        self._submit((), is_synced=True)  # whoever writes the next entry is told why it could not be signed

    async def _in_time(self, done: asyncio.Future[None]) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(done), self._patience())
        except TimeoutError as exc:
            self._late_since = self._late_since or time.monotonic()
            raise self._late() from exc

    def _patience(self) -> float:
        return max(0.0, min(self._settings.deadline, self._end - time.monotonic()))

    def _late(self) -> AuditUnavailable:
        within = f"within {self._settings.deadline:g} s" if self._end == math.inf else "before the end"
        return AuditUnavailable(f"the audit log did not answer {within}")

    def _ask(self, drafts: Sequence[Draft], *, is_synced: bool) -> asyncio.Future[None]:
        if self._late_since is not None:
            raise AuditUnavailable(f"the audit log has not answered for {time.monotonic() - self._late_since:.0f} s")
        return self._submit(drafts, is_synced=is_synced)

    def _submit(self, drafts: Sequence[Draft], *, is_synced: bool) -> asyncio.Future[None]:
        """Hand entries to the thread; the future is done when they are in the log, or are not."""
        loop = asyncio.get_running_loop()
        self.leave()  # the journal is the thread's from here on
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, args=(loop,), daemon=True)
            self._thread.start()
        done: asyncio.Future[None] = loop.create_future()
        self._unfinished += 1
        self._waiting.put(_Batch(drafts, is_synced, done, time.monotonic() + self._patience()))
        return done

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            batches, now = self._next_batches(), time.monotonic()
            failure: AuditUnavailable | None = None
            try:
                # What nobody waits for any more was refused: it must not be recorded as sent.
                self._write([batch for batch in batches if batch.expires > now], now)
            except AuditUnavailable as exc:
                failure = exc
            try:
                loop.call_soon_threadsafe(self._finish, batches, now, failure)
            except RuntimeError:
                return  # the loop has ended: nobody waits any more

    def _write(self, wanted: Sequence[_Batch], now: float) -> None:
        if wanted:
            drafts = [draft for batch in wanted for draft in batch.drafts]
            patience = max(0.0, min(batch.expires for batch in wanted) - now - _MARGIN)
            if drafts:
                is_synced = any(batch.is_synced for batch in wanted if batch.drafts)
                self._journal.append(drafts, is_synced=is_synced, patience=patience)
            if not all(batch.drafts for batch in wanted):
                self._sign(patience, is_alone=not drafts)

    def _sign(self, patience: float, *, is_alone: bool) -> None:
        try:
            self._journal.checkpoint(patience=patience)
        except AuditUnavailable:
            if is_alone:
                raise
            # The entries that came with it are in the log; those who write the next ones are told.

    def _next_batches(self) -> list[_Batch]:
        """Wait for a batch, and take those that have come by then with it."""
        batches = [self._waiting.get()]
        with contextlib.suppress(queue.Empty):
            while len(batches) < _MOST_AT_ONCE:
                batches.append(self._waiting.get_nowait())
        return batches

    def _finish(self, batches: list[_Batch], begun: float, failure: AuditUnavailable | None) -> None:
        self._unfinished -= len(batches)
        self._late_since = None
        for batch in batches:
            if batch.done.done():
                continue
            if error := failure if batch.expires > begun else self._late():
                batch.done.set_exception(error)
            else:
                batch.done.set_result(None)
            batch.done.exception()  # one that nobody waits for any more is no error of its own
