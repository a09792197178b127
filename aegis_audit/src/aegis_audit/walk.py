"""The entries of one log from its first to its last, each following from the one before: what proofs are made from.

Whatever is wrong with a log on the way ends the walk: a proof over entries that do not follow would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from aegis_audit import chain
from aegis_audit.chain import GENESIS, Head
from aegis_audit.checks.run import OPENINGS
from aegis_audit.errors import Unprovable
from aegis_audit.finding import FindingCode
from aegis_audit.reading import Found, Reading, in_order
from aegis_audit.segment import Segment
from aegis_audit.verdict import Verdict

_REFUSED = frozenset({Verdict.TAMPERED, Verdict.CORRUPT, Verdict.UNREADABLE, Verdict.UNVERIFIABLE})


class Walk:
    """One pass over a log; `head` is the entry that was reached, `first_seq` the number of the first."""

    def __init__(self, segments: Sequence[Segment], progress: Callable[[int], None] = lambda _: None) -> None:
        self.head = GENESIS
        self.first_seq = 0
        self.origin: str | None = None
        self.kept = b""
        self._segments = segments
        self._reading = Reading(progress)

    def entries(self) -> Iterator[Found]:
        """Yield the entries in their order; an end that is torn is left out.

        Raises:
            Unprovable: something other than an entry stands in between, or an entry that does not follow.
        """
        for found in self._reading.read(in_order(self._segments)):
            self._step(found)
            yield found
        findings = self._reading.findings()
        if self._reading.verdict in _REFUSED or any(one.code is FindingCode.MOVED for one in findings):
            first = next(iter(findings))
            raise Unprovable(f"{first.place.path!r}: {first.code.title}; `aegis-audit verify` says more")

    def leaves(self, keep: int = -1) -> Iterator[bytes]:
        """Yield the leaf hashes of a log that is there from its first entry; `kept` is the line of the entry `keep`.

        Raises:
            Unprovable: it is not, or as `entries` does.
        """
        for found in self.entries():
            if self.first_seq:
                raise Unprovable(f"the log is there from entry {self.first_seq} on, and its tree begins with entry 0")
            if found.entry.seq == keep:
                self.kept = found.line.raw
            yield bytes.fromhex(found.entry.entry_hash)

    def _step(self, found: Found) -> None:
        entry = found.entry
        if self.head == GENESIS:
            self.first_seq = entry.seq
        elif not (chain.is_numbered_after(self.head, entry) and chain.is_linked_to(self.head, entry)):
            raise Unprovable(
                f"entry {entry.seq} does not follow entry {self.head.seq}; `aegis-audit verify` says what is wrong"
            )
        if entry.kind in OPENINGS and isinstance(origin := entry.event.get("origin"), str):
            self.origin = origin
        self.head = Head(entry.seq, entry.entry_hash)
