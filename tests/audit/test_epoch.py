"""Who may sign at which size: each rule of decision 6, and what a thief of the key in office cannot do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.epoch import EpochChain, Roots, Term, epoch_name, epoch_of
from aegis_audit.errors import BrokenSuccession, ForgedSignature
from aegis_audit.note import KeyKind, Note, Signature, SigningKey, VerifierKey, sign

ORIGIN: Final = "aegis.example/host/7f3a"
LOG: Final = SigningKey(ORIGIN, bytes(32))
WITNESS: Final = SigningKey("witness.example/w1", bytes([200]) * 32)


def key_of(epoch: int, make: int = 0) -> SigningKey:
    return SigningKey(epoch_name(ORIGIN, epoch), bytes([epoch + 1, make]) * 16)


def announcement(epoch: int, make: int = 0) -> dict[str, object]:
    return {"kind": "key_epoch", "epoch": epoch, "epoch_key": str(key_of(epoch, make).verifier)}


def signed(size: int, *keys: SigningKey, origin: str = ORIGIN) -> tuple[Note, Checkpoint]:
    checkpoint = Checkpoint(origin, size, bytes(32))
    return sign(checkpoint.text, keys), checkpoint


ROOTS: Final = Roots(LOG.verifier, key_of(0).verifier)
BEGUN: Final = EpochChain.begin(ORIGIN, ROOTS)
# Epoch 1 was announced by entry 10 and took over with the checkpoint of 11 entries, epoch 2 by 20 and 21.
FIRST: Final = BEGUN.announce(10, announcement(1)).admit(*signed(11, LOG, key_of(0), key_of(1)))
SECOND: Final = FIRST.announce(20, announcement(2)).admit(*signed(21, LOG, key_of(1), key_of(2)))


def test_a_log_declares_its_roots_and_they_read_back() -> None:
    assert Roots.declared_in(ORIGIN, {"kind": "log_opened", "origin": ORIGIN, **ROOTS.members}) == ROOTS
    assert Roots.declared_in(ORIGIN, {"kind": "log_opened", "origin": ORIGIN}) is None


@pytest.mark.parametrize(
    "members",
    [
        {"log_key": str(LOG.verifier)},
        {"epoch_key": str(key_of(0).verifier)},
        {**ROOTS.members, "epoch_key": str(key_of(1).verifier)},
        {**ROOTS.members, "log_key": str(WITNESS.verifier)},
        {**ROOTS.members, "log_key": str(VerifierKey(ORIGIN, LOG.verifier.public, KeyKind.COSIGNATURE))},
        {**ROOTS.members, "log_key": None},
        {**ROOTS.members, "log_key": 1},
        {**ROOTS.members, "log_key": "\u001b[2J"},
    ],
)
def test_roots_that_are_not_two_keys_of_the_log_are_refused(members: dict[str, object]) -> None:
    with pytest.raises(BrokenSuccession):
        Roots.declared_in(ORIGIN, members)


@pytest.mark.parametrize(
    ("origin", "name", "epoch"),
    [
        (ORIGIN, ORIGIN, None),
        (ORIGIN, epoch_name(ORIGIN, 0), 0),
        (ORIGIN, epoch_name(ORIGIN, 12), 12),
        (ORIGIN, epoch_name(ORIGIN, 10**20 - 1), 10**20 - 1),
        (ORIGIN, epoch_name(ORIGIN, 10**20), None),
        (ORIGIN, f"{ORIGIN}/e/", None),
        (ORIGIN, f"{ORIGIN}/e/x", None),
        (ORIGIN, epoch_name("other.example/log", 1), None),
        ("7", "7", None),
    ],
)
def test_an_epoch_is_told_from_the_name_of_its_key(origin: str, name: str, epoch: int | None) -> None:
    assert epoch_of(origin, name) == epoch


def test_each_handover_begins_a_term_at_the_size_of_its_checkpoint() -> None:
    begun = EpochChain.begin(ORIGIN, ROOTS)
    assert (begun.terms, begun.announced) == ((Term(0, key_of(0).verifier, 0),), None)
    assert SECOND.terms == tuple(Term(n, key_of(n).verifier, since) for n, since in enumerate((0, 11, 21)))
    assert SECOND.announced is None


@pytest.mark.parametrize(
    ("size", "epochs"),
    [(1, (0,)), (10, (0,)), (11, (0, 1)), (12, (1,)), (20, (1,)), (21, (1, 2)), (22, (2,)), (9_999, (2,))],
)
def test_the_epoch_in_office_at_a_size_signs_it_and_both_sign_a_handover(size: int, epochs: tuple[int, ...]) -> None:
    assert SECOND.judge(*signed(size, LOG, *map(key_of, epochs)))
    assert SECOND.judge(*signed(size, WITNESS, *map(key_of, epochs[::-1]), LOG))


# By a key that is not in office: every size, every set of epochs. The one before may stand beside that in office.
ALLOWED: Final = {
    1: [{0}],
    10: [{0}],
    11: [{0, 1}],
    12: [{1}, {0, 1}],
    20: [{1}, {0, 1}],
    21: [{1, 2}],
    22: [{2}, {1, 2}],
}


@pytest.mark.parametrize("size", ALLOWED)
def test_no_other_epoch_signs_alone_or_beside_it(size: int) -> None:
    accepted: list[set[int]] = []
    for bits in range(16):
        epochs = {epoch for epoch in range(4) if bits >> epoch & 1}
        try:
            SECOND.judge(*signed(size, LOG, *map(key_of, epochs)))
        except BrokenSuccession:
            continue
        accepted.append(epochs)
    assert sorted(map(sorted, accepted)) == sorted(map(sorted, ALLOWED[size]))


def broken(act: Callable[[], object]) -> str:
    with pytest.raises(BrokenSuccession) as caught:
        act()
    return f"{caught.value.expected} | {caught.value.found}"


def test_what_is_missing_and_what_is_too_much_is_named() -> None:
    assert broken(lambda: SECOND.judge(*signed(12, LOG))) == f"a signature by '{ORIGIN}/e/1' at size 12 | none"
    assert broken(lambda: SECOND.judge(*signed(12, key_of(1)))) == f"a signature by '{ORIGIN}' at size 12 | none"
    later = key_of(2).verifier.key_id.hex()
    assert broken(lambda: SECOND.judge(*signed(12, LOG, key_of(1), key_of(2)))) == (
        f"signatures by '{ORIGIN}' and '{ORIGIN}/e/1' at size 12 | one by key {later} of '{ORIGIN}/e/2'"
    )


def test_a_later_key_over_an_earlier_range_is_refused() -> None:
    broken(lambda: SECOND.judge(*signed(5, LOG, key_of(2))))
    broken(lambda: SECOND.judge(*signed(5, LOG, key_of(0), key_of(2))))


def test_an_epoch_cannot_be_skipped_taken_back_or_named_oddly() -> None:
    for epoch in (0, 2, 3, -1, 10**30):
        event = announcement(1) | {"epoch": epoch}
        broken(lambda event=event: BEGUN.announce(10, event))
    for event in (
        announcement(1) | {"epoch": True},
        announcement(1) | {"epoch": "1"},
        announcement(1) | {"epoch": 1.0},
        announcement(1) | {"epoch": [1]},
        {"epoch": True, "epoch_key": str(SigningKey(epoch_name(ORIGIN, epoch=True), bytes(32)).verifier)},
        {"kind": "key_epoch", "epoch": 1},
        announcement(1) | {"epoch_key": str(key_of(2).verifier)},
        announcement(1) | {"epoch_key": str(SigningKey("other.example/e/1", bytes(32)).verifier)},
        announcement(1) | {"epoch_key": ["\u202e"]},
    ):
        broken(lambda event=event: BEGUN.announce(10, event))
    broken(lambda: FIRST.announce(20, announcement(0)))


def test_two_keys_for_one_epoch_are_refused_and_the_same_one_again_is_not() -> None:
    """A crash during a handover makes the writer announce again; the first announcement stays the one that counts."""
    announced = BEGUN.announce(10, announcement(1))
    assert announced.announce(12, announcement(1)) == announced
    broken(lambda: announced.announce(12, announcement(1, make=1)))
    assert announced.announce(12, announcement(0)) == announced
    broken(lambda: announced.announce(12, announcement(0, make=1)))
    assert FIRST.announce(12, announcement(1)) == FIRST
    broken(lambda: FIRST.announce(12, announcement(1, make=1)))


def test_a_handover_is_signed_by_the_old_key_and_the_new() -> None:
    announced = BEGUN.announce(10, announcement(1))
    for keys in ((LOG, key_of(0)), (LOG, key_of(1)), (key_of(0), key_of(1)), (LOG, key_of(0), key_of(1, make=1))):
        broken(lambda keys=keys: announced.admit(*signed(11, *keys)))
        broken(lambda keys=keys: announced.admit(*signed(300, *keys)))
    assert announced.admit(*signed(10, LOG, key_of(0))) == announced  # does not cover the announcement
    assert announced.admit(*signed(300, LOG, key_of(0), key_of(1))).office == Term(1, key_of(1).verifier, 300)


def test_a_handover_is_no_ones_that_was_not_announced() -> None:
    broken(lambda: BEGUN.admit(*signed(11, LOG, key_of(0), key_of(1))))


def test_a_thief_of_the_key_in_office_cannot_go_on_from_an_earlier_border() -> None:
    """CVE-2023-31438: cut the log before a handover, and go on with the key that was stolen later."""
    stolen = (LOG, key_of(2))
    cut = FIRST  # the log up to the end of epoch 1's first checkpoint
    broken(lambda: cut.admit(*signed(15, *stolen)))
    broken(lambda: cut.announce(15, announcement(2)).admit(*signed(16, *stolen)))
    broken(lambda: cut.announce(15, announcement(2, make=1)).admit(*signed(16, *stolen, key_of(2, make=1))))
    broken(lambda: BEGUN.admit(*signed(5, *stolen)))
    broken(lambda: BEGUN.announce(5, announcement(1, make=1)).admit(*signed(6, *stolen, key_of(1, make=1))))


def test_another_key_of_a_known_name_is_refused_and_a_witness_of_any_name_is_not() -> None:
    for stranger in (
        SigningKey(ORIGIN, bytes([9]) * 32),
        key_of(1, make=1),
        key_of(7),
        SigningKey(f"{ORIGIN}/e/x", bytes(32)),
    ):
        broken(lambda stranger=stranger: FIRST.judge(*signed(12, LOG, key_of(1), stranger)))
    for witness in (WITNESS, SigningKey(f"{ORIGIN}0", bytes(32)), SigningKey(f"{ORIGIN}/w", bytes(32))):
        assert FIRST.judge(*signed(12, LOG, key_of(1), witness))


def test_a_line_of_a_known_key_that_does_not_verify_is_a_forgery() -> None:
    note, checkpoint = signed(12, LOG, key_of(1))
    for n, made in enumerate(note.signatures):
        lines = list(note.signatures)
        lines[n] = Signature(made.name, made.key_id, bytes(64))
        with pytest.raises(ForgedSignature):
            FIRST.judge(Note(note.text, tuple(lines)), checkpoint)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    broken(lambda: FIRST.judge(*signed(12, LOG, key_of(1), origin="other.example/log")))


def test_a_chain_that_is_known_from_a_later_epoch_on_does_not_judge_what_was_before() -> None:
    known = EpochChain(ORIGIN, LOG.verifier, (Term(1, key_of(1).verifier, 11),))
    assert not known.judge(*signed(5, LOG, key_of(0)))
    assert known.judge(*signed(12, LOG, key_of(1)))
    assert known.announce(20, announcement(2)).admit(*signed(21, LOG, key_of(1), key_of(2))).office == SECOND.office
