"""Checkpoints from outside of a log, held against its tree and its epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aegis_audit.anchor import Anchor
from aegis_audit.checks.ledger import Ledger
from aegis_audit.errors import BrokenSuccession, ForgedSignature
from aegis_audit.finding import Finding, FindingCode, Place


@dataclass(frozen=True, slots=True)
class Anchoring:
    """An anchor, and the ledger whose tree has its root at its size; None if no ledger has."""

    anchor: Anchor
    ledger: Ledger | None
    findings: tuple[Finding, ...] = ()

    @property
    def covered(self) -> range:
        """Return the entries that the anchor vouches for."""
        return range(self.ledger.first, self.anchor.checkpoint.size) if self.ledger else range(0)


def hold(anchor: Anchor, ledgers: Sequence[Ledger], ends: dict[str | None, int]) -> Anchoring:
    """Hold an anchor against the ledgers; `ends` says how many entries each log has, by its origin."""
    checkpoint, place = anchor.checkpoint, Place(str(anchor.path), seq=anchor.checkpoint.size)
    ours = [one for one in ledgers if one.origin == checkpoint.origin]
    roots = [(one, one.roots[checkpoint.size]) for one in ours if checkpoint.size in one.roots]
    expected = f"root {checkpoint.root.hex()} over {checkpoint.size} entries"
    for _, root in roots:
        if root != checkpoint.root:
            return Anchoring(anchor, None, (Finding(FindingCode.FALSE_CHECKPOINT, place, expected, root.hex()),))
    if roots:
        ledger = roots[0][0]
        findings = tuple(_judge(anchor, ledger, place))
        return Anchoring(anchor, None if findings else ledger, findings)
    if any(one.is_verified_before and checkpoint.size <= one.start for one in ours):
        return Anchoring(anchor, None)  # that part of the log is not read again
    if ends and checkpoint.origin not in ends and None not in ends:
        found = f"entries of {', '.join(map(repr, ends))}"[:300]
        return Anchoring(anchor, None, (Finding(FindingCode.REPLACED, place, expected, found),))
    end = ends.get(checkpoint.origin, ends.get(None, 0))
    code = FindingCode.ROLLED_BACK if 0 < end < checkpoint.size else FindingCode.SHORT_OF_HEAD
    found = f"entry {end - 1} as the last" if end else "no entry"
    return Anchoring(anchor, None, (Finding(code, place, expected, found),))


def _judge(anchor: Anchor, ledger: Ledger, place: Place) -> Iterator[Finding]:
    if ledger.chain is None:
        return
    try:
        ledger.chain.judge(anchor.note, anchor.checkpoint)
    except BrokenSuccession as exc:
        yield Finding(FindingCode.BROKEN_SUCCESSION, place, exc.expected, exc.found)
    except ForgedSignature as exc:
        yield Finding(FindingCode.FALSE_SIGNATURE, place, f"the signature of {exc.name!r}", "one that does not verify")
