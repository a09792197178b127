"""What is made of a witness's answers, and how the proof that it asks for is made from the segments of a log."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final

import pytest

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.note import Note, Signature, SigningKey
from aegis_audit.tree import EMPTY, is_consistent
from aegis_audit.witness import WitnessPolicy
from aegis_mcp.audit.cosigning import Cosigning
from aegis_mcp.audit.growth import Growth
from aegis_mcp.audit.journal import Journal
from aegis_mcp.errors import AnchorUnavailable
from support.answering import answering, http
from support.journals import append, entries, log_of
from support.running_witness import key_of, witness
from support.signatures import published, signed_journal

SIZE: Final = "Content-Type: text/x.tlog.size"


def _signed(directory: Path) -> tuple[Journal, bytes]:
    """Return a journal with a few entries, and its checkpoint."""
    journal = signed_journal(directory)
    append(journal, *range(5))
    journal.checkpoint(patience=10)
    return journal, (log_of(directory).parent / "audit.tlog" / "checkpoint").read_bytes()


def _publish(directory: Path, note: bytes, url: str, name: str = "w") -> list[str]:
    """Have a checkpoint cosigned by one witness; return what a person is told, without whom it is about."""
    policy = WitnessPolicy.parse(f"witness w {key_of(name)} {url}\nquorum w\n".encode())
    said: list[str] = []
    cosigning = Cosigning(policy, log_of(directory), said.append)
    with pytest.raises(AnchorUnavailable) as refusal:
        cosigning.publish(note)
    assert not (log_of(directory).parent / "audit.tlog" / "cosigned").exists()
    assert [f"'w': {one.partition(': ')[2]}" for one in said] == [str(refusal.value)]
    return said


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (http(f"{SigningKey('w', b'1' * 32).sign('x')}\n".encode()), "there is no cosignature by its key"),
        (http(f"{Signature('w', key_of('w').key_id, b'1' * 72)}\n".encode()), "its cosignature does not verify"),
        (http(b"garbage"), "it answers with what are no signature lines"),
        (http(b"\xff\n"), "it answers with what are no signature lines"),
        (http(b"x" * 300_000), "an answer of more than 262144 bytes"),
        (http(b"7", "409 Conflict", SIZE), "it answers 409 without a size"),
        (http(b"7\n", "409 Conflict"), "it answers 409 without a size"),
        (http(b"2\n", "409 Conflict", SIZE), "others keep having larger checkpoints cosigned"),
        (http(b"1000\n", "409 Conflict", SIZE), "it has cosigned 1000 entries, and the log has 6"),
        (http(b"", "302 Found", "Location: http://127.0.0.1:9/"), "status 302, which is no answer of a witness"),
        (http(b"", "500 Sorry"), "status 500, which is no answer of a witness"),
        (b"nonsense\r\n\r\n", "no answer (BadStatusLine)"),
        (b"", "no answer (RemoteDisconnected)"),
    ],
)
def test_an_answer_that_is_no_cosignature_is_none(tmp_path: Path, answer: bytes, why: str) -> None:
    _, note = _signed(tmp_path)
    with answering(lambda _: answer) as url:
        (said,) = _publish(tmp_path, note, url)
    assert said.startswith(f"the witness 'w' has not cosigned: {why}")


@pytest.mark.parametrize(("is_known", "status"), [(True, 403), (False, 404)])
def test_a_witness_cosigns_only_the_logs_whose_keys_it_has(tmp_path: Path, is_known: bool, status: int) -> None:
    _, note = _signed(tmp_path)
    name = Checkpoint.parse(Note.parse(note).text).origin if is_known else "other.example"
    with witness(tmp_path, "w.example", SigningKey(name, b"o" * 32).verifier) as running:
        (said,) = _publish(tmp_path, note, running.url, "w.example")
    assert f"status {status}" in said


def _leaves(*segments: Path) -> list[bytes]:
    by_seq = {entry.seq: bytes.fromhex(entry.entry_hash) for entry in entries(*segments)}
    return [by_seq[seq] for seq in sorted(by_seq)]


def _holds(growth: Growth, old: int, new: Checkpoint, leaves: list[bytes]) -> bool:
    proof = growth.prove(old, new)
    return is_consistent(old, EMPTY.extend(leaves[:old]).root(), new.size, new.root, proof)


def test_a_proof_is_made_from_any_size_through_rotated_and_compressed_segments(tmp_path: Path) -> None:
    journal, log = signed_journal(tmp_path), log_of(tmp_path)
    for start in range(0, 40, 10):
        append(journal, *range(start, start + 10))
        journal.rotate("asked", patience=10)
    append(journal, *range(40, 60))
    journal.checkpoint(patience=10)
    segments = sorted(log.parent.glob("audit.log*"))
    leaves = _leaves(*segments)
    packed = segments[1]
    packed.with_name(f"{packed.name}.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    new = published(tmp_path)
    growth = Growth(log)
    assert new.size > 60
    assert all(_holds(growth, old, new, leaves) for old in range(1, new.size))
    assert growth.prove(0, new) == growth.prove(new.size, new) == ()


def test_a_proof_goes_on_where_the_one_before_has_ended(tmp_path: Path) -> None:
    journal, log = signed_journal(tmp_path), log_of(tmp_path)
    growth, sizes = Growth(log), [0]
    for number in range(6):
        append(journal, number)
        journal.checkpoint(patience=10)
        new = published(tmp_path)
        leaves = _leaves(*log.parent.glob("audit.log*"))
        assert all(_holds(growth, old, new, leaves) for old in sizes[-2:] if old)
        sizes.append(new.size)
        if number == 3:
            # What was read before is in another file now.
            log.rename(log.with_name("audit.log.1"))


def test_no_proof_is_made_from_before_what_is_kept(tmp_path: Path) -> None:
    journal, note = _signed(tmp_path)
    first = journal.rotate("asked", patience=10)
    assert first
    append(journal, 6)
    journal.checkpoint(patience=10)
    first.unlink()
    growth, new = Growth(log_of(tmp_path)), published(tmp_path)
    with pytest.raises(AnchorUnavailable, match="entry 2 is not on the disk any more"):
        growth.prove(2, new)
    with pytest.raises(AnchorUnavailable, match="is not on the disk any more"):
        growth.prove(new.size - 1, Checkpoint("other.example", new.size, new.root))
    assert growth.prove(Checkpoint.parse(Note.parse(note).text).size + 3, new)


def test_no_proof_is_made_of_entries_that_were_not_signed(tmp_path: Path) -> None:
    journal, _ = _signed(tmp_path)
    append(journal, 6)
    new = published(tmp_path)
    growth = Growth(log_of(tmp_path))
    with pytest.raises(AnchorUnavailable, match="not those that were signed"):
        growth.prove(2, Checkpoint(new.origin, new.size, b"0" * 32))
    with pytest.raises(AnchorUnavailable, match="cannot be read from entry 2 on"):
        growth.prove(2, Checkpoint(new.origin, new.size + 100, new.root))
    assert len(growth.prove(2, new)) > 0
