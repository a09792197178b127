"""A ledger as an earlier verification has left it, in plain JSON values."""

from __future__ import annotations

from typing import Any

from aegis_audit.chain import Head
from aegis_audit.checkpoint import Checkpoint
from aegis_audit.checks.ledger import Ledger, Seal, log_keys
from aegis_audit.epoch import EpochChain, Term
from aegis_audit.errors import AuditError
from aegis_audit.finding import Place
from aegis_audit.note import Note, VerifierKey
from aegis_audit.tree import CompactRange
from aegis_audit.trust import Trust


def save(ledger: Ledger) -> dict[str, Any]:
    """Return what a later verification needs to go on behind the last entry."""
    chain, sealed = ledger.chain, ledger.sealed
    return {
        "busy": ledger.busy,
        "roots": {str(size): root.hex() for size, root in ledger.roots.items()},
        "tree": [node.hex() for node in ledger.tree.hashes],
        "log_key": str(chain.log_key) if chain else None,
        "terms": [[term.epoch, str(term.key), term.since] for term in chain.terms] if chain else [],
        "announced": [chain.announced[0], str(chain.announced[1])] if chain and chain.announced else None,
        "note": str(sealed.note) if sealed else None,
        "signed_at": sealed.time if sealed else "",
    }


def restore(origin: str | None, head: Head, saved: dict[str, Any], trust: Trust) -> Ledger | None:
    """Return the ledger that goes on behind `head`; None if what was saved does not say so.

    Where the epochs are not known, the keys that are trusted have to sign for it.
    """
    place = Place("the earlier verification", seq=head.seq)
    try:
        tree = CompactRange.decode(head.seq + 1, b"".join(bytes.fromhex(node) for node in saved["tree"]))
        ledger = Ledger.begin(place, origin, head.entry_hash, tree)
        ledger.is_verified_before, ledger.busy = True, int(saved["busy"])
        ledger.roots = {int(size): bytes.fromhex(root) for size, root in saved["roots"].items()}
        if saved["log_key"] and origin:
            terms = tuple(Term(int(one[0]), VerifierKey.parse(one[1]), int(one[2])) for one in saved["terms"])
            announced = saved["announced"]
            next_key = (int(announced[0]), VerifierKey.parse(announced[1])) if announced else None
            ledger.chain = EpochChain(origin, VerifierKey.parse(saved["log_key"]), terms, next_key)
        if saved["note"]:
            note = Note.parse(saved["note"].encode("utf-8"))
            checkpoint = Checkpoint.parse(note.text)
            chain = ledger.chain
            signers = chain.signers(note, checkpoint) if chain else log_keys(trust, checkpoint.origin)
            ledger.waiting = Seal(checkpoint, note, signers, place, str(saved["signed_at"]))
    except (AuditError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return ledger
