"""The quick way through lines that nothing is wrong with.

A line is taken only if all holds that the long way would check: it has the shape of an entry known to be canonical, its
bytes have the hash that it states, and it follows the last entry by number, link and time. Any other is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Container
from hashlib import sha256
from typing import Final

from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.pairing import Pairing
from aegis_audit.checks.run import Run
from aegis_audit.entry import is_timestamp
from aegis_audit.shape import NO_SHAPE, Shape, Shapes

_MINUTE: Final = len("2026-11-24T03:31:")


class Skimmer:
    """Takes lines of one segment; `pairing` and `ledgers` are told what the long way would tell them.

    Only lines of the sessions in `sessions` are taken: they are those that the long way has found in the right form.
    """

    def __init__(self, shapes: Shapes, pairing: Pairing, ledgers: Ledgers, sessions: Container[str]) -> None:
        self._shapes = shapes
        self._pairing = pairing
        self._ledgers = ledgers
        self._sessions = sessions
        self._before = NO_SHAPE

    def skim(self, run: Run, text: str, at: int, line: int) -> tuple[int, int]:
        """Extend `run` by lines of `text`, from the place `at` on, behind the line with the number `line`.

        `text` are bytes decoded as Latin-1. Return the number of the last line that is taken, and the place behind
        it.
        """
        seq, last_hash, last_time = run.last_seq, run.last_hash, run.last_timestamp
        hashes: list[str] = []
        minute, before = last_time[:_MINUTE], self._before
        # A turn takes two or three millionths of a second: a call or an object more would be felt.
        while at < len(text) and (match := before.successor.match(text, at) or self._match(text, at, before)):
            entry_hash, body, prev_hash, digits, session_id, time, trace_id = match.groups()
            data = body.encode("latin-1")
            if prev_hash != last_hash or entry_hash != sha256(b"\x00{" + data).hexdigest():
                break
            if int(digits) != seq + 1 or time < last_time or session_id not in self._sessions:
                break
            if not time.startswith(minute):
                if not is_timestamp(time):
                    break
                minute = time[:_MINUTE]
            if not data.isascii() and not _is_utf8(data):
                break
            before, at, line = before.successor, match.end(), line + 1
            seq, last_hash, last_time = seq + 1, entry_hash, time
            hashes.append(entry_hash)
            if before.phase == "intent":
                self._pairing.add_intent(trace_id, seq, line)
            elif before.phase == "outcome":
                self._pairing.add_outcome(trace_id, seq, line)
        self._before = before
        self._ledgers.extend(run.last_seq + 1, run.last_hash, hashes)
        run.skip(hashes, last_time)
        return line, at

    def _match(self, text: str, at: int, before: Shape) -> re.Match[str] | None:
        """Match a line whose shape is not the one that was expected, and expect that one the next time."""
        shape = self._shapes.find(text, at)
        if shape is None:
            return None
        before.successor = shape
        return shape.match(text, at)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
