"""Every error of this package.

    AuditError
    ├── MalformedEntry        wrong: bytes that are not one canonical entry (a finding for the verifier)
    ├── UnencodableValue      wrong: a value outside the profile of RFC 8785 and RFC 7493
    ├── UnreadableSegment     could not tell: the bytes could not be had
    │   ├── AbsentSegment     there is nothing of that name
    │   │   └── EmptyDirectory    there is a directory, and no segment in it
    │   └── MovedSegment      it was there, and a rotation has taken it away or emptied it since
    ├── DamagedSegment        wrong: compressed bytes that do not expand to their end (a finding for the verifier)
    ├── UnusableAnchor        could not tell: a checkpoint that was kept outside of a log cannot be read
    ├── UnusableState         could not tell: what an earlier verification has left cannot be read or written
    ├── UnusableQuery         wrong: a filter that cannot be understood
    ├── Unprovable            could not tell: what a proof needs, entries, checkpoints or keys, is not there
    ├── FalseProof            wrong: a proof or a checkpoint that contradicts what it is about
    ├── MalformedNote         wrong: bytes that are not one note, key, checkpoint, proof or policy of C2SP
    ├── ForgedSignature       wrong: a line of a known key that does not verify (a finding for the verifier)
    ├── ForgedStamp           wrong: a time stamp that contradicts what it is of, or its own certificates (a finding)
    ├── UnprovenStamp         could not tell: a time stamp of which the given certificates say nothing
    ├── UnusableCertificate   could not tell: a file that holds no certificate
    ├── MissingExtra          could not tell: a library is not installed that comes with an extra
    ├── BrokenSuccession      wrong: a checkpoint or a handover that the epoch in office does not vouch for (a finding)
    └── UnusableKey           could not tell: keys that are not private, not whole, or cannot be read
        └── AbsentKey         there are none

A tampered log is a `Finding`, never an exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from aegis_audit.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from aegis_audit.finding import FindingCode


class AuditError(Exception):
    """Root of what this package raises on purpose; `verdict` is what a command concludes that ends with it."""

    verdict: ClassVar[Verdict] = Verdict.UNREADABLE


class MalformedEntry(AuditError):
    """Bytes that are not one canonical entry; `code` is the finding that a verifier reports for them."""

    def __init__(self, code: FindingCode, expected: str, found: str) -> None:
        self.code = code
        self.expected = expected
        self.found = found
        super().__init__(f"expected {expected}, found {found}")


class UnencodableValue(AuditError):
    """A value without a canonical form: a float that is not finite, a wide integer, a lone surrogate, deep nesting."""


class UnreadableSegment(AuditError):
    """A segment whose bytes could not be had; `path` says which, `reason` why."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path!r}: {reason}")


class AbsentSegment(UnreadableSegment):
    """A path at which there is no segment."""


class EmptyDirectory(AbsentSegment):
    """A directory that holds no segment."""


class MovedSegment(UnreadableSegment):
    """A segment that went away, or became shorter, between being found and being read to its end."""


class DamagedSegment(AuditError):
    """Compressed bytes that do not expand to their end; `is_cut_off` tells a missing end from a contradiction."""

    def __init__(self, expected: str, found: str, *, is_cut_off: bool = False) -> None:
        self.expected = expected
        self.found = found
        self.is_cut_off = is_cut_off
        super().__init__(f"expected {expected}, found {found}")


class UnusableAnchor(AuditError):
    """A checkpoint that was kept outside of a log cannot be used; `path` says which, `reason` why."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"checkpoint {str(path)!r}: {reason}")


class UnusableState(AuditError):
    """The file of an earlier verification cannot be used; `path` says which, `reason` why."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"state {str(path)!r}: {reason}")


class UnusableQuery(AuditError):
    """A filter of `inspect` or `summarize` that cannot be understood."""


class Unprovable(AuditError):
    """A proof that cannot be made or judged from what is there: entries, checkpoints or keys are missing."""

    verdict = Verdict.UNVERIFIABLE


class FalseProof(AuditError):
    """A proof, or a checkpoint, that contradicts what it is about."""

    verdict = Verdict.TAMPERED


class MalformedNote(AuditError):
    """Bytes that are not one signed note, or a key, a checkpoint, a proof or a policy that is not in C2SP's form."""

    verdict = Verdict.CORRUPT


class ForgedSignature(AuditError):
    """A line of a note that has the name and id of a known key, and does not verify; `name` is the key's."""

    verdict = Verdict.TAMPERED

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the signature of {name!r} does not verify")


class ForgedStamp(AuditError):
    """A time stamp that is of other bytes, or whose signature fails under certificates that hold."""

    verdict = Verdict.TAMPERED

    def __init__(self, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected {expected}, found {found}")


class UnprovenStamp(AuditError):
    """A time stamp that is torn, or does not lead to a certificate that counts; the message says why."""


class UnusableCertificate(AuditError):
    """A file that holds no certificate."""


class MissingExtra(AuditError):
    """A library is not installed that comes with an extra; the message names the extra."""


class BrokenSuccession(AuditError):
    """A checkpoint, or the announcement of an epoch, that breaks the succession of the keys."""

    def __init__(self, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected {expected}, found {found}")


class UnusableKey(AuditError):
    """Keys that cannot be used; `path` says where they are looked for, `reason` why not. No key is in the message."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"key {path!r}: {reason}")


class AbsentKey(UnusableKey):
    """Keys that are not there."""
