"""On the host that writes a log, its sidecar shows what was done to the log alone, and accuses no accident."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from aegis_audit.chain import Head
from aegis_audit.checks.known import Known
from aegis_audit.entry import Entry
from aegis_audit.mark import SLOTS_SIZE, Mark
from aegis_audit.sidecar import find_sidecars
from aegis_audit.verify import Knowledge, verify
from support.auditor import Outcome, audit
from support.journals import append, journal, log_of
from support.logs import ORIGIN, LogBuilder, small_log, write
from support.signed import note_in, signed_log

VALID = 0
TAMPERED = 1
INCOMPLETE = 4
UNVERIFIABLE = 5


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of five entries that a gateway has written."""
    append(journal(tmp_path), 1, 2, 3, 4)
    return log_of(tmp_path)


def judged(*arguments: str | Path) -> tuple[int, list[str]]:
    """Return the status and the ids of what is found, notes apart."""
    return verdict(audit("verify", "--format", "json", *arguments))


def verdict(outcome: Outcome) -> tuple[int, list[str]]:
    assert outcome.status == outcome.json["exit_code"]
    return outcome.status, [one["id"] for one in outcome.json["findings"] if one["verdict"] != "note"]


def lines_of(log: Path) -> list[bytes]:
    return log.read_bytes().splitlines(keepends=True)


def rewritten(log: Path) -> list[bytes]:
    """Return another log of the same length and of the same name."""
    first = lines_of(log)[0]
    origin = first.split(b'"origin":"')[1].split(b'"')[0].decode()
    return small_log(2, origin=origin, session_id="ab" * 16)


def test_a_whole_log_is_valid_and_the_sidecar_is_named(log: Path) -> None:
    for path in (log, log.parent, f"{log.parent}/audit*"):
        outcome = audit("verify", "--format", "json", path)
        assert verdict(outcome) == (VALID, [])
        assert outcome.json["sidecars"] == [
            {
                "path": str(log.with_suffix(".tlog")),
                "log": str(log),
                "seq": 4,
                "entry_hash": outcome.json["logs"][0]["head_hash"],
                "standing": "held",
            }
        ]
    assert f"Compared with sidecar {log.with_suffix('.tlog')}, entry 4: held\n" in audit("verify", log).stdout


def test_an_empty_log_whose_entries_a_rotation_has_moved_to_another_directory_is_not_missed(log: Path) -> None:
    archive = log.parent / "archive"
    archive.mkdir()
    rotated = write(archive / "audit.log.1", lines_of(log))
    write(log, [])
    for live in (log, log.parent):
        assert judged(live, rotated) == (VALID, [])
    assert judged("--no-sidecar", log, rotated) == (UNVERIFIABLE, ["AEG301"])
    write(rotated, small_log(1))
    assert judged(log, rotated) == (INCOMPLETE, ["AEG205", "AEG301"])


def test_a_log_whose_end_is_cut_off_in_place_is_tampering(log: Path) -> None:
    lines = lines_of(log)
    for kept in range(1, len(lines)):
        os.truncate(log, len(b"".join(lines[:kept])))
        assert judged(log) == judged(log.parent) == (TAMPERED, ["AEG009"])
        log.write_bytes(b"".join(lines))


def test_a_log_that_is_emptied_deleted_or_exchanged_for_a_shorter_file_is_never_valid(log: Path) -> None:
    write(log.with_name("other"), lines_of(log)[:3]).replace(log)
    assert judged(log) == (INCOMPLETE, ["AEG205"])
    os.truncate(log, 0)
    assert judged(log) == judged(log.parent) == (INCOMPLETE, ["AEG205", "AEG301"])
    log.unlink()
    assert judged(log) == judged(log.parent) == (INCOMPLETE, ["AEG205", "AEG301"])


def test_another_valid_log_in_its_place_is_tampering(log: Path) -> None:
    write(log, rewritten(log))
    assert judged(log) == (TAMPERED, ["AEG008"])
    write(log, small_log(2))
    assert judged(log) == judged(log.parent) == (TAMPERED, ["AEG010"])


def test_a_log_that_is_rewritten_and_grows_is_tampering_as_long_as_the_sidecar_knows_the_old_end(log: Path) -> None:
    write(log, [*rewritten(log), b""])
    more = LogBuilder(session_id="ab" * 16)
    lines = rewritten(log)
    more.head = type(more.head)(4, lines[-1][15:79].decode())
    more.call(9)
    write(log, [*lines, *more.lines])
    assert judged(log) == (TAMPERED, ["AEG008"])


def test_without_its_sidecar_a_log_is_judged_as_an_archive(log: Path) -> None:
    os.truncate(log, len(b"".join(lines_of(log)[:3])))
    assert judged("--no-sidecar", log) == (VALID, [])
    copy = Path(shutil.copy(log, log.parent.parent / "copy.log"))
    outcome = audit("verify", copy)
    assert outcome.status == VALID
    assert "Nothing beside the log says where it ends." in outcome.stdout


def test_a_log_that_is_named_behind_a_rotated_segment_claims_to_hold_the_end(log: Path, tmp_path: Path) -> None:
    rotated = log.rename(log.with_name("audit.log.1"))
    append(journal(tmp_path), 5, 6, 7)
    assert judged(rotated, log) == judged(log, rotated) == (VALID, [])
    os.truncate(log, len(b"".join(lines_of(log)[:2])))
    assert judged(rotated, log) == judged(log, rotated) == (TAMPERED, ["AEG009"])


def test_a_log_whose_path_looks_like_a_pattern_is_compared_with_its_sidecar(log: Path, tmp_path: Path) -> None:
    directory = log.parent.rename(tmp_path / "logs[1]")
    os.truncate(directory / "audit.log", len(b"".join(lines_of(directory / "audit.log")[:3])))
    assert judged(directory) == (TAMPERED, ["AEG009"])


def test_what_is_no_sidecar_is_not_taken_for_one(log: Path) -> None:
    log.with_name("archive").mkdir()
    log.with_name("notes.tlog").write_bytes(b"")
    outcome = audit("verify", "--format", "json", log.parent)
    assert (outcome.status, outcome.json["findings"]) == (VALID, [])
    assert [one["path"] for one in outcome.json["sidecars"]] == [str(log.with_suffix(".tlog"))]
    assert audit("verify", log.parent / "absent" / "audit.log").status == UNVERIFIABLE


# What is innocent.


def test_a_log_that_was_cut_is_incomplete_as_long_as_another_segment_was_not_given(log: Path) -> None:
    copy = Path(shutil.copy(log, log.with_name("audit.log.1")))
    os.truncate(log, len(b"".join(lines_of(log)[:3])))
    assert judged(log) == (INCOMPLETE, ["AEG205"])
    assert judged(log, copy) == (VALID, [])


def test_a_rotated_segment_alone_does_not_claim_to_hold_the_end(log: Path) -> None:
    writer = journal(log.parent.parent)
    rotated = log.rename(log.with_name("audit.log.1"))
    append(writer, 5)
    assert judged(rotated) == (VALID, [])
    assert judged(log) == judged(log.parent) == judged(log, rotated) == (VALID, [])


def test_a_rotated_segment_that_was_rewritten_is_found_by_the_mark_it_was_left_with(log: Path) -> None:
    rotated = log.rename(log.with_name("audit.log.1"))
    write(rotated, rewritten(rotated))
    assert judged(rotated) == (TAMPERED, ["AEG008"])


def test_a_log_that_was_renamed_is_incomplete_alone_and_valid_with_its_segments(
    log: Path,
) -> None:
    rotated = log.rename(log.with_name("audit.log-20261124"))
    assert judged(log.parent) == (VALID, [])
    log.touch()
    assert judged(log) == (INCOMPLETE, ["AEG205", "AEG301"])
    assert judged(log.parent) == judged(log, rotated) == (VALID, [])


def test_a_log_that_is_gone_beside_another_is_incomplete_and_not_replaced(log: Path) -> None:
    log.unlink()
    write(log.with_name("audit.log.1"), small_log(1, origin="other.example/aegis"))
    assert judged(log.parent) == (INCOMPLETE, ["AEG205"])


def test_a_log_that_was_copied_and_cut_is_incomplete_alone_and_valid_with_the_copy(log: Path) -> None:
    copy = Path(shutil.copy(log, log.with_name("audit.log.1")))
    os.truncate(log, 0)
    assert judged(log) == (INCOMPLETE, ["AEG205", "AEG301"])
    assert judged(log.parent) == judged(copy, log) == (VALID, [])


def test_a_copy_of_the_directory_that_was_made_while_the_log_grew_is_incomplete(log: Path, tmp_path: Path) -> None:
    before = log.read_bytes()
    append(journal(tmp_path), 5)
    copy = tmp_path / "copy"
    shutil.copytree(log.parent, copy)
    (copy / "audit.log").write_bytes(before)
    assert judged(copy) == (INCOMPLETE, ["AEG205"])


def test_a_log_that_is_ahead_of_its_mark_is_valid(log: Path, tmp_path: Path) -> None:
    head = log.with_suffix(".tlog") / "head"
    before = head.read_bytes()
    append(journal(tmp_path), 5)
    head.write_bytes(before)
    assert judged(log) == (VALID, [])


def test_a_log_that_is_shorter_after_the_machine_was_started_again_is_incomplete(log: Path) -> None:
    os.truncate(log, len(b"".join(lines_of(log)[:3])))
    sidecars = tuple(find_sidecars([str(log)]))
    for booted, status in ((0, TAMPERED), (sidecars[0].modified + 1, INCOMPLETE), (None, INCOMPLETE)):
        report = verify([str(log)], knowledge=Knowledge(sidecars=sidecars, booted=booted))
        assert report.verdict.exit_code == status


def test_an_entry_that_was_seen_before_the_machine_was_started_again_may_be_lost_and_is_missed(log: Path) -> None:
    last = Entry.parse(lines_of(log)[-1])
    os.truncate(log, len(b"".join(lines_of(log)[:3])))
    known = (Known(Head(last.seq, last.entry_hash), None, "an earlier look", 5),)
    for booted, status in ((4, TAMPERED), (5, TAMPERED), (6, INCOMPLETE), (None, TAMPERED)):
        report = verify([str(log)], knowledge=Knowledge(known, booted=booted))
        assert report.verdict.exit_code == status


@pytest.mark.parametrize("content", [b"", bytes(SLOTS_SIZE), b"\xff" * SLOTS_SIZE])
def test_a_sidecar_without_a_mark_is_said_to_have_none(log: Path, content: bytes) -> None:
    (log.with_suffix(".tlog") / "head").write_bytes(content)
    outcome = audit("verify", "--format", "json", log)
    assert verdict(outcome) == (VALID, [])
    assert [one["id"] for one in outcome.json["findings"]] == ["AEG509"]
    (log.with_suffix(".tlog") / "head").unlink()
    assert audit("verify", "--quiet", log).status == VALID


def test_two_logs_in_one_directory_are_compared_each_with_its_own_sidecar(log: Path, tmp_path: Path) -> None:
    append(journal(tmp_path / "elsewhere"), 1, 2)
    theirs = log_of(tmp_path / "elsewhere")
    theirs.with_suffix(".tlog").rename(log.with_name("audit-b.tlog"))
    other = theirs.rename(log.with_name("audit-b.log"))
    assert judged(log.parent) == judged(log, other) == judged(other) == (VALID, [])
    os.truncate(other, len(b"".join(lines_of(other)[:2])))
    assert judged(log.parent) == judged(other) == (TAMPERED, ["AEG009"])
    assert judged(log) == (VALID, [])


# The checkpoint in the sidecar, which is there only once all that it covers is on the disk.


def signed(home: Path, *calls: int) -> tuple[Path, list[bytes]]:
    """Return a signed log whose sidecar holds its last checkpoint, and no mark."""
    lines = signed_log(*calls).lines
    log = write(home / "audit.log", lines)
    (home / "audit.tlog").mkdir()
    (home / "audit.tlog" / "checkpoint").write_text(note_in(lines[-1]), encoding="utf-8")
    return log, lines


def test_the_checkpoint_in_a_sidecar_is_compared_even_if_the_mark_is_lost(tmp_path: Path) -> None:
    log, lines = signed(tmp_path, 2)
    outcome = audit("verify", "--format", "json", log)
    (anchor,) = outcome.json["anchors"]
    assert (verdict(outcome), anchor["standing"], anchor["is_outside"]) == ((VALID, []), "held", False)
    assert outcome.json["assurance"] == "A0"
    write(log, lines[:-3])
    assert judged(log) == (INCOMPLETE, ["AEG205"])
    write(log, signed_log(1, 1).lines)
    assert judged(log) == (TAMPERED, ["AEG011"])
    write(log, small_log(9, origin="other.example/aegis"))
    assert judged(log) == (TAMPERED, ["AEG010"])


def test_a_mark_that_was_set_back_does_not_hide_the_checkpoint(tmp_path: Path) -> None:
    log, lines = signed(tmp_path, 2)
    write(log, lines[:-3])
    state = log.stat()
    mark = Mark(Head(3, lines[3][15:79].decode("ascii")), state.st_ino, state.st_size, 0, 1, ORIGIN)
    (tmp_path / "audit.tlog" / "head").write_bytes(mark.encode())
    assert judged(log) == (TAMPERED, ["AEG009"])


def test_a_rotated_segment_alone_is_not_missing_what_the_sidecar_has_a_checkpoint_of(tmp_path: Path) -> None:
    log, lines = signed(tmp_path, 2)
    rotated = write(log.with_name("audit.log.1"), lines[:4])
    write(log, lines[4:])
    assert judged(rotated) == (VALID, [])


@pytest.mark.parametrize("content", ["", "nonsense", "a\n1\n"])
def test_a_checkpoint_that_is_torn_says_nothing(tmp_path: Path, content: str) -> None:
    log, _ = signed(tmp_path, 1)
    (tmp_path / "audit.tlog" / "checkpoint").write_text(content, encoding="utf-8")
    assert judged(log) == (VALID, [])


def test_what_another_log_has_left_in_the_sidecar_says_nothing(log: Path) -> None:
    (log.with_suffix(".tlog") / "checkpoint").write_text(note_in(signed_log(3).lines[-1]), encoding="utf-8")
    assert judged(log) == (VALID, [])
