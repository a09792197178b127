"""Fifty and more ways to cheat, each with the view that catches it; the page for people has the same table."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from aegis_audit.chain import Head
from aegis_audit.level import Level
from aegis_audit.note import Note, Signature, SigningKey
from support.attacker import CURRENT, Attacker, acknowledge, honest, mark_end, relink, signer
from support.cosigned import WHEN, WITNESSES, Witness
from support.house import ROOT
from support.logs import ORIGIN, LogBuilder, reseal, small_log
from support.signed import LOG_KEY, SignedBuilder, epoch_key, note_in, signed_log


@dataclass(frozen=True)
class Scenario:
    """What somebody does with what he holds, the view that catches it, and the status that it gives."""

    holds: str
    does: str
    act: Callable[[Attacker], object]
    view: str
    status: int
    unseen: tuple[str, ...] = ()


FILES: Final = "the files"
SIDECAR: Final = "the files and the sidecar"
LOG: Final = "the log's key"
BOTH: Final = "the log's key and today's"

SCENARIOS: Final[list[Scenario]] = []


def scenario(
    holds: str, does: str, view: str, status: int, *unseen: str
) -> Callable[[Callable[[Attacker], object]], Callable[[Attacker], object]]:
    def add(act: Callable[[Attacker], object]) -> Callable[[Attacker], object]:
        SCENARIOS.append(Scenario(holds, does, act, view, status, unseen))
        return act

    return add


def change(line: bytes) -> bytes:
    """Let the entry of a call say something else, its hash as it was."""
    return line.replace(b"notes/", b"votes/")


def a_call(one: Attacker) -> tuple[int, int]:
    return one.find(b'"notes/1.txt"')


# With the files alone.


@scenario(FILES, "edits an entry", "A0", 1)
def _(one: Attacker) -> None:
    s, at = a_call(one)
    one.segments[s][at] = change(one.segments[s][at])


@scenario(FILES, "edits an entry and its hash", "A0", 1)
def _(one: Attacker) -> None:
    s, at = a_call(one)
    one.segments[s][at] = reseal(change(one.segments[s][at]))


@scenario(FILES, "edits an entry and recomputes the chain to the end", "A0", 1)
def _(one: Attacker) -> None:
    one.replace(relink(list(map(change, one.lines)), 1))


@scenario(FILES, "recomputes the chain and puts the right roots over the old signatures", "A0", 1)
def _(one: Attacker) -> None:
    def rewrite(log: SignedBuilder, seq: int, entry: dict[str, Any]) -> None:
        if entry["event_type"] != "checkpoint":
            log.add(entry["event_type"], _edited(entry["event"]), entry.get("trace_id"))
            return
        right = note_in(SignedBuilder.checkpoint(_copy(log))).partition("\n\n")[0]
        log.note(right + "\n\n" + entry["event"]["note"].partition("\n\n")[2])

    one.rebuild(rewrite, SignedBuilder())


@scenario(FILES, "rewrites everything as a log that is not signed", "A1", 5, "A0")
def _(one: Attacker) -> None:
    one.replace(small_log(9))


@scenario(FILES, "rewrites everything as a log that keys of his own sign", "A1", 1, "A0")
def _(one: Attacker) -> None:
    log = SignedBuilder()
    log.log_key, log.epoch_keys = SigningKey(ORIGIN, b"E" * 32), [epoch_key(0, 66)]
    log.open_log()
    log.call(0)
    log.checkpoint()
    one.replace(log.lines)


@scenario(FILES, "rewrites everything, declares the right keys, and signs nothing", "A1", 5, "A0")
def _(one: Attacker) -> None:
    log = SignedBuilder()
    log.open_log()
    log.call(7)
    one.replace(log.lines)


@scenario(FILES, "deletes an entry", "A0", 4)
def _(one: Attacker) -> None:
    s, at = a_call(one)
    del one.segments[s][at]


@scenario(FILES, "deletes an entry and links its neighbours", "A0", 1)
def _(one: Attacker) -> None:
    s, at = a_call(one)
    lines = one.segments[s]
    lines[at : at + 2] = relink([lines[at - 1], lines[at + 1]], 1)[1:]


@scenario(FILES, "deletes an entry, renumbers and recomputes all that follows", "A0", 1)
def _(one: Attacker) -> None:
    one.replace(_renumbered([line for line in one.lines if b'"notes/1.txt"' not in line]))


@scenario(FILES, "deletes the first entry", "A0, --from-genesis", 4, "A0")
def _(one: Attacker) -> None:
    del one.segments[0][0]


@scenario(FILES, "deletes the first entry of a signed log", "A2", 5)
def _(one: Attacker) -> None:
    one.replace(one.segments[0][1:])


@scenario(FILES, "deletes the first segment", "A0, --from-genesis", 4, "A0")
def _(one: Attacker) -> None:
    del one.segments[0], one.names[0]


@scenario(FILES, "deletes a segment in the middle", "A0", 4)
def _(one: Attacker) -> None:
    del one.segments[1], one.names[1]


@scenario(FILES, "deletes a segment in the middle, renumbers and recomputes what follows", "A0", 1)
def _(one: Attacker) -> None:
    one.replace(_renumbered([*one.segments[0], *one.segments[2]]))


@scenario(FILES, "deletes the last segment", "sidecar", 4, "A0", "A2")
def _(one: Attacker) -> None:
    del one.segments[2], one.names[2]


@scenario(FILES, "cuts off what no checkpoint covers yet", "sidecar", 1, "A0", "A2")
def _(one: Attacker) -> None:
    one.log.call(10)
    one.put()
    mark_end(one)
    del one.segments[2][-2:]


@scenario(FILES, "cuts off the last checkpoint and what it covers", "sidecar", 1, "A0", "A2")
def _(one: Attacker) -> None:
    del one.segments[2][-3:]


@scenario(FILES, "cuts the log in the middle of a line", "A0", 4)
def _(one: Attacker) -> None:
    one.segments[2][-1] = one.segments[2][-1][:100]


@scenario(FILES, "empties the log", "sidecar", 4, "A0")
def _(one: Attacker) -> None:
    one.segments[2] = []


@scenario(FILES, "empties every file", "A0", 5)
def _(one: Attacker) -> None:
    one.segments = [[], [], []]


@scenario(FILES, "deletes every file but the sidecar", "sidecar", 4)
def _(one: Attacker) -> None:
    one.segments, one.names = [], []


@scenario(FILES, "puts another log in its place", "sidecar", 1, "A0")
def _(one: Attacker) -> None:
    one.replace(small_log(3, origin="other.example/aegis"))


@scenario(FILES, "puts another log in its place, signed by keys of other names", "A2", 5, "A0")
def _(one: Attacker) -> None:
    log = SignedBuilder(origin="other.example/aegis")
    log.open_log()
    log.call(1)
    log.checkpoint()
    one.replace(log.lines)


@scenario(FILES, "puts a segment of another log between two", "A0", 1)
def _(one: Attacker) -> None:
    one.segments[1][2:2] = small_log(1, origin="other.example/aegis")


@scenario(FILES, "puts in a checkpoint of another log", "A0", 1)
def _(one: Attacker) -> None:
    other = SignedBuilder(origin="other.example/aegis")
    other.tree = one.log.tree
    one.segments[2] += _continued(one, [note_in(other.checkpoint())])


@scenario(FILES, "puts in an old checkpoint of the same log", "A0", 1)
def _(one: Attacker) -> None:
    s, at = one.find(b'"checkpoint"')
    one.segments[2] += _continued(one, [note_in(one.segments[s][at])])


@scenario(FILES, "swaps two entries", "A0", 1)
def _(one: Attacker) -> None:
    s, at = a_call(one)
    lines = one.segments[s]
    lines[at], lines[at + 1] = lines[at + 1], lines[at]


@scenario(FILES, "swaps the second halves of two segments", "A0", 1)
def _(one: Attacker) -> None:
    one.segments[0][4:], one.segments[1][4:] = one.segments[1][4:], one.segments[0][4:]


@scenario(FILES, "repeats an entry", "A0", 1)
def _(one: Attacker) -> None:
    s, at = a_call(one)
    one.segments[s].insert(at, one.segments[s][at])


@scenario(FILES, "puts another entry beside one, with its number", "A0", 1)
def _(one: Attacker) -> None:
    s, at = a_call(one)
    one.segments[s].insert(at + 1, reseal(change(one.segments[s][at])))


@scenario(FILES, "puts an entry before the first", "A0", 1)
def _(one: Attacker) -> None:
    one.segments[0].insert(0, small_log(0, session_id="ab" * 16)[0])


@scenario(FILES, "leaves two histories with different ends", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines) - 2)
    log.lines = []
    log.call(77)
    one.extra["audit.log.3"] = b"".join([*one.segments[2][:-2], *log.lines])


@scenario(FILES, "shows a history with another end than the last time", "state", 1, "A0")
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines) - 2)
    log.call(77)
    log.call(78)
    one.replace(log.lines)


@scenario(FILES, "edits a copy of a segment that lies beside it", "A0", 1)
def _(one: Attacker) -> None:
    one.extra["audit.log.1.gz"] = gzip.compress(b"".join(relink(list(map(change, one.segments[1])), 1)))


@scenario(FILES, "takes all signatures out of a checkpoint", "A0", 1)
def _(one: Attacker) -> None:
    _with_notes(one, lambda note: note.partition("\n\n")[0] + "\n\n")


@scenario(FILES, "takes the line of the epoch out of the checkpoints", "A0", 1)
def _(one: Attacker) -> None:
    _with_notes(one, lambda note: "".join(line for line in note.splitlines(keepends=True) if "/e/" not in line))


@scenario(
    FILES,
    "takes all checkpoints out from some point on, and recomputes the chain",
    "A2",
    4,
    "A0",
    "A2, --max-uncovered 300",
)
def _(one: Attacker) -> None:
    lines = one.lines
    checkpoints = [at for at, line in enumerate(lines) if b'"event_type":"checkpoint"' in line]
    kept = lines[: checkpoints[0] + 1]
    log = signer(one, len(kept))
    for number in range(8):
        log.call(number)
    one.replace(log.lines)


@scenario(FILES, "says that an entry is of another version", "A0", 5)
def _(one: Attacker) -> None:
    one.segments[2][-1] = reseal(one.segments[2][-1].replace(b'"v":1}', b'"v":2}'))


@scenario(FILES, "writes a checkpoint by an unknown key of the log's name", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines))
    log.checkpoint(SigningKey(ORIGIN, b"U" * 32), CURRENT)
    one.replace(log.lines)


@scenario(FILES, "writes a checkpoint with the names and ids of the keys and no right signature", "A0", 1)
def _(one: Attacker) -> None:
    text = note_in(SignedBuilder.checkpoint(_copy(one.log))).partition("\n\n")[0] + "\n"
    s, at = one.find(b'"event_type":"checkpoint"', -1)
    one.segments[2] += _continued(one, [text + "\n" + note_in(one.segments[s][at]).partition("\n\n")[2]])


def _forge(does: str, forge: Callable[[str], str]) -> None:
    """Add a scenario in which the last checkpoint's note is in another form."""

    def act(one: Attacker) -> None:
        one.segments[2] += _continued(one, [forge(note_in(SignedBuilder.checkpoint(_copy(one.log))))])

    scenario(BOTH, does, "A0", 1)(act)


_forge("signs a note with base64 in another form", lambda note: note.replace("=\n", "==\n", 1))
_forge("signs a note with a size that begins with zero", lambda note: note.replace("\n", "\n0", 1))
_forge("signs a note and puts 65 lines below it", lambda note: note + note.splitlines(keepends=True)[-1] * 63)
_forge("signs a note with a dash that only looks right", lambda note: note.replace("\u2014", "\u2013"))
_forge("signs a note with Windows' line ends", lambda note: note.replace("\n", "\r\n"))
_forge("signs a note with text below it", lambda note: note + "and so on\n")


@scenario(FILES, "states a false tree at the start of a segment", "A0", 1)
def _(one: Attacker) -> None:
    lines = one.segments[2]
    lines[:] = relink([re.sub(rb'"tree":\["[0-9a-f]{64}', b'"tree":["' + b"ab" * 32, lines[0]), *lines[1:]], 1)
    lines[0] = reseal(lines[0])
    one.segments[2] = relink(lines, 1)


@scenario(FILES, "puts junk in the place of an entry and attests it as torn", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines))
    log.lines = []
    s, at = a_call(one)
    one.segments[s][at] = b"junk\n"
    log.recover((0, b"junk"))
    one.segments[2] += log.lines


@scenario(FILES, "removes the end and says that it was lost", "A0", 1)
def _(one: Attacker) -> None:
    size = len(one.lines) - 2
    log = signer(one, size)
    log.head = Head(size + 1, log.head.entry_hash)
    log.security("entries_lost", missing=[size, size + 1])
    one.replace(log.lines)


@scenario(FILES, "announces a replay of entries that do not come", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines))
    log.head = Head(log.head.seq + 3, log.head.entry_hash)
    log.open_segment("truncated", replay=[log.head.seq - 2, log.head.seq])
    one.replace(log.lines)


@scenario(FILES, "appends bytes to a compressed segment", "A0", 3)
def _(one: Attacker) -> None:
    one.extra["audit.log.1.gz"] = gzip.compress(b"".join(one.segments[1])) + b"more"
    del one.segments[1], one.names[1]


@scenario(FILES, "overwrites an entry with NUL bytes", "A0", 3)
def _(one: Attacker) -> None:
    s, at = a_call(one)
    one.segments[s][at] = bytes(len(one.segments[s][at]) - 1) + b"\n"


@scenario(FILES, "appends entries of his own behind the last checkpoint", "A2", 4, "sidecar", "A2, --max-uncovered 300")
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines))
    log.lines = []
    log.call(55)
    one.segments[2] += log.lines


@scenario(FILES, "takes out the last checkpoint, and changes what it covered", "A2", 4, "A2, --max-uncovered 300")
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines) - 3)
    log.call(55)
    one.replace(log.lines)


@scenario(FILES, "lets the writer go on behind a cut", "A0", 4)
def _(one: Attacker) -> None:
    cut = len(one.lines) - 3
    end = one.log.head
    one.replace(one.lines[:cut])
    one.log.lines = []
    one.log.open_segment("truncated")
    one.log.call(30)
    one.segments[0] += one.log.lines
    assert end.seq > cut


@scenario(FILES, "floods the log until its first segments are no longer kept", "A3", 4, "A0")
def _(one: Attacker) -> None:
    one.log.lines = []
    one.log.open_segment()
    one.log.security("segments_dropped", dropped=[0, one.log.head.seq - 1], origin=ORIGIN, segments=3)
    one.log.checkpoint()
    one.replace(one.log.lines)


# With the sidecar as well.


@scenario(SIDECAR, "cuts the log and its sidecar back to an earlier checkpoint", "A3", 1, "A0", "sidecar", "A2")
def _(one: Attacker) -> None:
    del one.segments[2][-6:]
    one.put()
    mark_end(one)


@scenario(SIDECAR, "cuts the log and its sidecar back after it was verified", "state", 1, "A0", "sidecar", "A2")
def _(one: Attacker) -> None:
    del one.segments[2][-3:]
    one.put()
    mark_end(one)


@scenario(SIDECAR, "deletes the log and its sidecar", "A0", 5)
def _(one: Attacker) -> None:
    one.segments, one.names = [], []
    shutil.rmtree(one.directory / "audit.tlog")


@scenario(SIDECAR, "puts an old copy of all files back", "A3", 1, "A0", "sidecar", "A2")
def _(one: Attacker) -> None:
    del one.segments[2], one.names[2]
    one.names = ["audit.log.1", "audit.log"]
    one.put()
    mark_end(one)


@scenario(SIDECAR, "puts an old copy of all files back, where nothing was kept", "--max-age", 4, "A0", "sidecar", "A2")
def _(one: Attacker) -> None:
    del one.segments[1:], one.names[1:]
    one.names = ["audit.log"]
    one.put()
    mark_end(one)


@scenario(SIDECAR, "recomputes the chain and the sidecar", "A0", 1)
def _(one: Attacker) -> None:
    one.replace(relink(list(map(change, one.lines)), 1))
    one.put()
    mark_end(one)


@scenario(SIDECAR, "rewrites everything as a log that is not signed, and the sidecar", "A1", 5, "A0", "sidecar")
def _(one: Attacker) -> None:
    one.replace(small_log(9))
    one.put()
    mark_end(one)


# With keys that were on the host.


@scenario(LOG, "rewrites what an epoch has signed", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, 1)
    log.call(66)
    log.checkpoint(LOG_KEY, epoch_key(0, 66))
    one.replace(log.lines)


@scenario(LOG, "signs a checkpoint alone", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines))
    log.checkpoint(LOG_KEY)
    one.replace(log.lines)


@scenario(BOTH, "rewrites what an earlier epoch has signed, and signs it with today's key", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, 1)
    log.call(66)
    log.checkpoint(LOG_KEY, CURRENT)
    one.replace(log.lines)


@scenario(BOTH, "rewrites everything, and declares today's key to be the first", "A2", 1, "A0", "A1")
def _(one: Attacker) -> None:
    log = SignedBuilder()
    log.epoch_keys = [SigningKey(f"{ORIGIN}/e/0", CURRENT.seed)]
    log.open_log()
    log.call(66)
    log.checkpoint()
    one.replace(log.lines)


@scenario(BOTH, "goes on from the end of an epoch, and skips the next", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, len(one.segments[0]))
    log.announce(2, CURRENT)
    log.checkpoint(LOG_KEY, CURRENT)
    one.replace(log.lines)


@scenario(BOTH, "goes on from the end of an epoch with today's key in the place of the next", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, len(one.segments[0]))
    key = SigningKey(f"{ORIGIN}/e/1", CURRENT.seed)
    log.announce(1, key)
    log.checkpoint(LOG_KEY, key)
    one.replace(log.lines)


@scenario(BOTH, "announces the next epoch twice, with two keys", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines))
    log.announce(3, epoch_key(3))
    log.announce(3, epoch_key(3, 66))
    log.checkpoint(LOG_KEY, CURRENT, epoch_key(3))
    one.replace(log.lines)


@scenario(BOTH, "hands over without the key in office", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines))
    log.announce(3, epoch_key(3))
    log.checkpoint(LOG_KEY, epoch_key(3))
    one.replace(log.lines)


@scenario(BOTH, "announces an epoch again that is over", "A0", 1)
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines))
    log.announce(1, epoch_key(1))
    one.replace(log.lines)


@scenario(BOTH, "rewrites what today's epoch has signed, and signs it again", "A3", 1, "A0", "A2")
def _(one: Attacker) -> None:
    log = signer(one, _handed_over(one))
    for number in range(4):
        log.call(90 + number)
        log.checkpoint()
    one.replace(log.lines)


@scenario(BOTH, "rewrites what today's epoch has signed, where a verification has been", "state", 1, "A0", "A2")
def _(one: Attacker) -> None:
    log = signer(one, len(one.lines) - 2)
    for number in range(4):
        log.call(90 + number)
        log.checkpoint()
    one.replace(log.lines)


# Against witnesses: he holds both keys and the sidecar, so that only what others have signed is out of his reach.

WITNESSED: Final = "the log's key and today's, the files and the sidecar"
OTHER: Final = Witness(WITNESSES[1].name, b"O" * 32)


def _rewritten(one: Attacker, *made: Signature | str) -> None:
    """Rewrite what today's epoch has signed, and put these lines below its last checkpoint."""
    log = signer(one, _handed_over(one))
    log.call(91)
    note = note_in(log.checkpoint())
    one.replace(log.lines)
    one.put()
    mark_end(one)
    one.put_cosigned(note + "".join(f"{line}\n" for line in made))


def _text_now(one: Attacker) -> str:
    """Return the text of the checkpoint that `_rewritten` makes."""
    return Note.parse(one.cosigned.encode()).text


@scenario(WITNESSED, "rewrites what today's epoch has signed; no witness cosigns that", "A4", 5, "A0", "sidecar", "A2")
def _(one: Attacker) -> None:
    _rewritten(one)


@scenario(WITNESSED, "the same, with one witness on his side", "A4", 5, "A0", "sidecar", "A2")
def _(one: Attacker) -> None:
    _rewritten(one)
    _rewritten(one, WITNESSES[0].cosign(_text_now(one)))


@scenario(WITNESSED, "the same, with that cosignature twice", "A4", 5, "A0", "sidecar", "A2")
def _(one: Attacker) -> None:
    _rewritten(one)
    text = _text_now(one)
    _rewritten(one, WITNESSES[0].cosign(text), WITNESSES[0].cosign(text, WHEN + 1))


@scenario(WITNESSED, "the same, with a key of his own by the name of another witness", "A4", 5, "A0", "sidecar", "A2")
def _(one: Attacker) -> None:
    _rewritten(one)
    text = _text_now(one)
    _rewritten(one, WITNESSES[0].cosign(text), OTHER.cosign(text))


@scenario(WITNESSED, "the same, with the id of another witness below another name", "A4", 5, "A0", "sidecar", "A2")
def _(one: Attacker) -> None:
    _rewritten(one)
    text = _text_now(one)
    made = OTHER.cosign(text)
    _rewritten(one, WITNESSES[0].cosign(text), Signature("witness.example/9", WITNESSES[1].key.key_id, made.blob))


@scenario(WITNESSED, "the same, with the cosignatures of the checkpoint before", "A4", 1, "A0", "sidecar", "A2")
def _(one: Attacker) -> None:
    _rewritten(one, *Note.parse(one.cosigned.encode()).signatures[-2:])


@scenario(WITNESSED, "the same, and leaves the cosigned checkpoint as it was", "sidecar", 1, "A0", "A2")
def _(one: Attacker) -> None:
    before = one.cosigned
    _rewritten(one)
    for number in range(4):
        one.log = signer(one, len(one.lines))
        one.log.call(number)
        one.log.checkpoint()
        one.replace(one.log.lines)
    one.put()
    mark_end(one)
    one.put_cosigned(before)


# Against what a person has acknowledged: the second segment was lost, and its loss is on record, signed.

ACCEPTED: Final = "--accept-acknowledged"


def _lost(one: Attacker) -> tuple[range, list[bytes]]:
    """Lose the second segment; return the numbers of its entries, and its lines."""
    first = len(one.segments[0])
    lines = one.segments.pop(1)
    del one.names[1]
    return range(first, first + len(lines)), lines


@scenario(FILES, "deletes a segment and acknowledges that behind the last checkpoint", ACCEPTED, 4)
def _(one: Attacker) -> None:
    missing, _ = _lost(one)
    acknowledge(one, missing)
    del one.segments[-1][-1:]


@scenario(FILES, "deletes a segment, acknowledges that and signs it with keys of his own", ACCEPTED, 4)
def _(one: Attacker) -> None:
    missing, _ = _lost(one)
    acknowledge(one, missing, SigningKey(ORIGIN, b"U" * 32), epoch_key(2, 66))


@scenario(FILES, "deletes a segment, and writes the acknowledgement over a signed entry", ACCEPTED, 1)
def _(one: Attacker) -> None:
    missing, _ = _lost(one)
    lines = one.segments[-1]
    log = _behind(lines[-4])
    follows = [one.segments[0][-1][15:79].decode("ascii")]
    log.security("break_acknowledged", by="m", follows=follows, missing=[[missing.start, missing[-1]]], note="")
    log.security("gateway_stopped", reason="nothing to see")
    log.note(note_in(lines[-1]))
    lines[-3:] = log.lines


@scenario(FILES, "deletes more than an acknowledgement names", ACCEPTED, 4)
def _(one: Attacker) -> None:
    missing, _ = _lost(one)
    acknowledge(one, missing)
    del one.segments[0][-1]


@scenario(FILES, "deletes a segment of which an acknowledgement names more", ACCEPTED, 4)
def _(one: Attacker) -> None:
    missing, _ = _lost(one)
    acknowledge(one, range(missing.start - 2, missing.stop))


@scenario(FILES, "fills a part of what an acknowledgement names with entries of his own", ACCEPTED, 4)
def _(one: Attacker) -> None:
    missing, _ = _lost(one)
    acknowledge(one, missing)
    log = _behind(one.segments[0][-1])
    log.call(66)
    one.segments[0] += log.lines


@scenario(FILES, "fills all that an acknowledgement names with entries of his own", ACCEPTED, 1)
def _(one: Attacker) -> None:
    missing, lines = _lost(one)
    acknowledge(one, missing)
    one.segments[0] += relink([one.segments[0][-1], *map(change, lines)], 1)[1:]


@scenario(FILES, "changes the last entry before what an acknowledgement names, which no checkpoint covers", ACCEPTED, 4)
def _(one: Attacker) -> None:
    missing, _ = _lost(one)
    acknowledge(one, missing)
    log = _behind(one.segments[0][-2])
    log.security("gateway_stopped", reason="nothing to see")
    one.segments[0][-1:] = log.lines


@scenario(FILES, "ends a segment that he has cut in a torn line that is acknowledged", ACCEPTED, 4)
def _(one: Attacker) -> None:
    missing, lines = _lost(one)
    torn = lines[-1][:99]
    acknowledge(one, missing, missing=[], torn=[sha256(torn).hexdigest()])
    one.segments[0].append(torn)


@scenario(FILES, "rewrites everything as a log that is not signed, with a gap and an acknowledgement", ACCEPTED, 4)
def _(one: Attacker) -> None:
    one.replace(small_log(9))
    log = LogBuilder(Head(40, "ab" * 32))
    log.security("break_acknowledged", by="m", note="", missing=[[19, 40]], follows=[one.lines[-1][15:79].decode()])
    one.segments[0] += log.lines


@scenario(FILES, "damages an entry that an acknowledgement names", ACCEPTED, 3)
def _(one: Attacker) -> None:
    s, at = a_call(one)
    acknowledge(one, range(len(one.segments[0]), len(one.segments[0]) + 1))
    one.segments[s][at] = b"null\n"


def _handed_over(one: Attacker) -> int:
    """Return how many entries there are up to the handover to today's epoch."""
    return 1 + next(at for at, line in enumerate(one.lines) if b'"event_type":"checkpoint"' in line and b"/e/2" in line)


def _edited(event: dict[str, Any]) -> dict[str, Any]:
    edited: dict[str, Any] = json.loads(json.dumps(event).replace("notes/", "votes/"))
    return edited


def _copy(log: SignedBuilder) -> SignedBuilder:
    """Return a builder at the same place, so that what it appends is not in the log."""
    copy = SignedBuilder()
    copy.tree, copy.head, copy.epoch_keys = log.tree, log.head, list(log.epoch_keys)
    return copy


def _continued(one: Attacker, notes: list[str]) -> list[bytes]:
    """Return checkpoint entries with these notes behind the last entry."""
    log = signer(one, len(one.lines))
    log.lines = []
    for note in notes:
        log.note(note)
    return log.lines


def _with_notes(one: Attacker, forge: Callable[[str], str]) -> None:
    """Change every note, and recompute the chain."""

    def rewrite(log: SignedBuilder, seq: int, entry: dict[str, Any]) -> None:
        event = entry["event"]
        if entry["event_type"] == "checkpoint":
            event = {"note": forge(event["note"])}
        log.add(entry["event_type"], event, entry.get("trace_id"))

    one.rebuild(rewrite, SignedBuilder())


def _behind(line: bytes) -> SignedBuilder:
    """Return a builder that goes on behind this line, with no more than it says."""
    log = SignedBuilder()
    log.head = Head(json.loads(line)["seq"], line[15:79].decode("ascii"))
    return log


def _renumbered(lines: list[bytes]) -> list[bytes]:
    numbered = [re.sub(rb'"seq":[0-9]+,"session', b'"seq":%d,"session' % at, line) for at, line in enumerate(lines)]
    return relink(numbered, 1)


TABLE: Final = ROOT / "docs" / "explanation" / "threat-model.md"


@pytest.mark.parametrize("number", range(1, len(SCENARIOS) + 1))
def test_the_attacker_does_not_win(tmp_path: Path, number: int) -> None:
    scenario = SCENARIOS[number - 1]
    attacker = honest(tmp_path)
    scenario.act(attacker)
    attacker.put()
    outcome = attacker.verify(scenario.view)
    assert (outcome.status, outcome.json["exit_code"]) == (scenario.status, scenario.status), outcome.stdout
    # What a weaker view cannot see is pinned as well, and its level says so.
    for view in scenario.unseen:
        outcome = attacker.verify(view)
        assert outcome.status == 0, f"{view} sees it: {outcome.stdout}"
        assert outcome.json["not_shown"] == Level[outcome.json["assurance"]].not_shown


def test_the_honest_log_is_valid_in_every_view(tmp_path: Path) -> None:
    attacker = honest(tmp_path)
    views = ("A0", "A0, --from-genesis", "sidecar", "A1", "A2", "A2, --max-uncovered 300", "A3", "A4", "state")
    assert {view: attacker.verify(view).status for view in views} == dict.fromkeys(views, 0)


def test_what_a_person_has_acknowledged_and_nobody_has_touched_is_accepted(tmp_path: Path) -> None:
    attacker = honest(tmp_path)
    missing, _ = _lost(attacker)
    acknowledge(attacker, missing)
    attacker.put()
    assert [attacker.verify(view).status for view in (ACCEPTED, "A0", "A1")] == [0, 4, 4]


def test_the_two_that_no_level_without_keys_can_see_are_owned_up_to(tmp_path: Path) -> None:
    assert "rewritten from some entry on" in Level.A0.not_shown
    assert "a tail that was cut off" in Level.A0.not_shown
    rewritten, cut = honest(tmp_path), signed_log(1).lines
    for lines in (small_log(9), cut[:-1]):
        rewritten.replace(lines)
        rewritten.put()
        outcome = rewritten.verify("A0")
        assert (outcome.status, outcome.json["not_shown"]) == (0, Level.A0.not_shown)


def test_the_page_for_people_has_the_same_scenarios() -> None:
    rows = [
        f"| {number} | {one.holds} | {one.does} | {one.view} | {one.status} | {', '.join(one.unseen) or '–'} |"
        for number, one in enumerate(SCENARIOS, 1)
    ]
    table = TABLE.read_text(encoding="utf-8").partition("| # | holds | does | caught by | status | not by |\n")[2]
    assert table.partition("\n\n")[0].rstrip("\n").split("\n")[1:] == rows
    assert len(rows) >= 50
    assert f"[{len(rows)} ways to cheat]" in TABLE.parents[2].joinpath("README.md").read_text(encoding="utf-8")
