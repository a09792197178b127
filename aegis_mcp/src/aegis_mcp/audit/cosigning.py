"""Cosignatures of witnesses on the checkpoints of a log (c2sp.org/tlog-witness v1.0.0, tlog-cosignature v1.0.1).

`<stem>.tlog/cosigned` has the newest checkpoint that a quorum has cosigned. A witness that refuses is named on stderr;
without a quorum the place is behind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.errors import ForgedSignature, MalformedNote
from aegis_audit.note import Note, Signature, VerifierKey, encode64
from aegis_audit.value import Value
from aegis_audit.witness import MAX_POLICY, NO_QUORUM, Witness, WitnessPolicy
from aegis_mcp.audit.growth import Growth
from aegis_mcp.audit.posting import Answer, check_url, post
from aegis_mcp.audit.sidecar import put, sidecar_of
from aegis_mcp.errors import AnchorUnavailable, ConfigError

_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n")
_MOST_TRIES: Final = 3
_REFUSALS: Final = {
    400: "it finds the request wrong",
    403: "it does not trust a key that has signed",
    404: "it does not know this log",
    422: "it does not find the log to have only grown",
}


class _Submission(Value):
    """A checkpoint as it is sent."""

    raw: bytes
    note: Note
    checkpoint: Checkpoint

    @classmethod
    def parse(cls, raw: bytes) -> _Submission:
        note = Note.parse(raw)
        return cls(raw, note, Checkpoint.parse(note.text))


class Cosigning:
    """Has the latest checkpoint of a log cosigned by the witnesses of a policy; `warn` tells a person who refuses."""

    def __init__(self, policy: WitnessPolicy, log: Path, warn: Callable[[str], None]) -> None:
        self._policy = policy
        self._sidecar = sidecar_of(log)
        self._growth = Growth(log)
        self._warn = warn
        self._sizes: dict[str, int] = {}
        self._refusals: dict[str, str] = {}

    @classmethod
    def of(cls, path: Path, log: Path, warn: Callable[[str], None]) -> Cosigning:
        """Return that of the policy in a file.

        Raises:
            ConfigError: there is none, or none by which a checkpoint could be cosigned.
        """
        try:
            with path.open("rb") as file:
                policy = WitnessPolicy.parse(file.read(MAX_POLICY + 1))
        except OSError as exc:
            raise ConfigError(f"the witness policy {str(path)!r} cannot be read ({exc.strerror})") from exc
        except MalformedNote as exc:
            raise ConfigError(f"the witness policy {str(path)!r} has a mistake: {exc}") from exc
        asked = [witness for witness in policy.witnesses if witness.url]
        for witness in asked:
            check_url(witness.url or "")
        if policy.quorum == NO_QUORUM or not policy.is_reached([witness.key for witness in asked]):
            raise ConfigError(f"the witnesses with a URL in {str(path)!r} cannot make up a quorum")
        return cls(policy, log, warn)

    def publish(self, offered: bytes) -> None:
        """Return once a quorum has cosigned the latest checkpoint: the one that was offered, or a newer one.

        Raises:
            AnchorUnavailable: there is no quorum; why, for each witness that has not cosigned.
            OSError: the cosignatures cannot be kept.
        """
        latest, signed = self._latest(offered), dict[VerifierKey, Signature]()
        # Who has not answered comes last: a quorum of the others does not wait for it.
        for witness in sorted(self._policy.witnesses, key=lambda one: one.name in self._refusals):
            if not witness.url:
                continue
            try:
                signed[witness.key] = self._ask(witness, witness.url, latest)
            except AnchorUnavailable as exc:
                self._refuse(witness, str(exc))
            else:
                self._refusals.pop(witness.name, None)
                if self._policy.is_reached(signed):
                    note = Note(latest.note.text, (*latest.note.signatures, *signed.values()))
                    put(self._sidecar / "cosigned", note.encode())
        if not self._policy.is_reached(signed):
            raise AnchorUnavailable("; ".join(f"{name!r}: {why}" for name, why in self._refusals.items()))

    def _ask(self, witness: Witness, url: str, latest: _Submission) -> Signature:
        for _ in range(_MOST_TRIES):
            old = self._sizes.get(witness.name, 0)
            if old > latest.checkpoint.size:
                raise AnchorUnavailable(f"it has cosigned {old} entries, and the log has {latest.checkpoint.size}")
            lines = [f"old {old}", *map(encode64, self._growth.prove(old, latest.checkpoint)), "", ""]
            answer = post(f"{url.rstrip('/')}/add-checkpoint", "\n".join(lines).encode() + latest.raw, "text/plain")
            if answer.status == 409:
                self._sizes[witness.name] = _known_size(answer)
                continue
            made = _cosignature(answer, witness, latest.note)
            self._sizes[witness.name] = latest.checkpoint.size
            return made
        raise AnchorUnavailable("others keep having larger checkpoints cosigned")

    def _latest(self, offered: bytes) -> _Submission:
        """Return the newer of two checkpoints: what was offered, and what stands in the sidecar."""
        latest = _Submission.parse(offered)
        try:
            kept = _Submission.parse((self._sidecar / "checkpoint").read_bytes())
        except (OSError, MalformedNote):
            return latest
        is_newer = kept.checkpoint.origin == latest.checkpoint.origin and kept.checkpoint.size > latest.checkpoint.size
        return kept if is_newer else latest

    def _refuse(self, witness: Witness, why: str) -> None:
        if self._refusals.get(witness.name) != why:
            self._warn(f"the witness {witness.name!r} has not cosigned: {why}")
        self._refusals[witness.name] = why


def _known_size(answer: Answer) -> int:
    """Return how large the log is that a witness has cosigned."""
    size = _SIZE.fullmatch(answer.body)
    if answer.kind != "text/x.tlog.size" or not size:
        raise AnchorUnavailable("it answers 409 without a size")
    return int(size[1])


def _cosignature(answer: Answer, witness: Witness, note: Note) -> Signature:
    """Return the cosignature in an answer, which verifies; what others have signed is left out."""
    if answer.status != 200:
        why = _REFUSALS.get(answer.status, "which is no answer of a witness")
        raise AnchorUnavailable(f"status {answer.status}, {why}")
    try:
        made = Note.parse(note.text.encode() + b"\n" + answer.body).signed_by([witness.key]).get(witness.key)
    except MalformedNote as exc:
        raise AnchorUnavailable("it answers with what are no signature lines") from exc
    except ForgedSignature as exc:
        raise AnchorUnavailable("its cosignature does not verify") from exc
    if made is None or not made.timestamp:
        raise AnchorUnavailable("there is no cosignature by its key in its answer")
    return made
