"""Findings as they are collected: every one is counted, and no more than a bound of them is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from aegis_audit.finding import Finding, FindingCode
from aegis_audit.report import MAX_FINDINGS
from aegis_audit.verdict import Verdict, worst


class Findings:
    """The findings so far. Notes have a bound of their own, so that a flood of them hides no finding."""

    def __init__(self) -> None:
        self.counts: Counter[FindingCode] = Counter()
        self.findings: list[Finding] = []
        self.notes: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if there is room."""
        self.counts[finding.code] += 1
        kept = self.notes if finding.code.is_note else self.findings
        if len(kept) < MAX_FINDINGS:
            kept.append(finding)

    def add_all(self, findings: Iterable[Finding]) -> None:
        """Count findings, and keep those for which there is room."""
        for finding in findings:
            self.add(finding)

    def revise(self, change: Callable[[Finding], Finding]) -> None:
        """Let each finding that was kept be as `change` has it."""
        kept, self.findings = self.findings, []
        self.counts -= Counter(finding.code for finding in kept)
        self.add_all(map(change, kept))

    @property
    def verdict(self) -> Verdict:
        """Return what follows from all that were counted, but from those that are accepted."""
        accepted = Counter(finding.code for finding in self.findings if finding.is_accepted)
        return worst(code.verdict for code, count in self.counts.items() if count > accepted[code])

    def kept(self) -> tuple[Finding, ...]:
        """Return what was kept: findings first, then notes, each in the order of their places."""
        return (*sorted(self.findings, key=_order), *sorted(self.notes, key=_order))


def _order(finding: Finding) -> tuple[str, int, str]:
    return finding.place.path, finding.place.line or 0, finding.code.identifier
