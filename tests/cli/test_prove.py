"""`prove`: an entry goes to a third party with all that is needed to believe it, and nothing near it is believed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from aegis_audit.errors import MalformedNote
from aegis_audit.note import KeyKind, Note, Signature, SigningKey, VerifierKey, sign
from aegis_audit.proof import TlogProof
from support.auditor import Outcome, audit
from support.logs import ORIGIN, reseal, write
from support.signed import SignedBuilder, note_in

LINE = 4


@pytest.fixture
def signed(tmp_path: Path) -> SignedBuilder:
    """Return a log of 13 entries: calls, a checkpoint, a handover and its checkpoint, and an intent after it."""
    log = SignedBuilder()
    log.open_log()
    for number in range(3):
        log.call(number)
    log.checkpoint()
    log.call(3)
    log.hand_over()
    log.intent(4)
    write(tmp_path / "audit.log", log.lines)
    return log


@pytest.fixture
def proof(signed: SignedBuilder, tmp_path: Path) -> Path:
    made = audit("prove", str(LINE), tmp_path / "audit.log", "-o", tmp_path / "4.tlog-proof")
    assert (made.status, made.stdout, made.stderr) == (0, "", "")
    return tmp_path / "4.tlog-proof"


def checked(proof: Path, *keys: object) -> Outcome:
    return audit("prove", "--check", proof, *(part for key in keys for part in ("--key", str(key))))


def test_a_proof_is_in_the_form_of_c2sp_and_holds_the_entry(signed: SignedBuilder, proof: Path) -> None:
    header, extra, index, *rest = proof.read_text(encoding="utf-8").split("\n")
    assert (header, index) == ("c2sp.org/tlog-proof@v1", f"index {LINE}")
    assert base64.b64decode(extra.removeprefix("extra ")) + b"\n" == signed.lines[LINE]
    gap = rest.index("")
    assert len(rest[:gap]) == 4
    note = Note.parse("\n".join(rest[gap + 1 :]).encode())
    assert [made.name for made in note.signatures] == [ORIGIN, f"{ORIGIN}/e/0", f"{ORIGIN}/e/1"]


def test_a_third_party_needs_the_proof_and_a_key_alone(signed: SignedBuilder, proof: Path, tmp_path: Path) -> None:
    (tmp_path / "audit.log").unlink()
    roots = signed.roots
    outcome = checked(proof, roots.log_key)
    assert (outcome.status, outcome.stderr) == (0, "")
    said, line = outcome.stdout.splitlines()
    assert said == f"VALID  entry 4 is in the log {ORIGIN} of 11 entries, signed by {ORIGIN}"
    assert json.loads(line) == json.loads(signed.lines[LINE])
    (tmp_path / "both.keys").write_text(f"{roots.log_key}\n{roots.epoch_key}\n", encoding="utf-8")
    document = audit("prove", "--check", proof, "--key", tmp_path / "both.keys", "--format", "json")
    assert (document.status, document.json) == (
        0,
        {
            "origin": ORIGIN,
            "size": 11,
            "signed_by": [ORIGIN, f"{ORIGIN}/e/0"],
            "seq": 4,
            "entry": json.loads(signed.lines[LINE]),
            "exit_code": 0,
        },
    )


@pytest.mark.parametrize("seq", range(11))
def test_every_entry_under_the_checkpoint_can_be_proved(signed: SignedBuilder, tmp_path: Path, seq: int) -> None:
    made = audit("prove", str(seq), tmp_path / "audit.log")
    (tmp_path / "one").write_text(made.stdout, encoding="utf-8")
    outcome = checked(tmp_path / "one", signed.roots.epoch_key)
    assert (outcome.status, json.loads(outcome.stdout.splitlines()[1])["seq"]) == (0, seq)


def test_what_came_after_the_checkpoint_cannot_be_proved_yet(signed: SignedBuilder, tmp_path: Path) -> None:
    outcome = audit("prove", "11", tmp_path / "audit.log")
    assert (outcome.status, outcome.stdout) == (5, "")
    assert outcome.stderr == "aegis-audit: the checkpoint covers 11 entries, and entry 11 came later\n"


def test_a_checkpoint_may_be_named_and_must_be_one_of_the_log(signed: SignedBuilder, tmp_path: Path) -> None:
    note = Note.parse(note_in(signed.lines[7]).encode())
    (tmp_path / "earlier").write_bytes(note.encode())
    made = audit("prove", "4", tmp_path / "audit.log", "--checkpoint", tmp_path / "earlier")
    assert TlogProof.parse(made.stdout.encode()).note == note
    foreign = sign(note.text.replace(ORIGIN, "other.example/log"), [SigningKey.generate("other.example/log")])
    (tmp_path / "foreign").write_bytes(foreign.encode())
    outcome = audit("prove", "4", tmp_path / "audit.log", "--checkpoint", tmp_path / "foreign")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr == "aegis-audit: the checkpoint of 7 entries of 'other.example/log' is not one of this log\n"
    false = sign(note.text.replace("\n7\n", "\n6\n"), [SigningKey.generate(ORIGIN)])
    (tmp_path / "false").write_bytes(false.encode())
    outcome = audit("prove", "4", tmp_path / "audit.log", "--checkpoint", tmp_path / "false")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr == f"aegis-audit: the checkpoint of 6 entries of '{ORIGIN}' is not one of this log\n"


def test_a_log_without_a_checkpoint_or_with_a_break_proves_nothing(signed: SignedBuilder, tmp_path: Path) -> None:
    for lines, why in (
        (signed.lines[:7], "there is no checkpoint in the log"),
        (signed.lines[1:], "the log is there from entry 1 on"),
        ([*signed.lines[:2], *signed.lines[3:]], "entry 3 does not follow entry 1"),
        (
            [*signed.lines[:2], signed.lines[2].replace(b"ok", b"no"), *signed.lines[3:]],
            "does not follow entry 1",
        ),
        (
            [*signed.lines[:2], reseal(signed.lines[2].replace(b"ok", b"no")), *signed.lines[3:]],
            "entry 3 does not",
        ),
    ):
        write(tmp_path / "audit.log", lines)
        outcome = audit("prove", "1", tmp_path / "audit.log")
        assert (outcome.status, outcome.stdout) == (5, "")
        assert why in outcome.stderr


def test_a_proof_of_something_else_is_told_from_one_that_says_nothing(
    signed: SignedBuilder, proof: Path, tmp_path: Path
) -> None:
    """What contradicts is 1, what is no proof is 3, and what nobody known has signed is 5."""
    key = signed.roots.log_key
    true = TlogProof.parse(proof.read_bytes())
    other = signed.lines[3][:-1]
    as_it_was = signed.lines[LINE].replace(b"ok", b"no")[:-1]
    edited = reseal(as_it_was + b"\n")[:-1]
    earlier = Note.parse(note_in(signed.lines[7]).encode())
    another = sign(true.note.text, [SigningKey.generate(ORIGIN)])
    forged = Note(true.note.text.replace("\n11\n", "\n12\n"), true.note.signatures)
    for changed, status, why in (
        (TlogProof(LINE, true.hashes, true.note, other), 1, "is not entry 4 as its hash has it"),
        (TlogProof(3, true.hashes, true.note, true.extra), 1, "is not entry 3 as its hash has it"),
        (TlogProof(3, true.hashes, true.note, other), 1, "entry 3 is not in the tree of the 11 entries"),
        (TlogProof(LINE, true.hashes, true.note, edited), 1, "entry 4 is not in the tree"),
        (TlogProof(LINE, true.hashes, true.note, as_it_was), 1, "is not entry 4 as its hash has it"),
        (TlogProof(LINE, true.hashes[::-1], true.note, true.extra), 1, "entry 4 is not in the tree"),
        (TlogProof(LINE, true.hashes[1:], true.note, true.extra), 1, "entry 4 is not in the tree"),
        (TlogProof(LINE, true.hashes, earlier, true.extra), 1, "entry 4 is not in the tree of the 7 entries"),
        (TlogProof(LINE, true.hashes, forged, true.extra), 1, f"the signature of '{ORIGIN}' does not verify"),
        (
            TlogProof(LINE, true.hashes, another, true.extra),
            5,
            f"none of the keys that were given is one of '{ORIGIN}'",
        ),
        (TlogProof(LINE, true.hashes, true.note, None), 5, "there is no entry in the proof"),
        (TlogProof(LINE, true.hashes, true.note, b"{}"), 3, "what the proof is about is no entry"),
    ):
        (tmp_path / "changed").write_bytes(changed.encode())
        outcome = checked(tmp_path / "changed", key)
        assert (outcome.status, outcome.stdout) == (status, "")
        assert why in outcome.stderr


def test_the_key_of_another_log_vouches_for_nothing(proof: Path, tmp_path: Path) -> None:
    """It has signed under its own name: that makes it a witness of some kind, and no key of this log."""
    true = TlogProof.parse(proof.read_bytes())
    stranger = SigningKey.generate("other.example/log")
    note = Note(true.note.text, (*true.note.signatures, stranger.sign(true.note.text)))
    (tmp_path / "more").write_bytes(TlogProof(true.index, true.hashes, note, true.extra).encode())
    assert checked(tmp_path / "more", stranger.verifier).status == 5


def test_a_witness_of_the_name_of_the_log_vouches_for_nothing(proof: Path, tmp_path: Path) -> None:
    true, witness = TlogProof.parse(proof.read_bytes()), SigningKey.generate(ORIGIN)
    key = VerifierKey(ORIGIN, witness.verifier.public, KeyKind.COSIGNATURE)
    made = witness.sign(f"cosignature/v1\ntime 1764115200\n{true.note.text}")
    line = Signature(ORIGIN, key.key_id, (1_764_115_200).to_bytes(8) + made.blob)
    assert list(Note(true.note.text, (line,)).signed_by([key])) == [key]
    note = Note(true.note.text, (*true.note.signatures, line))
    (tmp_path / "more").write_bytes(TlogProof(true.index, true.hashes, note, true.extra).encode())
    assert checked(tmp_path / "more", key).status == 5


def test_a_proof_is_read_as_long_as_it_may_be(proof: Path) -> None:
    true = TlogProof.parse(proof.read_bytes())
    longest = TlogProof(LINE, (bytes(32),) * 64, true.note, true.extra)
    assert TlogProof.parse(longest.encode()) == longest
    for raw in (
        TlogProof(LINE, true.hashes, true.note, b"x" * 400_000).encode(),
        TlogProof(LINE, (bytes(32),) * 65, true.note, true.extra).encode(),
        b"",
        b"c2sp.org/tlog-proof@v1",
        b"c2sp.org/tlog-proof@v1\nextra AAAA",
        b"\xff" + proof.read_bytes(),
    ):
        with pytest.raises(MalformedNote):
            TlogProof.parse(raw)


def _lines(proof: Path) -> list[str]:
    return proof.read_text(encoding="utf-8").split("\n")


@pytest.mark.parametrize(
    ("at", "instead"),
    [
        (0, ["c2sp.org/tlog-proof@v2"]),
        (0, []),
        (1, ["extra !"]),
        (1, ["extra  AA=="]),
        (1, ["extra AB=="]),
        (1, ["Extra AAAA"]),
        *((2, [line]) for line in ("index 04", "index -4", "index +4", "index 4 ", "index", "index ٤", "index 4\r")),
        (2, []),
        (3, ["AAAA"]),
        (3, [""]),
        (3, ["A" * 43 + "="] * 65),
        (3, [" "]),
    ],
)
def test_what_is_not_exactly_a_proof_is_corrupt(proof: Path, tmp_path: Path, at: int, instead: list[str]) -> None:
    lines = _lines(proof)
    lines[at : at + 1] = instead
    (tmp_path / "changed").write_text("\n".join(lines), encoding="utf-8", newline="")
    outcome = checked(tmp_path / "changed", SigningKey.generate(ORIGIN).verifier)
    assert (outcome.status, outcome.stdout) == (3, "")


def test_wrong_usage_is_explained(proof: Path, tmp_path: Path) -> None:
    key = str(SigningKey.generate(ORIGIN).verifier)
    for arguments in (
        ("prove",),
        ("prove", "4"),
        ("prove", "four", "audit.log"),
        ("prove", "-1", "audit.log"),
        ("prove", "9" * 30, "audit.log"),
        ("prove", "--check", str(proof)),
        ("prove", "--check", str(proof), "--key", key[:-1]),
        ("prove", "--check", str(proof), "--key", str(tmp_path / "absent")),
        ("prove", "4", "audit.log", "--check", str(proof), "--key", key),
        ("prove", "4", "audit.log", "--key", key),
        ("prove", "--check", str(proof), "--key", key, "--checkpoint", str(tmp_path / "absent")),
        ("prove", "--check", str(proof), "--key", key, "--output", str(tmp_path / "made")),
    ):
        outcome = audit(*arguments)
        assert (outcome.status, outcome.stdout) == (2, "")
    assert audit("prove", "--check", tmp_path / "absent", "--key", key).status == 6


def test_standard_input_is_refused_because_it_can_be_read_only_once() -> None:
    outcome = audit("prove", "1", "-")
    assert (outcome.status, outcome.stdout) == (5, "")
    assert "standard input has only one" in outcome.stderr
