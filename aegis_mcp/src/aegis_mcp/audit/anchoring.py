"""Publishing checkpoints outside the host, behind the gate's back: nobody waits for it.

Each place has the latest checkpoint or is behind. One that is behind for too long is in the log, and may stop calls.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from aegis_audit.entry import Draft
from aegis_mcp.audit import anchor as places
from aegis_mcp.errors import AnchorUnavailable
from aegis_mcp.settings import Anchor, Anchors, OnLag

_PAUSE: Final = 5.0
"""Seconds until a place that has failed is tried again."""


class Anchoring:
    """Brings the latest checkpoint to every place; `entry` makes the draft that says which one is behind."""

    def __init__(self, anchors: Anchors, entry: Callable[[Mapping[str, object]], Draft]) -> None:
        self._anchors = anchors
        self._entry = entry
        self._latest = b""
        self._behind_since: dict[Anchor, float] = {}
        self._reasons: dict[Anchor, str] = {}
        self._lagging: set[Anchor] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def offer(self, note: bytes) -> None:
        """Take a checkpoint to publish; an older one that still waits is left out."""
        if not self._anchors.places:
            return
        with self._changed:
            self._latest = note
            now = time.monotonic()
            for place in self._anchors.places:
                self._behind_since.setdefault(place, now)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    @property
    def is_behind(self) -> bool:
        """Tell whether a place lacks the latest checkpoint."""
        return bool(self._behind_since)

    def take_lags(self) -> tuple[list[Draft], str | None]:
        """Return the entries that say which places are too far behind, each lag once; and why no call may pass now."""
        if not self._behind_since:
            return [], None
        with self._changed:
            lags = self._look()
            is_stopped = self._lagging and self._anchors.on_lag is OnLag.DENY
        return lags, f"an anchor is more than {self._anchors.max_lag:g} s behind the log" if is_stopped else None

    def close(self, seconds: float) -> None:
        """Wait until every place has the latest checkpoint, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._behind_since, seconds)

    def _look(self) -> list[Draft]:
        lags: list[Draft] = []
        now = time.monotonic()
        for place, since in self._behind_since.items():
            if now - since > self._anchors.max_lag and place not in self._lagging:
                self._lagging.add(place)
                details = {"anchor": str(place), "reason": self._reasons.get(place, "it has not answered yet")}
                lags.append(self._entry(details | {"seconds": int(now - since)}))
        return lags

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._behind_since)
                note, behind = self._latest, list(self._behind_since)
            reached = [place for place in behind if self._bring(place, note)]
            if len(reached) < len(behind):
                time.sleep(_PAUSE)

    def _bring(self, place: Anchor, note: bytes) -> bool:
        try:
            places.publish(place, note)
        except AnchorUnavailable as exc:
            self._reasons[place] = str(exc)
            return False
        with self._changed:
            if note is self._latest:
                del self._behind_since[place]
            else:
                self._behind_since[place] = time.monotonic()
            self._lagging.discard(place)
            self._changed.notify_all()
        return True
