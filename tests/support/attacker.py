"""A game: the attacker holds the files of a log, and the keys that a scenario grants; he wins if `verify` returns 0.

The log is honest: three epochs in three segments, two calls in each and one more at the end, a checkpoint after each
call, and beside it the sidecar of its writer. The verifier has been there before: he kept the public key of epoch 0,
the last checkpoint but one, the state of his last verification, and the keys of three witnesses, of which two have to
agree; the last checkpoint, cosigned by two, is in the sidecar.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aegis_audit.chain import Head
from aegis_audit.mark import Mark
from aegis_audit.note import SigningKey
from support.auditor import Outcome, audit
from support.cosigned import WITNESSES, cosign, policy_of
from support.logs import ORIGIN, overwrite, reseal, write
from support.signed import LOG_KEY, SignedBuilder, epoch_key, note_in, tree_of

EPOCH_0: Final = str(epoch_key(0).verifier)
CURRENT: Final = epoch_key(2)
"""The key of the epoch in office: what is on the host when the attacker comes."""

POLICY: Final = policy_of(LOG_KEY.verifier, 2, *WITNESSES)

VIEWS: Final[dict[str, tuple[str, ...]]] = {
    "A0": ("--no-sidecar",),
    "A0, --from-genesis": ("--no-sidecar", "--from-genesis"),
    "sidecar": (),
    "A1": ("--no-sidecar", "--key", str(LOG_KEY.verifier), "--require", "a1"),
    "A2": ("--no-sidecar", "--key", EPOCH_0, "--require", "a2"),
    "A2, --max-uncovered 300": ("--no-sidecar", "--key", EPOCH_0, "--require", "a2", "--max-uncovered", "300"),
    "A3": ("--no-sidecar", "--key", EPOCH_0, "--require", "a3", "--anchor", "ANCHOR"),
    "A4": ("--key", EPOCH_0, "--require", "a4", "--witness-policy", "POLICY"),
    "state": ("--no-sidecar", "--state", "STATE"),
    "--accept-acknowledged": ("--no-sidecar", "--key", str(LOG_KEY.verifier), "--accept-acknowledged"),
    "--max-age": ("--no-sidecar", "--max-age", "1s"),
}
"""How a verifier may look, weakest first within what he holds."""


@dataclass(slots=True)
class Attacker:
    """The files of a log as they are now: `segments` are the lines of each, the last one is still written to."""

    home: Path
    segments: list[list[bytes]]
    log: SignedBuilder
    names: list[str] = field(default_factory=lambda: ["audit.log.2", "audit.log.1", "audit.log"])
    extra: dict[str, bytes] = field(default_factory=dict[str, bytes])
    sidecar: bytes | None = None

    @property
    def lines(self) -> list[bytes]:
        """Return all lines in order."""
        return [line for segment in self.segments for line in segment]

    @property
    def directory(self) -> Path:
        """Return where the log is."""
        return self.home / "logs"

    def find(self, part: bytes, nth: int = 0) -> tuple[int, int]:
        """Return the segment and the line of the entry that holds these bytes, the nth of them."""
        places = [(s, at) for s, lines in enumerate(self.segments) for at, line in enumerate(lines) if part in line]
        return places[nth]

    def replace(self, lines: Sequence[bytes]) -> None:
        """Put one segment in the place of all."""
        self.segments, self.names = [list(lines)], ["audit.log"]

    def rebuild(self, change: Callable[[SignedBuilder, int, dict[str, Any]], None], log: SignedBuilder) -> None:
        """Write every entry anew, in a chain that is right, each as `change` has it; then it is one segment."""
        for seq, line in enumerate(self.lines):
            change(log, seq, json.loads(line))
        self.replace(log.lines)

    @property
    def cosigned(self) -> str:
        """Return the cosigned checkpoint in the sidecar."""
        return (self.directory / "audit.tlog" / "cosigned").read_text(encoding="utf-8")

    def put_cosigned(self, note: str) -> None:
        """Put another checkpoint in its place."""
        (self.directory / "audit.tlog" / "cosigned").write_text(note, encoding="utf-8")

    def put(self) -> None:
        """Let the files be as they are here; one that was there is the same file still."""
        for path in self.directory.glob("audit*"):
            if path.is_file() and path.name not in self.names:
                path.unlink()
        for name, lines in zip(self.names, self.segments, strict=True):
            write(self.directory / name, lines)
        for name, data in self.extra.items():
            overwrite(self.directory / name, data)

    def verify(self, view: str) -> Outcome:
        """Look at the files as a verifier does."""
        known = {name.upper(): self.home / name for name in ("anchor", "policy", "state")}
        return audit("verify", "--format", "json", *(known.get(one, one) for one in VIEWS[view]), self.directory)


def acknowledge(attacker: Attacker, missing: range, /, *keys: SigningKey, **details: object) -> None:
    """Let a person record that these entries are missing, as the gateway does it, and sign that, be it by `keys`."""
    lines = attacker.lines
    follows = next((line[15:79].decode("ascii") for line in lines if b'"seq":%d,' % (missing.start - 1) in line), None)
    said = {"by": "alice", "note": "a disk has failed", "missing": [[missing.start, missing[-1]]], "follows": [follows]}
    attacker.log.lines = []
    attacker.log.security("break_acknowledged", **(said | details))
    attacker.log.checkpoint(*keys)
    attacker.segments[-1] += attacker.log.lines


def honest(home: Path) -> Attacker:
    """Write the log and what the verifier keeps of it."""
    log = SignedBuilder()
    log.open_log()
    segments: list[list[bytes]] = []
    for epoch in range(3):
        if epoch:
            segments.append(log.rotate())
            log.hand_over()
        for number in (2 * epoch, 2 * epoch + 1):
            log.call(number)
            log.checkpoint()
    anchor = log.lines[-1]
    log.call(9)
    log.checkpoint()
    segments.append(log.lines)
    attacker = Attacker(home, segments, log)
    attacker.directory.mkdir()
    attacker.put()
    mark_end(attacker)
    (home / "anchor").write_text(note_in(anchor), encoding="utf-8")
    (home / "policy").write_text(POLICY, encoding="utf-8")
    attacker.put_cosigned(cosign(note_in(log.lines[-1]), *WITNESSES[:2]))
    assert attacker.verify("state").status == 0
    return attacker


def mark_end(attacker: Attacker, head: Head | None = None) -> None:
    """Store the mark of the last entry in the sidecar, as the writer does, or another one, and nothing beside it."""
    path, sidecar = attacker.directory / "audit.log", attacker.directory / "audit.tlog"
    sidecar.mkdir(exist_ok=True)
    (sidecar / "cosigned").unlink(missing_ok=True)
    lines = attacker.segments[-1]
    last = head or Head(len(attacker.lines) - 1, lines[-1][15:79].decode("ascii"))
    state = path.stat()
    mark = Mark(last, state.st_ino, state.st_size, 0, 1, ORIGIN)
    (sidecar / "head").write_bytes(mark.encode())


def relink(lines: Sequence[bytes], start: int) -> list[bytes]:
    """Return the lines with all links and hashes from line `start` on recomputed, as somebody who knows the format."""
    done = list(lines[:start])
    for line in lines[start:]:
        before = done[-1][15:79] if done else b"0" * 64
        at = line.rindex(b'"prev_hash":"') + 13
        done.append(reseal(line[:at] + before + line[at + 64 :]))
    return done


def signer(attacker: Attacker, size: int, *keys: SigningKey) -> SignedBuilder:
    """Return a builder that goes on behind the first `size` entries, with stolen keys."""
    log = SignedBuilder()
    log.lines = attacker.lines[:size]
    log.head = Head(size - 1, log.lines[-1][15:79].decode("ascii"))
    log.tree = tree_of(log.lines)
    log.epoch_keys = list(keys) or [CURRENT]
    return log
