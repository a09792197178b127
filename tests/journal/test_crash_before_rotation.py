"""A writer that was killed before it stored the head, and then a rotation: no number is given twice.

What the head does not know yet may stand in the segment that has gone. The tail knows it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aegis_audit.verify import verify
from aegis_mcp.audit.mending import Mending
from aegis_mcp.audit.signing import Signing
from aegis_mcp.audit.storage import MOST_READ, Storage
from aegis_mcp.audit.writer import Writer
from support.journals import SESSION, append, entries, is_strict_chain, journal, kinds, log_of, numbers


def _sidecar(directory: Path) -> Path:
    return directory / "logs" / "audit.tlog"


def _renamed(log: Path) -> Path:
    return log.rename(log.with_suffix(".log.1"))


def _renamed_and_created(log: Path) -> Path:
    old = _renamed(log)
    log.touch(mode=0o600)
    return old


def _copied_and_truncated(log: Path) -> Path:
    copy = Path(shutil.copy(log, log.with_suffix(".log.1")))
    os.truncate(log, 0)
    return copy


def _truncated_after_a_copy_of_less(log: Path) -> Path:
    whole = log.read_bytes()
    copy = log.with_suffix(".log.1")
    copy.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    os.truncate(log, 0)
    return copy


ROTATIONS = [_renamed, _renamed_and_created, _copied_and_truncated, _truncated_after_a_copy_of_less]


def _killed_before_the_head(directory: Path, *written: int) -> None:
    """Leave entries in the log and the tail of which the head does not know."""
    head = (_sidecar(directory) / "head").read_bytes()
    append(journal(directory), *written)
    (_sidecar(directory) / "head").write_bytes(head)


@pytest.mark.parametrize("rotate", ROTATIONS)
def test_entries_that_only_the_tail_knows_are_written_again(tmp_path: Path, rotate: Callable[[Path], Path]) -> None:
    log = log_of(tmp_path)
    append(journal(tmp_path), 1)
    _killed_before_the_head(tmp_path, 2, 3)
    old = rotate(log)
    append(journal(tmp_path), 4)
    assert verify([str(log.parent)]).verdict.exit_code == 0
    assert is_strict_chain(old, log)
    assert numbers(old, log) == [1, 2, 3, 4]


class _Cut(Storage):
    """The files of a log that is copied and cut when it was read for the first time."""

    copy: Path | None = None

    def read(self, inode: int, offset: int, size: int = MOST_READ) -> bytes:
        data = super().read(inode, offset, size)
        self.copy = self.copy or _copied_and_truncated(self.path)
        return data


def test_a_log_that_is_cut_while_it_is_taken_over_gives_no_number_twice(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    append(journal(tmp_path), 1)
    _killed_before_the_head(tmp_path, 2, 3)
    writer = Writer(_Cut(log), SESSION)
    with writer.storage.locked(10):
        assert Mending(writer, Signing(writer, None)).settle().head.seq == 4
    writer.storage.close()
    append(journal(tmp_path), 4)
    segments = (log.with_suffix(".log.1"), log)
    assert verify([str(log.parent)]).verdict.exit_code == 0
    assert is_strict_chain(*segments)
    assert numbers(*segments) == [1, 2, 3, 4]


@pytest.mark.parametrize("rotate", ROTATIONS)
@pytest.mark.parametrize("kept", [0, 1, 200, 400, 700, 1000, 10_000])
def test_a_segment_that_was_half_opened_is_completed(tmp_path: Path, rotate: Callable[[Path], Path], kept: int) -> None:
    log = log_of(tmp_path)
    append(journal(tmp_path), 1, 2)
    old = rotate(log)
    _killed_before_the_head(tmp_path, 3)
    os.truncate(log, min(kept, log.stat().st_size))
    append(journal(tmp_path), 4)
    append(journal(tmp_path), 5)
    assert verify([str(log.parent)]).verdict.exit_code == 0
    assert is_strict_chain(old, log)
    assert {1, 2, 4, 5} <= set(numbers(old, log))


@pytest.mark.parametrize("rotate", ROTATIONS)
def test_a_segment_that_was_opened_is_not_opened_again(tmp_path: Path, rotate: Callable[[Path], Path]) -> None:
    log = log_of(tmp_path)
    append(journal(tmp_path), 1, 2)
    rotate(log)
    _killed_before_the_head(tmp_path)
    (_sidecar(tmp_path) / "tail").unlink()
    append(journal(tmp_path), 3)
    assert kinds(log).count("segment_opened") == 1
    assert entries(log)[-1].seq == 4


def test_an_entry_between_truncation_and_kill_is_followed_by_what_the_cut_has_taken(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    copy = Path(shutil.copy(log, log.with_suffix(".log.1")))
    append(writer, 2)
    size = log.stat().st_size
    _killed_before_the_head(tmp_path, 3)
    straggler = log.read_bytes()[size:]
    log.write_bytes(straggler)
    append(journal(tmp_path), 4)
    assert verify([str(log.parent)]).verdict.exit_code == 0
    assert is_strict_chain(copy, log)
    assert numbers(copy, log) == [1, 2, 3, 4]


def test_what_else_stands_in_a_new_file_is_attested_by_the_entry_that_opens_the_segment(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    old = log.rename(log.with_suffix(".log.1"))
    log.write_bytes(b"moved in here\nby somebody")
    append(writer, 2)
    assert verify([str(old), str(log)]).verdict.exit_code == 0
    assert [fragment["length"] for fragment in entries(log)[0].event["fragments"]] == [13, 11]


def test_what_a_cut_in_the_middle_took_and_the_tail_lacks_is_recorded_as_missing(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, *range(300), size=40_000)
    append(writer, 300)
    whole = log.read_bytes()
    os.truncate(log, whole.index(b"\n", 100_000) + 1)
    last = entries(log)[-1].seq
    append(writer, 301)
    lost = next(entry for entry in entries(log) if entry.kind == "entries_lost")
    opened = next(entry for entry in entries(log) if entry.kind == "segment_opened")
    assert lost.event["missing"] == [last + 1, opened.event["replay"][0] - 1]
    assert opened.event["first_seq"] == opened.seq == 302
    assert verify([str(log)]).verdict.exit_code == 4
