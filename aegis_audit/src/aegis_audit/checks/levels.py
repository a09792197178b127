"""How sure a verdict is: which entries each level covers, and by whose keys (audit-log §1, decision 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aegis_audit.checks.anchors import Anchoring
from aegis_audit.checks.join import Log
from aegis_audit.checks.ledger import Ledger
from aegis_audit.demand import Demands
from aegis_audit.epoch import EpochChain
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.level import Level
from aegis_audit.note import VerifierKey
from aegis_audit.trust import Pin, Trust


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is covered of a log: for each level the ranges of entries, and the keys by which that is known.

    `declared` are the keys that the log says it is signed by. Behind the first `busy` entries there is nothing but what
    a writer leaves behind its last checkpoint. `signed_at` is the time of the last entry that keys that count have
    signed, empty if there is none.
    """

    ranges: dict[Level, tuple[range, ...]]
    pins: tuple[Pin, ...]
    declared: tuple[VerifierKey, ...]
    busy: int
    signed_at: str = ""

    @property
    def level(self) -> Level:
        """Return the highest level that covers anything."""
        return max((level for level, ranges in self.ranges.items() if any(ranges)), default=Level.A0)

    def uncovered(self, level: Level, log: Log) -> int:
        """Return how many entries of the log neither this level nor a higher one covers; at A0 none is covered."""
        if level is Level.A0:
            return log.count
        covered = [one for known, ranges in self.ranges.items() if known >= level for one in ranges]
        return log.count_without(covered)

    @property
    def unsigned(self) -> int:
        """Count the entries up to the last busy one that stand behind everything that is covered."""
        return max(0, self.busy - max((one.stop for ranges in self.ranges.values() for one in ranges), default=0))


def cover(log: Log, ledgers: Sequence[Ledger], trust: Trust, anchorings: Sequence[Anchoring] = ()) -> Coverage:
    """Say what the verified checkpoints of a log cover, by the keys that count, and what its anchors do."""
    pins, ours = trust.pins_of(log.origin), [one for one in ledgers if one.origin == log.origin]
    ranges: dict[Level, list[range]] = {Level.A1: [], Level.A2: []}
    held = [one for one in anchorings if one.anchor.checkpoint.origin == log.origin]
    ranges[Level.A3] = [one.covered for one in held if one.anchor.is_outside]
    ranges[Level.A4] = [one.covered for one in held if one.is_witnessed]
    used: list[Pin] = []
    signed_at = ""
    for ledger in ours:
        by_log, by_epoch = _vouching(ledger, pins)
        if by_log:
            ranges[Level.A1].append(ledger.covered)
        if by_epoch:
            ranges[Level.A2].append(ledger.covered)
        used += [*by_log, *by_epoch]
        if ledger.sealed and (by_log or by_epoch):
            signed_at = max(signed_at, ledger.sealed.time)
    declared = next((_declared(one.chain) for one in ours if one.chain), ())
    size = log.last.last_seq + 1
    busy = next((one.busy for one in ours if (one.size, one.last_hash) == (size, log.last.last_hash)), size)
    return Coverage(
        {level: tuple(one) for level, one in ranges.items()}, tuple(dict.fromkeys(used)), declared, busy, signed_at
    )


def check_keys(ledgers: Sequence[Ledger], trust: Trust) -> Iterator[Finding]:
    """Yield where a log declares another key than the one that is pinned, or kept on the host, under the same name."""
    for ledger in ledgers:
        if ledger.chain is None:
            continue
        declared = {key.name: key for key in _declared(ledger.chain)}
        for pin in trust.pins_of(ledger.origin):
            own = declared.get(pin.key.name, pin.key)
            if own != pin.key:
                expected = f"{str(pin.key)!r}, {pin.source}"
                yield Finding(FindingCode.FOREIGN_KEY, ledger.place, expected, repr(str(own)))


def check_level(log: Log, coverage: Coverage, demands: Demands) -> Iterator[Finding]:
    """Yield what a log lacks of the level that is demanded of it.

    Where nobody has said how many entries may be uncovered, a log that has to be signed has to be so up to its end: the
    entries behind its last checkpoint are anybody's, also those that a checkpoint covered before it was taken out.
    """
    place = Place(log.last.place.path, seq=log.last.last_seq)
    level = demands.level
    if coverage.level < level:
        yield Finding(FindingCode.TOO_WEAK, place, f"level {level.name}", f"level {coverage.level.name}")
    uncovered = coverage.uncovered(level or coverage.level, log)
    if demands.max_uncovered is not None and uncovered > demands.max_uncovered:
        expected = f"at most {demands.max_uncovered} entries that {(level or coverage.level).name} does not cover"
        yield Finding(FindingCode.UNCOVERED, place, expected, f"{uncovered}")
    if demands.max_uncovered is None and Level.A0 < level <= coverage.level and coverage.unsigned:
        found = (
            f"{coverage.unsigned} behind the last one; the gateway signs them within seconds, at its end or with "
            "`aegis-mcp audit checkpoint`, or they were changed; --max-uncovered accepts them"
        )
        yield Finding(FindingCode.UNCOVERED, place, "a checkpoint that counts over all entries", found)


def signed_acknowledgements(ledgers: Sequence[Ledger], trust: Trust) -> frozenset[str]:
    """Return the hashes of the acknowledgements that a key that counts has signed."""
    return frozenset(
        head.entry_hash
        for ledger in ledgers
        if ledger.sealed and any(_vouching(ledger, trust.pins_of(ledger.origin)))
        for head in ledger.acknowledging
        if head.seq < ledger.sealed.checkpoint.size
    )


def _vouching(ledger: Ledger, pins: Sequence[Pin]) -> tuple[list[Pin], list[Pin]]:
    """Return the pins that vouch for the last verified checkpoint: of the log's key, and of keys of epochs."""
    if ledger.sealed is None:
        return [], []
    by_log = [pin for pin in pins if pin.key in ledger.sealed.keys and pin.key.name == ledger.origin]
    terms = [term.key for term in ledger.chain.terms] if ledger.chain else []
    # Each epoch has signed for the next, so that a key of any of them vouches for all that came later.
    return by_log, [pin for pin in pins if pin.key in terms]


def _declared(chain: EpochChain) -> tuple[VerifierKey, ...]:
    return (chain.log_key, *(term.key for term in chain.terms))
