"""The quick way through lines that nothing is wrong with.

Lines in a row are taken together, and only if all holds that the long way would check: they have the shape of entries
known to be canonical, their bytes have the hashes that they state, and each follows the one before by number, link and
time. Any others are left alone.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Final, NamedTuple, Protocol

from aegis_audit.checks.pairing import Pairing
from aegis_audit.checks.run import Run
from aegis_audit.entry import LINE_OVERHEAD, is_timestamp
from aegis_audit.segment import Block
from aegis_audit.shape import Shapes

_MINUTE: Final = len("2026-11-24T03:31:")
_LEAF: Final = sha256(b"\x00{")
_HEX: Final = b"0123456789abcdef"


class Stretch(NamedTuple):
    """Lines of known shapes in a row, `length` bytes in all, as columns of what their records hold."""

    length: int
    entry_hashes: Sequence[bytes]
    bodies: Sequence[bytes]
    intents: Sequence[bytes]
    outcomes: Sequence[bytes]
    prev_hashes: Sequence[bytes]
    seqs: Sequence[bytes]
    sessions: Sequence[bytes]
    times: Sequence[bytes]
    trace_ids: Sequence[bytes]


class Growing(Protocol):
    """What is told of entries in a row, as `Ledgers` is."""

    def extend(self, first_seq: int, prev_hash: str, leaves: Sequence[bytes]) -> None: ...


class Skimmer:
    """Takes lines of one segment; `pairing` and `ledgers` are told what the long way would tell them.

    Only lines of the sessions in `sessions` are taken: they are those that the long way has found in the right form.
    """

    def __init__(self, shapes: Shapes, pairing: Pairing, ledgers: Growing, sessions: Container[str]) -> None:
        self._shapes = shapes
        self._pairing = pairing
        self._ledgers = ledgers
        self._sessions = sessions

    def stretches(self, block: Block) -> Iterator[Stretch | None]:
        """Yield the lines of a block in stretches, None for each line that has to be taken the long way.

        What is left at the end has to be taken the long way as well.
        """
        is_whole = block.data.endswith(b"\n") and block.length == len(block.data)
        records = self._shapes.read(block.data) if is_whole else []
        if not records:
            return
        columns = [*zip(*records, strict=True)]
        entry_hashes, bodies = columns[:2]
        if b"" not in entry_hashes:
            yield Stretch(block.length, *columns)
            return
        odd = [at for at, entry_hash in enumerate(entry_hashes) if not entry_hash]
        for before, at in pairwise((-1, *odd, len(records))):
            if before >= 0:
                yield None
            if before + 1 < at:
                length = sum(map(len, bodies[before + 1 : at])) + LINE_OVERHEAD * (at - before - 1)
                yield Stretch(length, *(column[before + 1 : at] for column in columns))

    def skim(self, run: Run, lines: Stretch, number: int) -> bool:
        """Extend `run` by all lines of a stretch, behind the line with this number; tell whether that was done.

        Nothing is done unless all of them are right.
        """
        count, first_seq, joined = len(lines.bodies), run.last_seq + 1, b"".join(lines.entry_hashes)
        # Columns are compared and not lines: the interpreter's part of a line would be most of its time.
        leaves = _leaf_hashes(lines.bodies)
        if (
            b"".join(leaves).hex().encode("ascii") != joined
            or b"".join(lines.prev_hashes) != run.last_hash.encode("ascii") + joined[:-64]
            or b", ".join(lines.seqs) != str([*range(first_seq, first_seq + count)])[1:-1].encode("ascii")
            or b"".join(lines.trace_ids).translate(None, _HEX)
            or not all(session.decode("latin-1") in self._sessions for session in set(lines.sessions))
            or not _are_in_order(run.last_timestamp, lines.times)
        ):
            return False
        self._pairing.add_all(lines.trace_ids, lines.intents, lines.outcomes, seq=first_seq, line=number + 1)
        self._ledgers.extend(first_seq, run.last_hash, leaves)
        run.skip(leaves, lines.times[-1].decode("ascii"))
        return True


def _leaf_hashes(bodies: Sequence[bytes]) -> list[bytes]:
    """Return the hashes of lines by what is behind their own hash."""
    # To copy what was begun takes less time than to begin again, and the body need not be copied behind its prefix.
    begin, leaves = _LEAF.copy, list[bytes]()
    for body in bodies:
        leaf = begin()
        leaf.update(body)
        leaves.append(leaf.digest())
    return leaves


def _are_in_order(before: str, times: Sequence[bytes]) -> bool:
    """Tell whether these are timestamps, and none is before the one that comes before it."""
    earlier = before.encode("ascii")
    if times[0] < earlier or list(times) != sorted(times):
        return False
    # What is in order between two that begin with the same minute begins with it as well.
    first, last = times[0][:_MINUTE], times[-1][:_MINUTE]
    if first == last == earlier[:_MINUTE]:
        return True
    ends = (times[0],) if first == last else {time[:_MINUTE]: time for time in times}.values()
    return all(is_timestamp(time.decode("latin-1")) for time in ends)
