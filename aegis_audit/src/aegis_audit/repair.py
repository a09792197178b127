"""What a damaged log needs: a plan, made from the report of a verification.

Nothing is ever edited in place: a log that was mended could not be told from one that was forged. What is missing can
be brought, what is broken can be looked at and recorded, and both stay visible.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from aegis_audit.finding import Finding, FindingCode
from aegis_audit.report import Report, finding_json


class Remedy(Enum):
    """What can be done about a finding."""

    FETCH = "fetch"
    """Bring what is missing, or an undamaged copy, from where it was kept."""
    RUN = "run"
    """A command goes on, and leaves the break visible."""
    KEEP = "keep"
    """Nothing mends it: it is evidence."""
    CHANGE = "change"
    """Something beside the log is not as it has to be: a path, a permission, a key, a release."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one finding needs: `do` says it, `command` does it or checks it, `otherwise` goes on without."""

    finding: Finding
    remedy: Remedy
    do: str
    command: str | None = None
    otherwise: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the step as plain JSON values."""
        missing = self.finding.missing
        return {
            "finding": finding_json(self.finding),
            "remedy": self.remedy.value,
            "do": self.do,
            "missing": [missing.start, missing[-1]] if missing else None,
            "command": self.command,
            "otherwise": self.otherwise,
        }


_COPIED: Final = (
    "Look for a copy that was made earlier or elsewhere; the first difference says what was done, and when."
)
_EVIDENCE: Final = (
    "Nothing mends this. Keep the files, the sidecar and the keys as they are, where nobody can write to them any more."
)

_KEPT: Final = {
    FindingCode.HASH_MISMATCH: _COPIED,
    FindingCode.BROKEN_LINK: _COPIED,
    FindingCode.EQUIVOCATION: "Two histories of one log are there: keep both. " + _COPIED,
    FindingCode.REORDERED: _COPIED,
    FindingCode.DUPLICATED: _COPIED,
    FindingCode.FALSE_GENESIS: _COPIED,
    FindingCode.FALSE_ATTESTATION: _COPIED,
    FindingCode.FALSE_HEAD: "The log was rewritten with all hashes recomputed. " + _COPIED,
    FindingCode.FALSE_CHECKPOINT: _COPIED,
    FindingCode.FALSE_SIGNATURE: "Somebody without the key made a checkpoint, or changed one. " + _COPIED,
    FindingCode.FALSE_STAMP: "Look for the token in a copy of the sidecar, or ask the authority for it. " + _COPIED,
    FindingCode.BROKEN_SUCCESSION: "A key was used that must not be: take the keys of this host for stolen. " + _COPIED,
    FindingCode.FOREIGN_KEY: "Ask who keeps the log's keys whether they were exchanged. " + _COPIED,
}
_FETCHED: Final = {
    FindingCode.ROLLED_BACK: "Put a copy that holds this entry beside the log, under another name.",
    FindingCode.REPLACED: "Bring the log that belongs here, with its sidecar; do not mix the two.",
    FindingCode.MISSING_RANGE: "Bring the segment that holds these entries, from a backup or another directory.",
    FindingCode.MISSING_START: "Bring the older segments.",
    FindingCode.TORN_TAIL: "Bring this segment from where it was written, or from a backup, and put it in the place of "
    "this one, which was cut.",
    FindingCode.SHORT_OF_HEAD: "Name all segments; if one is gone, bring it from a backup.",
    FindingCode.DAMAGED_COMPRESSION: "Bring an undamaged copy of this segment; the damaged one stays where it is.",
}
_RUN: Final = {
    FindingCode.TORN_TAIL: "The next gateway attests the fragment, and so does this command. If it was copied in the "
    "middle of a line, bring the segment again.",
    FindingCode.UNCOVERED: "Sign the end of the log, if these entries are to be believed.",
}
_CHANGED: Final = {
    FindingCode.NO_ENTRIES: "Look whether the path is right, and whether a gateway has written there.",
    FindingCode.UNKNOWN_VERSION: "Verify with the release that has written this, or a newer one.",
    FindingCode.TOO_WEAK: "Give a key, a checkpoint or a witness policy that counts.",
    FindingCode.TOO_FEW: "Name all segments.",
    FindingCode.TOO_OLD: "Bring a newer copy, or look whether a gateway still writes there.",
    FindingCode.UNREADABLE: "Make it readable: a permission, a disk, a name that leads elsewhere.",
}
_DAMAGED: Final = (
    "Bring this segment anew from where it was written, or from a backup, and keep the damaged one: a tool has changed "
    "it, or a disk."
)
_LOST: Final = "These entries were never written, and cannot be brought. Record that a person has looked at it."


def plan_of(report: Report, paths: Sequence[str]) -> tuple[Step, ...]:
    """Return what has to be done, in the order of the findings; `paths` are what was verified."""
    given = " ".join(map(shlex.quote, paths))
    steps = [_step(finding, given) for finding in report.findings if not finding.code.is_note]
    # One damaged file needs one copy, however many lines of it are damaged.
    return tuple({(one.finding.place.path, one.do, one.otherwise): one for one in reversed(steps)}.values())[::-1]


def _step(finding: Finding, paths: str) -> Step:
    code = finding.code
    otherwise = _go_on(finding, paths)
    if code in _KEPT:
        return Step(finding, Remedy.KEEP, f"{_EVIDENCE} {_KEPT[code]}", f"aegis-audit compare COPY {paths}")
    if code in _RUN and not _is_cut(finding):
        return Step(finding, Remedy.RUN, _RUN[code], "aegis-mcp audit checkpoint", otherwise)
    if code is FindingCode.ENTRIES_LOST:
        return Step(finding, Remedy.RUN, _LOST, otherwise)
    if code in _CHANGED:
        return Step(finding, Remedy.CHANGE, _CHANGED[code])
    return Step(finding, Remedy.FETCH, _FETCHED.get(code, _DAMAGED), f"aegis-audit verify {paths} COPY", otherwise)


def _is_cut(finding: Finding) -> bool:
    """Tell whether a segment ends too early: what a crash has torn is one line, at the end of all that there is."""
    return finding.code is FindingCode.TORN_TAIL and (finding.missing is not None or finding.fragment is None)


def _go_on(finding: Finding, paths: str) -> str | None:
    """Return how to go on with what nobody can bring: have it acknowledged, or accept that it is."""
    if finding.acknowledged and not finding.acknowledged.problem:
        return f"aegis-audit verify --accept-acknowledged {paths}"
    if _is_cut(finding) and finding.fragment is None:
        return None  # which line of a compressed segment it is that is torn, nobody can say
    named: list[str] = []
    if finding.fragment:
        named.append(f"--torn {finding.fragment.sha256}")
    if finding.missing:
        named.append(f"--missing {finding.missing.start}-{finding.missing[-1]}")
    elif finding.code is FindingCode.ENTRIES_LOST:
        named.append(f"--lost {finding.place.seq}")
    return f"aegis-mcp audit acknowledge {' '.join(named)} --note 'WHAT HAPPENED'" if named else None
