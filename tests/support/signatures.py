"""Keys in a temporary place, and what the checkpoints of a log are worth: judged by its entries alone."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.entry import Entry
from aegis_audit.epoch import EpochChain, Roots
from aegis_audit.note import Note
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.signing import Keys
from aegis_mcp.settings import Rotation, Signatures
from support.journals import entries, journal, log_of


def keys_of(directory: Path, mode: Signatures = Signatures.REQUIRED, said: list[str] | None = None) -> Keys:
    """Return the keys of logs in a directory; what a person is told is appended to `said`."""
    return Keys(mode, (said if said is not None else []).append, directory / "keys")


_NEVER: Final = Rotation()


def signed_journal(directory: Path, rotation: Rotation = _NEVER, keys: Keys | None = None) -> Journal:
    """Return a journal that signs the log of a directory."""
    return journal(directory, rotation, keys or keys_of(directory))


def root_of(leaves: list[bytes]) -> bytes:
    """Return the root of a tree, by the recursion of RFC 6962 §2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256().digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + root_of(leaves[:split]) + root_of(leaves[split:])).digest()


def judge(*segments: Path) -> tuple[int, int]:
    """Hold every checkpoint in a log to its entries and its keys.

    Return how many entries the last one covers, and the number of the epoch in office at the end.
    """
    by_seq = {entry.seq: entry for entry in entries(*segments)}
    log = [by_seq[seq] for seq in sorted(by_seq)]
    leaves = [bytes.fromhex(entry.entry_hash) for entry in log]
    chain: EpochChain | None = None
    covered = 0
    for entry in log:
        if chain is None:
            chain = _begin(entry)
        elif entry.kind == "key_epoch":
            chain = chain.announce(entry.seq, entry.event)
        elif entry.event_type == "checkpoint":
            note = Note.parse(entry.event["note"].encode())
            checkpoint = Checkpoint.parse(note.text)
            assert checkpoint.size == entry.seq
            assert checkpoint.root == root_of(leaves[: entry.seq])
            chain = chain.admit(note, checkpoint)
            covered = checkpoint.size
    assert chain, "the log is not signed"
    return covered, chain.office.epoch


def _begin(entry: Entry) -> EpochChain | None:
    if entry.kind not in {"log_opened", "key_epoch"}:
        return None
    roots = Roots.declared_in(entry.event["origin"], entry.event)
    return EpochChain.begin(entry.event["origin"], roots) if roots else None


def published(directory: Path) -> Checkpoint:
    """Return the checkpoint that stands beside the log."""
    return Checkpoint.parse(Note.parse((log_of(directory).parent / "audit.tlog" / "checkpoint").read_bytes()).text)
