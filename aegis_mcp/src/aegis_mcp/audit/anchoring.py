"""Publishing checkpoints outside the host, behind the gate's back: nobody waits for it.

Each place has the latest checkpoint or is behind. One that is behind for too long is in the log, and may stop calls.
Each has a thread of its own: one that hangs holds up nobody else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aegis_audit.entry import Draft
from aegis_mcp.audit.sidecar import sidecar_of
from aegis_mcp.errors import AnchorUnavailable
from aegis_mcp.settings import Anchor, Anchors, OnLag

if TYPE_CHECKING:
    from aegis_mcp.audit.anchor import Place

_PAUSE: Final = 5.0
"""Seconds until a place that has failed is tried again."""


class Anchoring:
    """Brings the latest checkpoint of a log to every place.

    `entry` makes the draft that says which one is behind; `warn` tells a person what is wrong with one.

    Raises:
        ConfigError: a place cannot be used as it is given.
    """

    def __init__(
        self,
        anchors: Anchors,
        log: Path,
        *,
        entry: Callable[[Mapping[str, object]], Draft],
        warn: Callable[[str], None],
    ) -> None:
        self._anchors = anchors
        self._log = log
        self._entry = entry
        self._couriers = [_Courier(_place(anchor, log, warn), warn) for anchor in anchors.places]

    def resume(self) -> None:
        """Go on with the places that were behind when an earlier gateway ended: their time goes on, too."""
        if self.is_behind:
            try:
                self.offer((sidecar_of(self._log) / "checkpoint").read_bytes())
            except OSError:
                return  # the next checkpoint comes with the next entries

    def offer(self, note: bytes) -> None:
        """Take a checkpoint to publish; an older one that still waits is left out."""
        for courier in self._couriers:
            courier.offer(note)

    @property
    def is_behind(self) -> bool:
        """Tell whether a place lacks the latest checkpoint."""
        return bool(self._couriers) and any(courier.is_behind for courier in self._couriers)

    def take_lags(self) -> tuple[list[Draft], str | None]:
        """Return the entries that say which places are too far behind, each lag once; and why no call may pass now."""
        most = self._anchors.max_lag
        lags = [self._entry(lag) for courier in self._couriers if (lag := courier.take_lag(most))]
        is_stopped = self._anchors.on_lag is OnLag.DENY and any(courier.is_lagging for courier in self._couriers)
        return lags, f"an anchor is more than {most:g} s behind the log" if is_stopped else None

    def close(self, seconds: float) -> None:
        """Wait until every place has the latest checkpoint, at most so long."""
        deadline = time.monotonic() + seconds
        for courier in self._couriers:
            courier.end()
        for courier in self._couriers:
            courier.wait(deadline - time.monotonic())


def _place(anchor: Anchor, log: Path, warn: Callable[[str], None]) -> Place:
    from aegis_mcp.audit.anchor import place_of  # noqa: PLC0415 - who has no anchor does not load what one takes

    return place_of(anchor, log, warn)


class _Courier:
    """Brings checkpoints to one place, in a thread that is started with the first."""

    def __init__(self, place: Place, warn: Callable[[str], None]) -> None:
        self._place = place
        self._warn = warn
        self._latest = b""
        self._behind_since = place.trace.since()
        self._reason = ""
        self.is_lagging = False
        self._is_ending = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def is_behind(self) -> bool:
        """Tell whether the place does not have the latest checkpoint."""
        return self._behind_since is not None

    def offer(self, note: bytes) -> None:
        """Take a checkpoint in the place of one that still waits."""
        with self._changed:
            self._latest = note
            if self._behind_since is None:
                self._behind_since = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def take_lag(self, most: float) -> dict[str, object] | None:
        """Return what is to be recorded if the place has just come to be behind for more than so many seconds."""
        since = self._behind_since
        if since is None or self.is_lagging or time.monotonic() - since <= most:
            return None
        with self._changed:
            self.is_lagging = self.is_behind
        reason = self._reason or "it has not answered yet"
        return {"anchor": self._place.name, "reason": reason, "seconds": int(time.monotonic() - since)}

    def end(self) -> None:
        """Bring what there is at once: no checkpoint comes any more."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until the place has the latest checkpoint, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._thread or not self.is_behind, max(0.0, seconds))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.is_behind)
                note = self._latest
            if self._bring(note):
                with self._changed:
                    self._changed.wait_for(lambda: self._is_ending, self._place.spacing)
            else:
                time.sleep(_PAUSE)

    def _bring(self, note: bytes) -> bool:
        self._place.trace.leave()  # before: a gateway may end, or be killed, while a place takes its time
        try:
            self._place.publish(note)
        except AnchorUnavailable as exc:
            self._complain(str(exc))
            return False
        self._place.trace.clear()
        with self._changed:
            self._reason = ""
            self.is_lagging = False
            self._behind_since = None if note is self._latest else time.monotonic()
            self._changed.notify_all()
        return True

    def _complain(self, reason: str) -> None:
        """Say what is wrong once for each reason."""
        if reason != self._reason:
            self._warn(f"a checkpoint was not published: {reason}")
        self._reason = reason
