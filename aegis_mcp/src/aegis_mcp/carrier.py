"""What was judged takes its way once its entries are in the log; what must not go without them is turned back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from aegis_audit.entry import Draft
from aegis_mcp import frame as frames
from aegis_mcp.audit.record import EventKind, Recordkeeper
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.frame import Frame
from aegis_mcp.passage import Passage, carry_out, turn_back
from aegis_mcp.settings import OnFailure
from aegis_mcp.upstream.link import DONE

Tell: TypeAlias = Callable[[Frame, str, int], bytes | None]
"""Returns what is told to whoever waits for the answer to a request, given a text and an error code; None if nobody."""


class Carrier:
    """Writes the entries of what has arrived together, then lets each frame take its way.

    `unrecorded` is how many entries the log has not taken, and has not been told of since.
    """

    def __init__(self, keeper: Recordkeeper, recorder: Recorder, tell: Tell, on_failure: OnFailure) -> None:
        self._keeper = keeper
        self._recorder = recorder
        self._tell = tell
        self._on_failure = on_failure
        self.unrecorded = 0

    def carry(self, passages: list[Passage]) -> Awaitable[None]:
        """Carry out what was decided on frames, in order; return what there is to wait for, mostly `DONE`."""
        drafts: list[Draft] = []
        is_weighty = False
        for passage in passages:
            drafts += filter(None, passage.drafts)
            is_weighty |= passage.is_weighty
        lost = self.unrecorded if drafts else 0
        if lost:
            drafts.insert(0, self._keeper.security(EventKind.ENTRIES_LOST, {"count": lost}))
            self.unrecorded = 0  # by nobody else it is told, too
        try:
            if drafts and not self._recorder.append(drafts, is_write=is_weighty):
                # Asked for here: what is judged meanwhile comes after it.
                commit = self._recorder.commit(drafts, is_write=is_weighty)
                return self._carry_later(passages, commit, lost)
        except AuditUnavailable as exc:
            self._carry_out_unrecorded(passages, str(exc), lost)
        else:
            _carry_out(passages)
        return DONE

    async def _carry_later(self, passages: list[Passage], commit: Awaitable[None], lost: int) -> None:
        """Do what `carry` does where the entries take a while."""
        try:
            await commit
        except AuditUnavailable as exc:
            self._carry_out_unrecorded(passages, str(exc), lost)
        except asyncio.CancelledError:
            self.unrecorded += lost  # whether it was told, nobody knows any more
            raise
        else:
            _carry_out(passages)

    def _carry_out_unrecorded(self, passages: list[Passage], failure: str, lost: int) -> None:
        """Turn back what must not go on without its entries, and count those that the log now lacks."""
        self.unrecorded += lost
        for passage in passages:
            if passage.is_bound and not self._may_go_unrecorded(passage):
                turn_back(passage, partial(self._turned_back, failure))
                continue
            self.unrecorded += sum(draft is not None for draft in passage.drafts)
            carry_out(passage)

    def _may_go_unrecorded(self, passage: Passage) -> bool:
        is_lenient = self._on_failure is OnFailure.DENY_WRITES and not passage.is_weighty
        return is_lenient or self._on_failure is OnFailure.ALLOW

    def _turned_back(self, failure: str, frame: Frame) -> bytes | None:
        return self._tell(frame, f"Not forwarded: {failure}", frames.UNAVAILABLE)


def _carry_out(passages: list[Passage]) -> None:
    for passage in passages:
        carry_out(passage)
