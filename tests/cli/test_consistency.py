"""`consistency`: did a log only grow between two checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.note import Note, SigningKey, sign
from aegis_audit.tree import EMPTY
from support.auditor import audit
from support.logs import ORIGIN, write
from support.signed import SignedBuilder, note_in


@pytest.fixture
def signed(tmp_path: Path) -> SignedBuilder:
    """Return a log with checkpoints of 3, 6 and 10 entries, in files of these names; the last hands over."""
    log = SignedBuilder()
    log.open_log()
    for number in range(2):
        log.call(number)
        log.checkpoint()
    log.call(2)
    log.hand_over()
    for size in (3, 6, 10):
        (tmp_path / str(size)).write_text(note_in(log.lines[size]), encoding="utf-8")
    write(tmp_path / "audit.log", log.lines)
    return log


def test_a_log_that_only_grew_is_consistent_and_the_proof_needs_no_log(signed: SignedBuilder, tmp_path: Path) -> None:
    key, proof = str(signed.roots.log_key), tmp_path / "proof"
    made = audit("consistency", tmp_path / "6", tmp_path / "10", tmp_path / "audit.log", "--key", key, "--proof", proof)
    assert (made.status, made.stderr) == (0, "")
    assert made.stdout == f"VALID  {ORIGIN} grew from 6 entries to 10; both are signed\n"
    (tmp_path / "audit.log").unlink()
    # In any order.
    alone = audit("consistency", tmp_path / "10", tmp_path / "6", "--proof", proof, "--key", key, "--format", "json")
    assert (alone.status, alone.json) == (
        0,
        {
            "origin": ORIGIN,
            "old_size": 6,
            "new_size": 10,
            "proof": proof.read_text(encoding="ascii").splitlines(),
            "is_signed": True,
            "exit_code": 0,
        },
    )
    assert len(alone.json["proof"]) == 4
    # A proof between two sizes proves nothing between two others.
    assert audit("consistency", tmp_path / "3", tmp_path / "10", "--proof", proof).status == 1


def test_the_smallest_trees_are_extended_as_well(signed: SignedBuilder, tmp_path: Path) -> None:
    key = signed.log_key
    for size, root in ((0, EMPTY.root()), (1, bytes.fromhex(signed.lines[0][15:79].decode("ascii")))):
        for name, made in (("true", root), ("false", bytes(32))):
            note = sign(Checkpoint(ORIGIN, size, made).text, [key])
            (tmp_path / name).write_bytes(note.encode())
        arguments = ("--key", str(key.verifier), tmp_path / "10", tmp_path / "audit.log")
        assert audit("consistency", tmp_path / "true", *arguments).status == 0
        assert audit("consistency", tmp_path / "false", *arguments).status == 1


def test_without_keys_it_says_that_nothing_was_authenticated(signed: SignedBuilder, tmp_path: Path) -> None:
    outcome = audit("consistency", tmp_path / "3", tmp_path / "6", tmp_path / "audit.log")
    assert outcome.status == 0
    assert outcome.stdout.endswith("; signatures were not looked at: there was no --key\n")


def test_one_checkpoint_twice_is_consistent_and_two_of_one_size_are_a_fork(
    signed: SignedBuilder, tmp_path: Path
) -> None:
    assert audit("consistency", tmp_path / "6", tmp_path / "6").status == 0
    fork = Checkpoint(ORIGIN, 6, bytes(32))
    (tmp_path / "fork").write_bytes(sign(fork.text, [SigningKey.generate(ORIGIN)]).encode())
    outcome = audit("consistency", tmp_path / "6", tmp_path / "fork")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr == "aegis-audit: two checkpoints of 6 entries with different roots: the log was forked\n"


def test_a_log_that_was_rewritten_does_not_extend_what_was_kept(signed: SignedBuilder, tmp_path: Path) -> None:
    other = SignedBuilder()
    other.open_log()
    for number in range(3):
        other.call(number, tool="write_file")
    (tmp_path / "rewritten").write_text(note_in(other.checkpoint()), encoding="utf-8")
    write(tmp_path / "audit.log", other.lines)
    outcome = audit("consistency", tmp_path / "6", tmp_path / "rewritten", tmp_path / "audit.log")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr == "aegis-audit: the tree of 7 entries is not shown to extend that of 6\n"


def test_what_cannot_be_told_is_no_accusation(signed: SignedBuilder, tmp_path: Path) -> None:
    a, b, key = tmp_path / "3", tmp_path / "10", str(SigningKey.generate(ORIGIN).verifier)
    assert audit("consistency", a, b).status == 5
    assert audit("consistency", a, a, "--key", key).status == 5
    write(tmp_path / "audit.log", signed.lines[:8])
    outcome = audit("consistency", a, b, tmp_path / "audit.log")
    assert (outcome.status, outcome.stdout) == (5, "")
    assert outcome.stderr == "aegis-audit: a proof in a tree of 10 entries needs them all, and there are 8\n"


def test_checkpoints_of_two_logs_are_a_contradiction(signed: SignedBuilder, tmp_path: Path) -> None:
    other = SignedBuilder(origin="other.example/log")
    other.open_log()
    (tmp_path / "other").write_text(note_in(other.checkpoint()), encoding="utf-8")
    outcome = audit("consistency", tmp_path / "3", tmp_path / "other", tmp_path / "audit.log")
    assert (outcome.status, outcome.stderr) == (
        1,
        f"aegis-audit: one checkpoint is of 'other.example/log', the other of '{ORIGIN}'\n",
    )


def test_a_forged_line_of_a_key_that_was_given_is_a_contradiction(signed: SignedBuilder, tmp_path: Path) -> None:
    note = Note.parse((tmp_path / "6").read_bytes())
    (tmp_path / "forged").write_bytes(Note(note.text.replace("\n6\n", "\n5\n"), note.signatures).encode())
    key = str(signed.roots.log_key)
    assert audit("consistency", tmp_path / "forged", tmp_path / "forged", "--key", key).status == 1


@pytest.mark.parametrize("content", ["", "text\n", "{}", "x" * 300_000])
def test_a_file_that_is_no_checkpoint_is_corrupt(signed: SignedBuilder, tmp_path: Path, content: str) -> None:
    (tmp_path / "none").write_text(content, encoding="utf-8")
    outcome = audit("consistency", tmp_path / "6", tmp_path / "none")
    assert (outcome.status, outcome.stdout) == (6 if len(content) > 300 else 3, "")


@pytest.mark.parametrize("content", [b"\xff\n", b"AAAA", b"AAAA\n", b"\n"])
def test_a_file_that_is_no_proof_is_refused(signed: SignedBuilder, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "none").write_bytes(content)
    assert audit("consistency", tmp_path / "3", tmp_path / "6", "--proof", tmp_path / "none").status in {1, 3}
