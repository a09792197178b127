"""What can be shown about a log to somebody who does not have it: its head, an entry, and that it only grew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.entry import Entry
from aegis_audit.epoch import is_name_of
from aegis_audit.errors import FalseProof, MalformedEntry, MalformedNote, Unprovable
from aegis_audit.headline import Headline
from aegis_audit.note import KeyKind, Note, VerifierKey
from aegis_audit.proof import TlogProof
from aegis_audit.segment import Segment
from aegis_audit.tree import EMPTY, consistency_proof, inclusion_proof, is_consistent, is_included
from aegis_audit.walk import Walk

Progress = Callable[[int], None]


def head_of(segments: Sequence[Segment], progress: Progress) -> Headline:
    """Return the head of a log.

    Raises:
        Unprovable: it is not one log whose entries follow from each other.
    """
    walk = Walk(segments, progress)
    tree = EMPTY.extend(bytes.fromhex(found.entry.entry_hash) for found in walk.entries())
    if walk.origin is None:
        raise Unprovable("the log does not say which it is: no segment of it begins with its opening")
    root = tree.root() if walk.first_seq == 0 else None
    return Headline(walk.origin, walk.head.seq + 1, root, walk.head.entry_hash)


def latest_checkpoint(segments: Sequence[Segment], progress: Progress) -> Note:
    """Return the last checkpoint in a log.

    Raises:
        Unprovable: there is none.
        MalformedNote: what stands in its place is none.
    """
    text: object = None
    for found in Walk(segments, progress).entries():
        if found.entry.event_type == "checkpoint":
            text = found.entry.event.get("note")
    if not isinstance(text, str):
        raise Unprovable("there is no checkpoint in the log: name one with --checkpoint")
    return Note.parse(text.encode("utf-8", "surrogatepass"))


def prove(segments: Sequence[Segment], seq: int, note: Note, progress: Progress) -> TlogProof:
    """Return the proof that entry `seq` is in the tree of a checkpoint.

    Raises:
        Unprovable: the checkpoint does not cover the entry, or entries that it covers are missing.
        FalseProof: the checkpoint is not one of this log.
    """
    checkpoint, walk = Checkpoint.parse(note.text), Walk(segments, progress)
    if seq >= checkpoint.size:
        raise Unprovable(f"the checkpoint covers {checkpoint.size} entries, and entry {seq} came later")
    hashes = inclusion_proof(walk.leaves(keep=seq), seq, checkpoint.size)
    proof = TlogProof(seq, hashes, note, walk.kept[:-1])
    if walk.origin != checkpoint.origin or not _fits(proof, checkpoint):
        raise FalseProof(f"the checkpoint of {checkpoint.size} entries of {checkpoint.origin!r} is not one of this log")
    return proof


def check(proof: TlogProof, keys: Sequence[VerifierKey]) -> tuple[Entry, Checkpoint, list[VerifierKey]]:
    """Return the entry that a proof shows, the checkpoint, and which of the keys have signed that.

    Raises:
        FalseProof: the entry is not in the tree of the checkpoint.
        ForgedSignature: a line of one of the keys does not verify.
        Unprovable: no key of the log is among those that have signed, or there is no entry in the proof.
    """
    checkpoint = Checkpoint.parse(proof.note.text)
    signers = signers_of(proof.note, checkpoint, keys)
    entry = _entry_of(proof)
    if not _fits(proof, checkpoint):
        raise FalseProof(f"entry {entry.seq} is not in the tree of the {checkpoint.size} entries of the checkpoint")
    return entry, checkpoint, signers


def extends(
    old: Note, new: Note, keys: Sequence[VerifierKey], hashes: Callable[[int, int], tuple[bytes, ...]]
) -> tuple[Checkpoint, Checkpoint, tuple[bytes, ...]]:
    """Return two checkpoints of one log, the smaller first, and the proof that the larger extends it.

    `hashes` gives the proof for an old and a new size that differ. Signatures are looked at if there are keys.

    Raises:
        FalseProof: they are not of one log that only grew.
        ForgedSignature, Unprovable: as `check` does.
    """
    notes = [(Checkpoint.parse(note.text), note) for note in (old, new)]
    if keys:
        for checkpoint, note in notes:
            signers_of(note, checkpoint, keys)
    first, second = sorted((checkpoint for checkpoint, _ in notes), key=lambda one: one.size)
    if first.origin != second.origin:
        raise FalseProof(f"one checkpoint is of {first.origin!r}, the other of {second.origin!r}")
    if first.size == second.size and first.root != second.root:
        raise FalseProof(f"two checkpoints of {first.size} entries with different roots: the log was forked")
    proof = () if first.size in {0, second.size} else hashes(first.size, second.size)
    if not is_consistent(first.size, first.root, second.size, second.root, proof):
        raise FalseProof(f"the tree of {second.size} entries is not shown to extend that of {first.size}")
    return first, second, proof


def growth(segments: Sequence[Segment], old_size: int, new_size: int, progress: Progress) -> tuple[bytes, ...]:
    """Return the consistency proof between two sizes of a log.

    Raises:
        Unprovable: entries that the larger tree covers are missing.
    """
    return consistency_proof(Walk(segments, progress).leaves(), old_size, new_size)


def signers_of(note: Note, checkpoint: Checkpoint, keys: Sequence[VerifierKey]) -> list[VerifierKey]:
    """Return which of the keys have signed a checkpoint, at least one of which is a key of its log.

    Raises:
        ForgedSignature: a line of one of the keys does not verify.
        Unprovable: none of them is a key of the log and has signed.
    """
    signers = list(note.signed_by(keys))
    if not any(key.kind is KeyKind.ED25519 and is_name_of(checkpoint.origin, key.name) for key in signers):
        raise Unprovable(f"none of the keys that were given is one of {checkpoint.origin!r:.300} and has signed")
    return signers


def _entry_of(proof: TlogProof) -> Entry:
    if proof.extra is None:
        raise Unprovable("there is no entry in the proof")
    try:
        entry = Entry.parse(proof.extra + b"\n")
    except MalformedEntry as exc:
        raise MalformedNote(f"what the proof is about is no entry: {exc}") from exc
    if not entry.has_its_hash or entry.seq != proof.index:
        raise FalseProof(f"the entry in the proof is not entry {proof.index} as its hash has it")
    return entry


def _fits(proof: TlogProof, checkpoint: Checkpoint) -> bool:
    leaf = bytes.fromhex(_entry_of(proof).computed_hash)
    return is_included(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
