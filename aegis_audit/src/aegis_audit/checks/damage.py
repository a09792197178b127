"""Lines of one segment that are no entries, and the writer's attestations of them.

A crash leaves a torn line. The writer never removes it: it ends the line and records in a `recovered` entry where the
fragment is and what it hashes to. What is attested so is a note; an attestation of what is not there is tampering.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any, cast

from aegis_audit.checks.findings import Findings
from aegis_audit.checks.run import Run
from aegis_audit.errors import DamagedSegment, MalformedEntry
from aegis_audit.finding import Finding, FindingCode, Fragment, Place
from aegis_audit.report import MAX_FINDINGS
from aegis_audit.segment import Line
from aegis_audit.value import replace


@dataclass(slots=True)
class _Gap:
    """Damaged lines that stand together, the runs before and after them, and the numbers that are missing there."""

    lines: list[int]
    before: Run | None = None
    after: Run | None = None
    missing: range = range(0)


class Damage:
    """The damaged lines of one segment; as many can be attested as a report keeps findings."""

    def __init__(self, path: str, findings: Findings) -> None:
        self._path = path
        self._findings = findings
        self._lines: list[Finding] = []
        self._by_content: defaultdict[Fragment, deque[int]] = defaultdict(deque)
        self._gaps: list[_Gap] = []
        self._gap: _Gap | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether damage stands behind the last entry."""
        return self._gap is not None

    def add(self, line: Line, error: MalformedEntry) -> None:
        """Record a damaged line."""
        found = f"{error.found}, in a line of {line.length} bytes"
        finding = Finding(error.code, Place(self._path, line.number, line.offset), error.expected, found)
        gap = self._gap = self._gap or _Gap([])
        if len(self._lines) >= MAX_FINDINGS:
            self._findings.add(finding)
            return
        if not line.is_overlong:  # what was cut for its length cannot be compared
            fragment = Fragment.of(line.raw.removesuffix(b"\n"))
            self._by_content[fragment].append(len(self._lines))
            if error.code is FindingCode.TORN_TAIL:
                finding = replace(finding, found=f"{found}, with the hash {fragment.sha256}", fragment=fragment)
        gap.lines.append(len(self._lines))
        self._lines.append(finding)

    def add_end(self, error: DamagedSegment, offset: int) -> None:
        """Record that a compressed segment does not expand to its end."""
        code = FindingCode.TORN_TAIL if error.is_cut_off else FindingCode.DAMAGED_COMPRESSION
        self._findings.add(Finding(code, Place(self._path, None, offset), error.expected, error.found))
        self._gap = self._gap or _Gap([])

    def close(self, before: Run | None = None, after: Run | None = None) -> None:
        """End damage at an entry; where it stands between two runs, it may be what is missing between them."""
        gap, self._gap = self._gap, None
        if gap is None or (before is None and after is None):
            return
        gap.before, gap.after = before, after
        if before and after:
            gap.missing = range(before.last_seq + 1, after.first_seq)
        if len(self._gaps) < MAX_FINDINGS:
            self._gaps.append(gap)
        else:
            _excuse(gap)

    def attest(self, event: dict[str, Any]) -> list[str]:
        """Match the attestations of a `recovered` event with the damage so far; return those that match none.

        They match by content alone: in segments that were put together the offsets have moved.
        """
        return [repr(fragment)[:300] for fragment in _fragments(event) if not self._is_attested(fragment)]

    def _is_attested(self, fragment: dict[str, Any]) -> bool:
        length, sha256 = fragment.get("length"), fragment.get("sha256")
        if type(length) is not int or type(sha256) is not str:
            return False
        if waiting := self._by_content.get(Fragment(length, sha256)):
            index = waiting.popleft()
            self._lines[index] = replace(self._lines[index], code=FindingCode.ATTESTED_FRAGMENT)
            return True
        return len(self._lines) >= MAX_FINDINGS  # it may be one of those that were only counted

    def finish(self) -> None:
        """Hand over what is known of the damaged lines now that no attestation can follow."""
        for gap in self._gaps:
            spoilt = [index for index in gap.lines if self._lines[index].code is not FindingCode.ATTESTED_FRAGMENT]
            # A fragment that the writer has attested is no entry that was there: what is missing beside it is missing.
            if spoilt or not gap.lines:
                _excuse(gap)
            if spoilt and gap.missing:
                self._lines[spoilt[0]] = self._lines[spoilt[0]].spoiling(gap.missing)
        for finding in self._lines:
            self._findings.add(finding)


def _excuse(gap: _Gap) -> None:
    if gap.before:
        gap.before.has_damage_after = True
    if gap.after:
        gap.after.has_damage_before = True


def _fragments(event: dict[str, Any]) -> list[dict[str, Any]]:
    fragments = event.get("fragments")
    if not isinstance(fragments, list):
        return []
    return [cast("dict[str, Any]", one) for one in cast("list[object]", fragments) if isinstance(one, dict)]
