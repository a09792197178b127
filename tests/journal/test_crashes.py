"""What a crash leaves, and what the writer makes of it: nothing is cut off, and nothing is made up."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from aegis_audit import chain
from aegis_audit.chain import Head
from support.journals import append, draft, entries, is_strict_chain, journal, kinds, log_of, numbers

TIME = "2026-11-24T03:31:51.123456Z"


def _line_after(log: Path, number: int) -> bytes:
    """Return the line that would come next in a log."""
    last = entries(log)[-1]
    line, _ = chain.append(Head(last.seq, last.entry_hash), draft(number), TIME)
    return line


@pytest.mark.parametrize("offset", range(0, 350, 7))
def test_a_line_torn_at_any_byte_is_attested_and_the_chain_goes_on(tmp_path: Path, offset: int) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    torn = _line_after(log, 2)[:offset]
    size = log.stat().st_size
    with log.open("ab") as stream:
        stream.write(torn)
    append(writer, 3)
    assert is_strict_chain(log)
    assert numbers(log) == [1, 3]
    recovered = [entry.event["fragments"] for entry in entries(log) if entry.kind == "recovered"]
    attested = [{"length": len(torn), "offset": size, "sha256": hashlib.sha256(torn).hexdigest()}]
    assert recovered == ([attested] if torn else [])


@pytest.mark.parametrize("missing", [1, 2, 100, 300])
def test_a_torn_line_that_the_tail_knows_is_completed(tmp_path: Path, missing: int) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    head = (tmp_path / "logs" / "audit.tlog" / "head").read_bytes()
    append(writer, 2)
    whole = log.read_bytes()
    # As after a kill inside of the write: the tail has the line, the log a part of it, and the head does not know.
    (tmp_path / "logs" / "audit.tlog" / "head").write_bytes(head)
    os.truncate(log, len(whole) - missing)
    append(journal(tmp_path), 3)
    assert log.read_bytes().startswith(whole)
    assert is_strict_chain(log)
    assert numbers(log) == [1, 2, 3]
    assert kinds(log) == ["log_opened"]


def test_whole_entries_beyond_the_head_are_taken_over(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    head = (tmp_path / "logs" / "audit.tlog" / "head").read_bytes()
    append(writer, 2, 3)
    (tmp_path / "logs" / "audit.tlog" / "head").write_bytes(head)
    append(journal(tmp_path), 4)
    assert is_strict_chain(log)
    assert numbers(log) == [1, 2, 3, 4]
    assert kinds(log) == ["log_opened"]


def test_an_entry_that_does_not_follow_is_neither_taken_over_nor_attested(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    forged, _ = chain.append(Head(7, "7" * 64), draft(2), TIME)
    with log.open("ab") as stream:
        stream.write(forged)
    append(writer, 3)
    assert kinds(log) == ["log_opened"]
    assert [entry.seq for entry in entries(log)] == [0, 1, 8, 2]


@pytest.mark.parametrize("at", range(0, 1024, 13))
def test_a_head_torn_at_any_byte_leaves_one_that_is_whole(tmp_path: Path, at: int) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    append(writer, 2)
    head = tmp_path / "logs" / "audit.tlog" / "head"
    content = bytearray(head.read_bytes())
    content[at : at + 1] = bytes([content[at] ^ 0xFF]) if at < len(content) else b""
    head.write_bytes(content)
    append(journal(tmp_path), 3)
    assert is_strict_chain(log)
    assert numbers(log) == [1, 2, 3]


@pytest.mark.parametrize("lost", ["head", "tail", "lock", "."])
def test_a_lost_part_of_the_sidecar_loses_no_entry(tmp_path: Path, lost: str) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1, 2)
    sidecar = tmp_path / "logs" / "audit.tlog"
    shutil.rmtree(sidecar) if lost == "." else (sidecar / lost).unlink()
    append(writer, 3)
    append(journal(tmp_path), 4)
    assert is_strict_chain(log)
    assert numbers(log) == [1, 2, 3, 4]
    origins = {entry.event["origin"] for entry in entries(log) if "origin" in entry.event}
    assert len(origins) == 1


def test_a_log_full_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.parent.mkdir()
    log.write_bytes(b"not a log\nat all")
    append(journal(tmp_path), 1)
    assert log.read_bytes().startswith(b"not a log\nat all\n")
    assert numbers(log) == [1]
