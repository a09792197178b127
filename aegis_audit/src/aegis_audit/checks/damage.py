"""Lines of one segment that are no entries, and the writer's attestations of them.

A crash leaves a torn line. The writer never removes it: it ends the line and records in a `recovered` entry where the
fragment is and what it hashes to. What is attested so is a note; an attestation of what is not there is tampering.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from dataclasses import replace
from typing import Any, cast

from aegis_audit.checks.findings import Findings
from aegis_audit.errors import DamagedSegment, MalformedEntry
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.report import MAX_FINDINGS
from aegis_audit.segment import Line


class Damage:
    """The damaged lines of one segment; as many can be attested as a report keeps findings."""

    def __init__(self, path: str, findings: Findings) -> None:
        self._path = path
        self._findings = findings
        self._lines: list[Finding] = []
        self._by_content: defaultdict[tuple[object, object], deque[int]] = defaultdict(deque)
        self._first_of_group: int | None = None
        self.is_open = False
        """Damage stands behind the last entry."""

    def add(self, line: Line, error: MalformedEntry) -> None:
        """Record a damaged line."""
        found = f"{error.found}, in a line of {line.length} bytes"
        finding = Finding(error.code, Place(self._path, line.number, line.offset), error.expected, found)
        is_kept = len(self._lines) < MAX_FINDINGS
        if not self.is_open:
            self._first_of_group = len(self._lines) if is_kept else None
        self.is_open = True
        if not is_kept:
            self._findings.add(finding)
            return
        if not line.is_overlong:  # what was cut for its length cannot be compared
            fragment = line.raw.removesuffix(b"\n")
            self._by_content[len(fragment), hashlib.sha256(fragment).hexdigest()].append(len(self._lines))
        self._lines.append(finding)

    def add_end(self, error: DamagedSegment, offset: int) -> None:
        """Record that a compressed segment does not expand to its end."""
        code = FindingCode.TORN_TAIL if error.is_cut_off else FindingCode.DAMAGED_COMPRESSION
        self._findings.add(Finding(code, Place(self._path, None, offset), error.expected, error.found))
        self.is_open = True

    def close(self, missing: range) -> None:
        """End a group of damaged lines at an entry; `missing` are the numbers that are not there because of it."""
        first, self._first_of_group, self.is_open = self._first_of_group, None, False
        if first is None or not missing:
            return
        finding = self._lines[first]
        found = f"{finding.found}; entries {missing.start} to {missing[-1]} cannot be read"
        self._lines[first] = replace(finding, place=replace(finding.place, seq=missing.start), found=found)

    def attest(self, event: dict[str, Any]) -> list[str]:
        """Match the attestations of a `recovered` event with the damage so far; return those that match none.

        They match by content alone: in segments that were put together the offsets have moved.
        """
        return [repr(fragment)[:300] for fragment in _fragments(event) if not self._is_attested(fragment)]

    def _is_attested(self, fragment: dict[str, Any]) -> bool:
        length, sha256 = fragment.get("length"), fragment.get("sha256")
        if type(length) is not int or type(sha256) is not str:
            return False
        if waiting := self._by_content.get((length, sha256)):
            index = waiting.popleft()
            self._lines[index] = replace(self._lines[index], code=FindingCode.ATTESTED_FRAGMENT)
            return True
        return len(self._lines) >= MAX_FINDINGS  # it may be one of those that were only counted

    def finish(self) -> None:
        """Hand over what is known of the damaged lines now that no attestation can follow."""
        for finding in self._lines:
            self._findings.add(finding)


def _fragments(event: dict[str, Any]) -> list[dict[str, Any]]:
    fragments = event.get("fragments")
    if not isinstance(fragments, list):
        return []
    return [cast("dict[str, Any]", one) for one in cast("list[object]", fragments) if isinstance(one, dict)]
