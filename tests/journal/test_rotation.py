"""Rotation under a writer that does not know of it: renamed, copied and cut, removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.auditor import audit
from support.journals import Meanwhile, append, draft, entries, is_strict_chain, journal, kinds, log_of, numbers
from support.signatures import signed_journal


def test_a_renamed_log_goes_on_in_a_new_segment(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    old = log.rename(log.with_suffix(".log.1"))
    append(writer, 2)
    opened = entries(log)[0]
    assert (opened.kind, opened.event["reason"], opened.event["first_seq"]) == ("segment_opened", "missing", 2)
    assert opened.event["prev_hash"] == entries(old)[-1].entry_hash
    assert is_strict_chain(old, log)
    assert numbers(old, log) == [1, 2]


def test_a_log_that_logrotate_has_created_is_used(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    old = log.rename(log.with_suffix(".log.1"))
    log.touch(mode=0o600)
    append(writer, 2)
    assert entries(log)[0].event["reason"] == "rotated"
    assert is_strict_chain(old, log)


def test_two_writers_open_one_segment_after_a_rotation(tmp_path: Path) -> None:
    first, second, log = journal(tmp_path), journal(tmp_path), log_of(tmp_path)
    append(first, 1)
    append(second, 2)
    old = log.rename(log.with_suffix(".log.1"))
    append(first, 3)
    append(second, 4)
    append(first, 5)
    assert kinds(old, log) == ["log_opened", "segment_opened"]
    assert is_strict_chain(old, log)
    assert numbers(old, log) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("is_created", [True, False])
def test_what_is_written_after_a_renamed_log_was_compressed_is_written_again(tmp_path: Path, is_created: bool) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    old = log.with_suffix(".log.1")

    def compress() -> None:
        shutil.copy(log, old)
        log.unlink()
        if is_created:
            log.touch(mode=0o600)

    append(writer, 1)
    writer.append(Meanwhile(compress, draft(2), draft(3)), is_synced=False, patience=10)
    append(writer, 4)
    opened = entries(log)[0]
    assert opened.event["reason"] == ("rotated" if is_created else "missing")
    assert (opened.event["first_seq"], opened.event["replay"]) == (4, [2, 3])
    assert is_strict_chain(old, log)
    assert numbers(old, log) == [1, 2, 3, 4]
    assert [audit("verify", *paths).status for paths in ((old, log), (old,), (log,))] == [0, 0, 0]


@pytest.mark.parametrize("count", [2, 300])
def test_what_is_written_after_a_log_was_copied_and_cut_is_in_the_new_segment(tmp_path: Path, count: int) -> None:
    writer, log = signed_journal(tmp_path), log_of(tmp_path)
    copy = log.with_suffix(".log.1")

    def cut() -> None:
        shutil.copy(log, copy)
        os.truncate(log, 0)

    append(writer, 1)
    writer.append(Meanwhile(cut, *map(draft, range(2, 2 + count))), is_synced=False, patience=10)
    append(writer, 2 + count)
    writer.checkpoint(patience=10)
    assert [entry.event["reason"] for entry in entries(log) if entry.kind == "segment_opened"] == ["truncated"]
    assert is_strict_chain(copy, log)
    assert numbers(copy, log) == list(range(1, 3 + count))
    assert [audit("verify", *paths).status for paths in ((copy, log), (copy,), (log,))] == [0, 0, 0]


def test_lines_between_copy_and_truncation_are_written_again(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1, 2)
    copy = Path(shutil.copy(log, log.with_suffix(".log.1")))
    append(writer, 3)
    append(writer, 4)
    os.truncate(log, 0)
    append(writer, 5)
    opened = entries(log)[0]
    assert (opened.kind, opened.event["reason"]) == ("segment_opened", "truncated")
    assert opened.event["replay"] == [0, 4]
    assert is_strict_chain(copy, log)
    assert numbers(copy, log) == [1, 2, 3, 4, 5]


def test_truncation_twice_in_a_row_loses_nothing(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    copies: list[Path] = []
    for turn in range(2, 6):
        copies.append(Path(shutil.copy(log, tmp_path / f"copy.{turn}")))
        append(writer, turn)
        os.truncate(log, 0)
    append(writer, 6)
    assert is_strict_chain(*copies, log)
    assert numbers(*copies, log) == [1, 2, 3, 4, 5, 6]


def test_a_log_that_was_cut_in_the_middle_gets_its_lines_back(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    append(writer, 2)
    append(writer, 3)
    whole = log.read_bytes()
    os.truncate(log, whole.index(b"\n", len(whole) // 2) - 30)
    append(writer, 4)
    assert is_strict_chain(log)
    assert numbers(log) == [1, 2, 3, 4]


def test_what_the_tail_does_not_hold_stays_missing_and_numbers_go_on(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, *range(300), size=40_000)
    os.truncate(log, 0)
    append(writer, 300)
    opened = entries(log)[0]
    first, last = opened.event["replay"]
    assert last == 300
    assert first > 0
    assert numbers(log) == list(range(first - 1, 301))
    assert not is_strict_chain(log)


def test_a_removed_log_does_not_begin_again_at_zero(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1, 2)
    log.unlink()
    append(writer, 3)
    assert [entry.seq for entry in entries(log)] == [3, 4]
