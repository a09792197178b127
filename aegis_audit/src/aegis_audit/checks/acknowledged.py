"""What a person has looked at: findings of missing entries, held against the acknowledgements of them (decision 14).

An acknowledgement counts if a key that counts has signed it, and if it names a break exactly as it is. What is missing
has no hash of its own, and what stood before it no follower: so it also has to say which entry came before. Nothing
that contradicts or is damaged is accepted by anybody's word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aegis_audit.checks.claim import MAX_CLAIMS, Claim
from aegis_audit.checks.join import Log
from aegis_audit.checks.run import Run
from aegis_audit.finding import Acknowledgement, Finding, FindingCode
from aegis_audit.value import replace


class Acknowledgements:
    """The acknowledgements in some logs; a key that counts has signed those whose entries have a hash in `signed`.

    `continued` are the runs that a torn end goes on from, by the paths of their segments.
    """

    def __init__(
        self, logs: Sequence[Log], continued: Mapping[str, Run], claims: Sequence[Claim], signed: Collection[str]
    ) -> None:
        self._logs = {log.origin: log for log in logs}
        self._continued = continued
        self._claims = claims[:MAX_CLAIMS]
        self._signed = signed
        self._gaps: dict[tuple[str | None, range], _Gap] = {}

    def look_up(self, finding: Finding) -> Finding:
        """Return the finding with what was recorded of it, if anything was; one that counts before any other."""
        run = self._run_at(finding) if self._claims else None
        if run is None:
            return finding
        named = [
            Acknowledgement(claim.seq, claim.timestamp, claim.by, claim.note, problem or self._unsigned(claim))
            for claim in self._claims
            if claim.run.origin == run.origin
            for problem in self._problems(finding, claim, run)
        ]
        if not named:
            return finding
        return replace(finding, acknowledged=next((one for one in named if not one.problem), named[-1]))

    def _problems(self, finding: Finding, claim: Claim, run: Run) -> Iterator[str]:
        """Yield what is wrong with what a claim says of a finding, nothing for each thing that is right."""
        missing = finding.missing
        match finding.code:
            case FindingCode.ENTRIES_LOST if finding.place.seq in claim.lost:
                is_there = missing is None or self._gap(run.origin, missing).is_filled
                yield "" if is_there else "it does not name the entries that are missing"
            case FindingCode.MISSING_RANGE | FindingCode.ENTRIES_LOST if missing:
                yield from self._of_range(missing, claim)
            case FindingCode.TORN_TAIL if finding.fragment and finding.fragment.sha256 in claim.torn:
                yield "" if self._is_torn_alone(claim, run) else "entries behind the torn line are missing as well"
            case _:
                pass

    def _of_range(self, missing: range, claim: Claim) -> Iterator[str]:
        """Yield what is wrong with a claim that names entries among those that are missing."""
        if missing in claim.missing:
            yield self._gap(claim.run.origin, missing).problem(claim.missing[missing])
        for other in claim.missing:
            if other != missing and other.start < missing.stop and missing.start < other.stop:
                yield f"it names entries {other.start} to {other[-1]}"

    def _is_torn_alone(self, claim: Claim, run: Run) -> bool:
        """Tell whether nothing is missing behind the run that ends in a torn line, or that is acknowledged as well.

        A gap that stands beside damage is no finding of its own.
        """
        gap = self._logs[run.origin].gap_after(run.last_seq)
        return run.last_seq < claim.seq and (not gap or "" in self._of_range(gap, claim))

    def _unsigned(self, claim: Claim) -> str:
        return "" if claim.entry_hash in self._signed else "no checkpoint that counts covers it"

    def _gap(self, origin: str | None, missing: range) -> _Gap:
        key = origin, missing
        if key not in self._gaps:
            self._gaps[key] = _Gap.of(missing, self._logs[origin])
        return self._gaps[key]

    def _run_at(self, finding: Finding) -> Run | None:
        """Return the run that a finding is in, or right behind."""
        place = finding.place
        if finding.code is FindingCode.TORN_TAIL:
            return self._continued.get(place.path)
        runs = [run for log in self._logs.values() for run in log.runs if run.place.path == place.path]
        before = [run for run in runs if (run.place.line or 0) <= (place.line or 0)]
        return max(before, key=lambda run: run.place.line or 0, default=None)


@dataclass(frozen=True, slots=True)
class _Gap:
    """How a log stands to entries that are said to be missing: `before` are the hashes of what stands before them."""

    is_empty: bool
    is_filled: bool
    is_first: bool
    before: frozenset[str]

    @classmethod
    def of(cls, missing: range, log: Log) -> _Gap:
        before = frozenset(run.last_hash for run in log.runs if run.last_seq == missing.start - 1)
        is_first = all(run.first_seq >= missing.stop for run in log.runs)
        return cls(not log.holds_any_of(missing), log.holds_all_of(missing), is_first, before)

    def problem(self, follows: str | None) -> str:
        """Return what is wrong with an acknowledgement by which the entries follow the one with this hash."""
        if not self.is_empty:
            return "some of these entries are there"
        if self.is_first:
            return ""
        if follows is None:
            return "it does not say which entry came before"
        return "" if self.before == frozenset([follows]) else "another entry came before when it was written"
