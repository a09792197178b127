"""Checkpoints from beside a log, held against its tree, its epochs, and the witnesses and authorities that count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from aegis_audit.anchor import Anchor
from aegis_audit.checks.known import Known, Standing
from aegis_audit.checks.ledger import Ledger
from aegis_audit.errors import BrokenSuccession, ForgedSignature, ForgedStamp, UnprovenStamp
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.note import Signature
from aegis_audit.timestamp import Stamp
from aegis_audit.trust import Trust
from aegis_audit.witness import NO_QUORUM, Witness


@dataclass(frozen=True, slots=True)
class Anchoring:
    """An anchor, and how the log stands to it: `found` says what is there, `ledger` has its root at its size.

    `cosigned` are the witnesses whose cosignatures verify; `is_witnessed` if they are the quorum. `stamp` is what its
    token proves, `unproven` why it proves nothing.
    """

    anchor: Anchor
    standing: Standing
    found: str = ""
    ledger: Ledger | None = None
    wrong: Finding | None = None
    cosigned: tuple[tuple[Witness, Signature], ...] = ()
    is_witnessed: bool = False
    stamp: Stamp | None = None
    unproven: str = ""

    @property
    def covered(self) -> range:
        """Return the entries that the anchor vouches for."""
        return range(self.ledger.first, self.anchor.checkpoint.size) if self.ledger else range(0)

    def finding(self, code: FindingCode, why: str = "") -> Finding:
        """Return the finding that this is, and why it may be so."""
        return _finding(self.anchor, code, f"{self.found}; {why}" if why else self.found)


def hold(anchor: Anchor, ledgers: Sequence[Ledger], ends: Mapping[str | None, int], trust: Trust) -> Anchoring:
    """Hold an anchor against the ledgers; `ends` says how many entries each log has, by its origin."""
    checkpoint = anchor.checkpoint
    holding = [one for one in ledgers if one.origin == checkpoint.origin and checkpoint.size in one.roots]
    for ledger in holding:
        root = ledger.roots[checkpoint.size]
        if root != checkpoint.root:
            wrong = _finding(anchor, FindingCode.FALSE_CHECKPOINT, f"root {root.hex()}")
            return Anchoring(anchor, Standing.CONTRADICTED, wrong=wrong)
    if holding:
        held = _vouch(Anchoring(anchor, Standing.HELD, ledger=holding[0]), holding[0], trust)
        return held if held.wrong or anchor.token is None else _stamped(held, anchor.token, trust)
    if ends and checkpoint.origin not in ends and None not in ends:
        return Anchoring(anchor, Standing.FOREIGN, f"entries of {', '.join(map(repr, ends))}"[:300])
    end = ends.get(checkpoint.origin, ends.get(None, 0))
    found = f"entry {end - 1} as the last" if end else "no entry"
    return Anchoring(anchor, Standing.CUT_OFF if end < checkpoint.size else Standing.NOT_GIVEN, found)


def check_anchor(anchoring: Anchoring) -> Finding | None:
    """Return what is wrong where a log is known to have had the checkpoint."""
    match anchoring.standing:
        case Standing.HELD | Standing.CONTRADICTED:
            return anchoring.wrong
        case Standing.FOREIGN:
            return anchoring.finding(FindingCode.REPLACED)
        case Standing.CUT_OFF if anchoring.found != "no entry":
            return anchoring.finding(FindingCode.ROLLED_BACK)
        case Standing.CUT_OFF | Standing.NOT_GIVEN:
            return anchoring.finding(FindingCode.SHORT_OF_HEAD)


def check_roots(heads: Sequence[Known], ledgers: Sequence[Ledger]) -> Iterator[Finding]:
    """Yield where a head that was kept elsewhere names another root than the tree has at its size."""
    for known in heads:
        size = known.head.seq + 1
        for ledger in ledgers:
            root = ledger.roots.get(size) if ledger.origin == known.origin else None
            if root and known.root and root != known.root:
                expected = f"root {known.root.hex()} over {size} entries, known from {known.source}"
                place = Place(ledger.place.path, seq=known.head.seq)
                yield Finding(FindingCode.FALSE_HEAD, place, expected, f"root {root.hex()}")


def _vouch(held: Anchoring, ledger: Ledger, trust: Trust) -> Anchoring:
    """Judge who has signed a checkpoint that has the right root."""
    anchor = held.anchor
    try:
        if ledger.chain:
            ledger.chain.judge(anchor.note, anchor.checkpoint)
        return _witnessed(held, trust)
    except BrokenSuccession as exc:
        place, code = _place(anchor), FindingCode.BROKEN_SUCCESSION
        wrong = Finding(code, place, exc.expected, exc.found)
    except ForgedSignature as exc:
        place, code = _place(anchor), FindingCode.FALSE_SIGNATURE
        wrong = Finding(code, place, f"the signature of {exc.name!r}", "one that does not verify")
    return Anchoring(anchor, Standing.CONTRADICTED, wrong=wrong)


def _witnessed(held: Anchoring, trust: Trust) -> Anchoring:
    """Count the witnesses; what their names and ids do not say is nobody's signature."""
    policy, note = trust.witnesses, held.anchor.note
    if policy is None:
        return held
    made = note.signed_by([witness.key for witness in policy.witnesses])
    logs = [key for key in policy.logs if key.name == held.anchor.checkpoint.origin]
    is_known = not policy.logs or bool(note.signed_by(logs))
    is_witnessed = is_known and policy.quorum != NO_QUORUM and policy.is_reached(made)
    cosigned = tuple((witness, made[witness.key]) for witness in policy.witnesses if witness.key in made)
    return replace(held, cosigned=cosigned, is_witnessed=is_witnessed)


def _stamped(held: Anchoring, token: bytes, trust: Trust) -> Anchoring:
    """Judge the time stamp of a checkpoint that the log holds."""
    if trust.authorities is None:
        return replace(held, unproven="no certificate of an authority was given")
    try:
        return replace(held, stamp=trust.authorities.judge(token, held.anchor.raw))
    except UnprovenStamp as exc:
        return replace(held, unproven=str(exc))
    except ForgedStamp as exc:
        place = Place(str(held.anchor.token_path), seq=held.anchor.checkpoint.size)
        return replace(held, wrong=Finding(FindingCode.FALSE_STAMP, place, exc.expected, exc.found))


def _finding(anchor: Anchor, code: FindingCode, found: str) -> Finding:
    expected = f"root {anchor.checkpoint.root.hex()} over {anchor.checkpoint.size} entries"
    return Finding(code, _place(anchor), expected, found)


def _place(anchor: Anchor) -> Place:
    return Place(str(anchor.path), seq=anchor.checkpoint.size)
