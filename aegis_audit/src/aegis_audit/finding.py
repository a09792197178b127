"""What a verifier has to say about one place in a log: a closed catalogue with stable ids.

An id is never given another meaning; a retired one is not reused. `docs/reference/findings.md` explains each,
and a test holds the two together.
"""

from __future__ import annotations

import hashlib
from enum import Enum

from aegis_audit.value import Value, replace
from aegis_audit.verdict import Verdict


class FindingCode(Enum):
    """A kind of finding: its stable id, the verdict that it leads to, and its title.

    A code whose verdict is `VALID` is a note: worth reading, and no reason to distrust the log.
    """

    # Contradictions: no accident that the writer or a rotation can have makes these.
    HASH_MISMATCH = ("AEG001", Verdict.TAMPERED, "the entry's bytes do not have the hash that the entry states")
    BROKEN_LINK = ("AEG002", Verdict.TAMPERED, "the entry does not link to the entry before it")
    EQUIVOCATION = ("AEG003", Verdict.TAMPERED, "two different entries have the same sequence number")
    REORDERED = ("AEG004", Verdict.TAMPERED, "the entry stands after one with a higher sequence number")
    DUPLICATED = ("AEG005", Verdict.TAMPERED, "the entry stands twice in one segment")
    FALSE_GENESIS = ("AEG006", Verdict.TAMPERED, "sequence number 0 and the zero hash do not come together")
    FALSE_ATTESTATION = ("AEG007", Verdict.TAMPERED, "an attested replay or fragment contradicts what is there")
    FALSE_HEAD = ("AEG008", Verdict.TAMPERED, "the log holds another entry than the one that it is known to hold")
    ROLLED_BACK = ("AEG009", Verdict.TAMPERED, "the log ends before an entry that it is known to have held")
    REPLACED = ("AEG010", Verdict.TAMPERED, "another log stands in the place of the one that is known")

    FALSE_CHECKPOINT = ("AEG011", Verdict.TAMPERED, "a checkpoint contradicts the entries that it covers")
    FALSE_SIGNATURE = ("AEG012", Verdict.TAMPERED, "a signature by a known key does not verify")
    BROKEN_SUCCESSION = ("AEG013", Verdict.TAMPERED, "a key has signed or follows that must not")
    FOREIGN_KEY = ("AEG014", Verdict.TAMPERED, "the log declares another key than the one that counts")
    FALSE_STAMP = ("AEG015", Verdict.TAMPERED, "a time stamp contradicts the checkpoint that it stands beside")

    # Damage: what stands here is not an entry.
    NOT_UTF8 = ("AEG101", Verdict.CORRUPT, "the line is not UTF-8")
    NOT_JSON = ("AEG102", Verdict.CORRUPT, "the line is not one JSON object")
    NOT_CANONICAL = ("AEG103", Verdict.CORRUPT, "the line is JSON, but not in canonical form (RFC 8785)")
    DUPLICATE_KEY = ("AEG104", Verdict.CORRUPT, "an object has the same key twice")
    OUT_OF_PROFILE = ("AEG105", Verdict.CORRUPT, "a number, a string or the nesting is outside the profile")
    MALFORMED_FIELD = ("AEG106", Verdict.CORRUPT, "a field of the entry is missing, unknown or of the wrong form")
    OVERLONG_LINE = ("AEG107", Verdict.CORRUPT, "the line is longer than 65,535 bytes")
    BLANK_LINE = ("AEG108", Verdict.CORRUPT, "the line is empty")
    CARRIAGE_RETURN = ("AEG109", Verdict.CORRUPT, "the line ends in CR LF")
    BYTE_ORDER_MARK = ("AEG110", Verdict.CORRUPT, "the line begins with a byte order mark")
    NUL_BYTES = ("AEG111", Verdict.CORRUPT, "the line holds NUL bytes")
    DAMAGED_COMPRESSION = ("AEG112", Verdict.CORRUPT, "the compressed segment cannot be expanded to its end")

    # Missing evidence.
    MISSING_RANGE = ("AEG201", Verdict.INCOMPLETE, "entries are missing between two that are there")
    TORN_TAIL = ("AEG202", Verdict.INCOMPLETE, "the last line has no end")
    MISSING_START = ("AEG203", Verdict.INCOMPLETE, "the log was required from its first entry and begins later")
    ENTRIES_LOST = ("AEG204", Verdict.INCOMPLETE, "the writer recorded that entries were lost")
    SHORT_OF_HEAD = ("AEG205", Verdict.INCOMPLETE, "the evidence does not hold an entry that the log is known to hold")
    TOO_FEW = ("AEG206", Verdict.INCOMPLETE, "there are fewer entries than were demanded")
    TOO_OLD = ("AEG207", Verdict.INCOMPLETE, "the latest entry is older than was demanded")
    UNCOVERED = ("AEG208", Verdict.INCOMPLETE, "more entries than allowed are not covered")

    MOVED = ("AEG209", Verdict.INCOMPLETE, "the segment was moved away or shortened while it was looked at")

    # Nothing to judge.
    NO_ENTRIES = ("AEG301", Verdict.UNVERIFIABLE, "there is no entry to verify")
    UNKNOWN_VERSION = ("AEG302", Verdict.UNVERIFIABLE, "the entry's format version is not known to this verifier")
    TOO_WEAK = ("AEG303", Verdict.UNVERIFIABLE, "the level that was demanded is not reached")
    UNREADABLE = ("AEG401", Verdict.UNREADABLE, "the input could not be read")

    # Notes.
    PARTIAL_LOG = ("AEG501", Verdict.VALID, "the evidence begins after the first entry of the log")
    OVERLAP = ("AEG502", Verdict.VALID, "the same entries stand in more than one segment, and are equal")
    ATTESTED_FRAGMENT = ("AEG503", Verdict.VALID, "a torn line is attested by the writer")
    CLOCK_STEP = ("AEG504", Verdict.VALID, "the time goes backwards")
    UNANSWERED_INTENT = ("AEG505", Verdict.VALID, "a call was sent and its answer is not recorded")
    OUTCOME_WITHOUT_INTENT = ("AEG506", Verdict.VALID, "an answer is recorded without the call that it belongs to")
    SEVERAL_LOGS = ("AEG507", Verdict.VALID, "the input holds segments of more than one log")
    UNKNOWN_EVENT = ("AEG508", Verdict.VALID, "the event is of a type or kind that this verifier does not know")
    NO_MARK = ("AEG509", Verdict.VALID, "the sidecar of the log does not say where the log ends")

    def __init__(self, identifier: str, verdict: Verdict, title: str) -> None:
        self.identifier = identifier
        self.verdict = verdict
        self.title = title

    @property
    def is_note(self) -> bool:
        """Tell whether the finding leaves the verdict alone."""
        return self.verdict is Verdict.VALID


class Place(Value):
    """Where in the evidence: `line` from 1, `offset` in bytes of the expanded segment, `seq` where it is known."""

    path: str
    line: int | None = None
    offset: int | None = None
    seq: int | None = None


class Acknowledgement(Value):
    """What a person has recorded of a finding: in which entry, at what time (RFC 3339), who and why.

    `problem` says why it does not count; nothing if it does. All of it but the number is hostile.
    """

    seq: int
    timestamp: str
    by: str
    note: str
    problem: str = ""


class Fragment(Value):
    """A torn line: so many bytes, with this SHA-256 in hex."""

    length: int
    sha256: str

    @classmethod
    def of(cls, line: bytes) -> Fragment:
        """Return that of a line without its end."""
        return cls(len(line), hashlib.sha256(line).hexdigest())


class Finding(Value):
    """One finding: what it is, where it is, what was expected and what was found.

    `expected` and `found` may quote the log and are hostile: they are escaped where they are shown. `missing` are the
    numbers of the entries that are not there because of it, None where there are none or that is not known; `fragment`
    is a torn line. It is accepted where it is acknowledged and that was asked for: the verdict is then that of the
    other findings.
    """

    code: FindingCode
    place: Place
    expected: str = ""
    found: str = ""
    missing: range | None = None
    fragment: Fragment | None = None
    acknowledged: Acknowledgement | None = None
    is_accepted: bool = False

    def spoiling(self, missing: range) -> Finding:
        """Return the finding as one because of which these entries cannot be read."""
        found = f"{self.found}; entries {missing.start} to {missing[-1]} cannot be read"
        return replace(self, place=replace(self.place, seq=missing.start), found=found, missing=missing)
