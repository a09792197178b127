"""What crashes, rotations and people in good faith leave is never called tampering or damage."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import pytest

from aegis_audit.chain import Head
from aegis_audit.finding import FindingCode
from aegis_audit.report import Report
from aegis_audit.verify import verify
from support.auditor import audit
from support.journals import append, journal, log_of
from support.logs import LogBuilder, small_log, write

VALID: Final = 0
INCOMPLETE: Final = 4


def judged(*paths: Path) -> Report:
    return verify([str(path) for path in paths])


def cut_log() -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return what a rotation has copied, the segment after it up to the replay, and the lines of the replay."""
    log = LogBuilder()
    log.open_log()
    log.call(0)
    log.call(1)
    copied, lost = log.lines[:3], log.lines[2:]
    log.lines = []
    log.open_segment("truncated", replay=[2, 4])
    return copied, log.lines, lost


def after_replay(lines: list[bytes], torn: bytes = b"") -> list[bytes]:
    """Return the lines with which the next gateway goes on behind a replay that ended in a torn line."""
    opening = lines[0]
    start = sum(map(len, lines))
    log = LogBuilder()
    log.open_log()
    log.call(0)
    log.call(1)
    log.lines = []
    assert log.open_segment("truncated", replay=[2, 4]) == opening
    log.lines = []
    if torn:
        log.recover((start, torn))
    log.call(2)
    return log.lines


def test_a_part_of_a_log_is_valid_and_said_to_be_one(tmp_path: Path) -> None:
    lines = small_log(3)
    for start in range(1, len(lines) - 1):
        for end in range(start + 1, len(lines) + 1):
            report = judged(write(tmp_path / "part.log", lines[start:end]))
            assert report.verdict.exit_code == VALID
            assert FindingCode.PARTIAL_LOG in report.codes


@pytest.mark.parametrize("cut", range(1, len(small_log(1)[-1])))
def test_a_line_torn_at_any_byte_is_benign_once_the_writer_attests_it(tmp_path: Path, cut: int) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(0)
    torn = small_log(1)[-1][:cut]
    start = sum(map(len, log.lines))
    log.lines.append(torn + b"\n")
    if cut < len(small_log(1)[-1]) - 1:
        log.recover((start, torn))
        log.call(1)
        assert judged(write(tmp_path / "audit.log", log.lines)).codes == {FindingCode.ATTESTED_FRAGMENT}
    else:  # all but the LF: with the LF it is the entry again, and stands there twice
        assert judged(write(tmp_path / "audit.log", log.lines)).codes >= {FindingCode.DUPLICATED}


def test_an_attested_fragment_may_be_moved_but_neither_changed_nor_removed(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(0)
    torn = b'{"entry_hash":"0123456789'
    start = sum(map(len, log.lines))
    log.recover((start, torn))
    before, after = log.lines[:-1], log.lines[-1:]
    path = tmp_path / "audit.log"
    assert judged(write(path, [*before[1:], torn + b"\n", *after])).verdict.exit_code == VALID
    assert judged(write(path, [*before, b"x" + torn + b"\n", *after])).codes == {
        FindingCode.NOT_JSON,
        FindingCode.FALSE_ATTESTATION,
    }
    assert judged(write(path, [*before, *after])).codes == {FindingCode.FALSE_ATTESTATION}


def test_an_entry_deleted_beside_an_attested_fragment_is_missing(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(0)
    torn = b"torn"
    log.lines[-1] = torn + b"\n"
    log.recover((sum(map(len, log.lines[:-1])), torn))
    report = judged(write(tmp_path / "audit.log", log.lines))
    assert FindingCode.MISSING_RANGE in report.codes
    assert report.verdict.exit_code == INCOMPLETE


def test_a_replay_cut_short_at_any_byte_is_at_most_incomplete(tmp_path: Path) -> None:
    copied, opened, lost = cut_log()
    replay = b"".join(lost)
    copy = write(tmp_path / "audit.log.1", copied)
    for end in range(len(replay) + 1):
        written = replay[:end]
        torn = written[written.rfind(b"\n") + 1 :]
        if torn and replay[end] == ord("\n"):
            continue  # only the LF is missing: the writer completes the line
        lines = [*opened, written + b"\n" if torn else written]
        whole = [*opened, written[: len(written) - len(torn)]]
        live = write(tmp_path / "audit.log", [*lines, *after_replay(whole, torn)])
        complete = written.count(b"\n") == len(lost)
        assert judged(copy, live).verdict.exit_code == (VALID if complete else INCOMPLETE)
        together = write(tmp_path / "together.log", [live.read_bytes(), copy.read_bytes()])
        assert judged(together).verdict.exit_code == (VALID if complete else INCOMPLETE)


def test_a_replay_that_differs_from_what_was_copied_is_tampering(tmp_path: Path) -> None:
    copied, opened, lost = cut_log()
    other = LogBuilder(session_id="ab" * 16)
    other.open_log()
    other.call(0)
    copy = write(tmp_path / "audit.log.1", other.lines)
    live = write(tmp_path / "audit.log", [*opened, *lost])
    assert len(copied) == len(other.lines)
    assert {code for code in judged(copy, live).codes if not code.is_note} == {FindingCode.EQUIVOCATION}


def test_a_segment_that_differs_from_a_replay_in_the_same_file_is_tampering(tmp_path: Path) -> None:
    copied, opened, lost = cut_log()
    other = LogBuilder(Head(2, lost[0][15:79].decode("ascii")))
    other.open_segment()
    other.intent(7)
    paths = write(tmp_path / "audit.log.1", copied), write(tmp_path / "audit.log", [*opened, *lost, *other.lines])
    assert {code for code in judged(*paths).codes if not code.is_note} == {FindingCode.EQUIVOCATION}


@pytest.mark.parametrize("replay", [[4, 2], [2, 5], [-1, 2], [2], "2-4", None])
def test_an_opening_that_announces_what_cannot_be_is_tampering(tmp_path: Path, replay: object) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(0)
    log.call(1)
    log.lines = []
    log.open_segment("truncated", replay=replay)
    report = judged(write(tmp_path / "audit.log", log.lines))
    assert report.codes == {FindingCode.FALSE_ATTESTATION, FindingCode.PARTIAL_LOG}


def test_time_that_goes_back_is_a_note(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(0)
    log.now -= timedelta(days=400)
    log.call(1)
    assert judged(write(tmp_path / "audit.log", log.lines)).codes == {FindingCode.CLOCK_STEP}


def test_lost_entries_that_the_writer_owns_up_to_are_incomplete_and_counted_once(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(0)
    kept = log.lines[:]
    log.call(1)
    log.lines = kept
    log.security("entries_lost", missing=[3, 4])
    report = judged(write(tmp_path / "audit.log", log.lines))
    assert report.counts == {FindingCode.ENTRIES_LOST: 1}
    assert report.verdict.exit_code == INCOMPLETE


def test_a_loss_that_a_recovery_records_is_incomplete(tmp_path: Path) -> None:
    log = LogBuilder()
    kept = [log.open_log()]
    log.call(0)
    log.lines = kept
    log.recover((len(kept[0]), b"torn"), missing=[1, 2])
    lines = [log.lines[0], b"torn\n", *log.lines[1:]]
    report = judged(write(tmp_path / "audit.log", lines))
    assert report.counts == {FindingCode.ENTRIES_LOST: 1, FindingCode.ATTESTED_FRAGMENT: 1}
    assert report.verdict.exit_code == INCOMPLETE


def test_what_an_edited_entry_says_is_held_against_nothing(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {"first_seq": 7},
        {"fragments": [{"length": 1, "offset": 0, "sha256": "ab" * 32}]},
    ]
    for change in changes:
        log = LogBuilder()
        log.open_log()
        first = log.lines
        log.lines = []
        opened = log.open_segment(**change)
        edited = opened.replace(b"rotated", b"rotates")
        codes = judged(write(tmp_path / "1.log", first), write(tmp_path / "2.log", [edited])).codes
        assert codes == {FindingCode.HASH_MISMATCH}


def test_a_call_without_an_answer_and_an_answer_without_a_call_are_notes(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.intent(0)
    log.outcome(1)
    log.call(2)
    first = write(tmp_path / "audit.log.1", log.rotate())
    log.outcome(0)
    second = write(tmp_path / "audit.log", log.lines)
    assert judged(first).codes == {FindingCode.UNANSWERED_INTENT, FindingCode.OUTCOME_WITHOUT_INTENT}
    assert judged(second, first).codes == {FindingCode.OUTCOME_WITHOUT_INTENT}


def test_an_unknown_event_is_a_note(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.add("telepathy", {"to": "nobody"})
    log.security("full_moon")
    report = judged(write(tmp_path / "audit.log", log.lines))
    assert report.counts == {FindingCode.UNKNOWN_EVENT: 2}


# The same with the real writer.


def test_what_a_rotation_by_copying_loses_is_found_in_the_replay(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1, 2)
    copy = Path(shutil.copy(log, log.with_suffix(".log.1")))
    append(writer, 3)
    append(writer, 4)
    os.truncate(log, 0)
    append(writer, 5)
    for order in permutations((copy, log)):
        assert judged(*order).codes == {FindingCode.OVERLAP}
        together = write(tmp_path / "together", [path.read_bytes() for path in order])
        assert judged(together).codes == {FindingCode.OVERLAP}
        stream = audit("verify", "--from-genesis", "--format", "json", "-", stdin=together.read_bytes())
        assert (stream.status, [finding["id"] for finding in stream.json["findings"]]) == (VALID, ["AEG502"])
    assert judged(log).verdict.exit_code == VALID


def test_rotation_by_copying_twice_in_a_row_is_one_chain(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    copies: list[Path] = []
    for turn in range(2, 6):
        copies.append(Path(shutil.copy(log, tmp_path / f"copy.{turn}")))
        append(writer, turn)
        os.truncate(log, 0)
    append(writer, 6)
    assert judged(*copies, log).verdict.exit_code == VALID
    assert judged(log, *reversed(copies)).verdict.exit_code == VALID
    assert all(judged(path).verdict.exit_code == VALID for path in (*copies, log) if path.stat().st_size)


def test_a_log_torn_and_written_on_is_valid(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1, 2)
    with log.open("ab") as file:
        file.write(b'{"entry_hash":"torn\nand worse')
    append(writer, 3)
    assert judged(log).counts == {FindingCode.ATTESTED_FRAGMENT: 2}


def test_a_log_that_was_removed_goes_on_and_its_start_is_missing(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1, 2)
    log.unlink()
    append(writer, 3)
    assert judged(log).codes == {FindingCode.PARTIAL_LOG}
