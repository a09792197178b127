"""Rotation and retention by the writer itself: the chain goes on, and what is dropped is on record first."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aegis_audit.tree import EMPTY
from aegis_audit.verify import verify
from aegis_mcp.settings import Rotation
from support.journals import append, entries, is_strict_chain, journal, kinds, log_of, numbers

SMALL = Rotation(max_bytes=1000)


def _segments(directory: Path) -> list[Path]:
    """Return the segments in the order of their entries."""
    found = [path for path in log_of(directory).parent.iterdir() if path.is_file()]
    return sorted(found, key=lambda path: entries(path)[0].seq)


def test_a_rotation_on_demand_goes_on_in_a_new_segment(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1, 2)
    old = writer.rotate("demand", patience=1)
    append(writer, 3)
    assert old
    assert old.parent == log.parent
    assert old.name.startswith("audit.log-")
    assert old.name.endswith("Z-2")
    opened = entries(log)[0]
    last = entries(old)[-1]
    assert opened.event == {
        "first_seq": 3,
        "kind": "segment_opened",
        "origin": entries(old)[0].event["origin"],
        "prev_hash": last.entry_hash,
        "reason": "demand",
        "tree": [node.hex() for node in EMPTY.extend(bytes.fromhex(e.entry_hash) for e in entries(old)).hashes],
    }
    assert is_strict_chain(old, log)
    assert [verify([str(path)]).verdict.exit_code for path in (old, log, log.parent)] == [0, 0, 0]


def test_another_writer_follows_a_rotation(tmp_path: Path) -> None:
    first, second, log = journal(tmp_path), journal(tmp_path), log_of(tmp_path)
    append(first, 1)
    append(second, 2)
    old = first.rotate("demand", patience=1)
    append(second, 3)
    append(first, 4)
    assert old
    assert is_strict_chain(old, log)
    assert kinds(old, log) == ["log_opened", "segment_opened"]
    assert numbers(old, log) == [1, 2, 3, 4]


def test_a_segment_without_an_entry_of_its_own_is_not_rotated(tmp_path: Path) -> None:
    writer = journal(tmp_path)
    assert writer.rotate("demand", patience=1) is None
    append(writer, 1)
    assert writer.rotate("demand", patience=1) is not None
    assert writer.rotate("demand", patience=1) is None
    assert len(_segments(tmp_path)) == 2


def test_a_full_segment_is_rotated_before_the_next_entry(tmp_path: Path) -> None:
    writer = journal(tmp_path, SMALL)
    for number in range(20):
        append(writer, number)
    segments = _segments(tmp_path)
    assert len(segments) > 4
    assert is_strict_chain(*segments)
    assert numbers(*segments) == list(range(20))
    assert {entries(path)[0].event.get("reason") for path in segments[1:]} == {"size"}
    assert all(SMALL.max_bytes is not None and path.stat().st_size >= SMALL.max_bytes for path in segments[:-1])
    assert verify([str(log_of(tmp_path).parent)]).verdict.exit_code == 0


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_newest_segments_are_kept_and_what_was_dropped_is_on_record(tmp_path: Path, keep: int) -> None:
    writer = journal(tmp_path, Rotation(max_bytes=1000, keep_segments=keep))
    for number in range(30):
        append(writer, number)
    segments = _segments(tmp_path)
    dropped = [entry for path in segments for entry in entries(path) if entry.kind == "segments_dropped"]
    assert len(segments) == keep + 1
    first = entries(segments[0])[0]
    assert dropped[-1].event["dropped"][1] == first.seq - 1
    assert dropped[-1].event["prev_hash"] == first.prev_hash
    assert dropped[-1].event["segments"] == 1
    assert verify([str(log_of(tmp_path).parent)]).verdict.exit_code == 0


def test_segments_are_dropped_by_the_age_of_their_last_entry(tmp_path: Path) -> None:
    writer = journal(tmp_path, Rotation(keep_days=1))
    append(writer, 1)
    old = writer.rotate("demand", patience=1)
    assert old
    append(writer, 2)
    assert writer.rotate("demand", patience=1)
    assert old.exists()
    first = entries(old)[0]
    assert first.timestamp.startswith(f"{datetime.now(UTC):%Y-%m}")


def test_a_compressed_segment_is_dropped_like_a_plain_one(tmp_path: Path) -> None:
    writer = journal(tmp_path, Rotation(keep_segments=1))
    append(writer, 1)
    old = writer.rotate("demand", patience=1)
    assert old
    packed = old.with_name(f"{old.name}.gz")
    packed.write_bytes(gzip.compress(old.read_bytes()))
    old.unlink()
    append(writer, 2)
    assert writer.rotate("demand", patience=1)
    assert not packed.exists()
    assert "segments_dropped" in kinds(log_of(tmp_path))


def test_a_name_or_a_date_makes_no_segment_older(tmp_path: Path) -> None:
    writer = journal(tmp_path, Rotation(keep_segments=2))
    kept: list[Path] = []
    for number in range(3):
        append(writer, number)
        segment = writer.rotate("demand", patience=1)
        assert segment
        kept.append(segment.rename(segment.with_name(f"audit.log-2020010{3 - number}T000000Z-{number}")))
        os.utime(kept[-1], (number, number))
    assert [path.exists() for path in kept] == [False, True, True]


def test_what_only_looks_like_a_segment_is_never_removed(tmp_path: Path) -> None:
    writer = journal(tmp_path, Rotation(keep_segments=1))
    log = log_of(tmp_path)
    append(writer, 1)
    strangers = [log.with_name(name) for name in ("audit.log-20200101T000000Z-1", "audit.log-notes", "other.log")]
    for stranger in strangers:
        stranger.write_bytes(b"mine\n")
    for number in range(4):
        append(writer, number)
        writer.rotate("demand", patience=1)
    assert all(stranger.exists() for stranger in strangers)


def test_a_log_that_cannot_be_renamed_takes_entries_all_the_same(tmp_path: Path) -> None:
    writer, log = journal(tmp_path, SMALL), log_of(tmp_path)
    append(writer, *range(10))
    last = entries(log)[-1].seq
    # Two names that a rotation in this and the next seconds would take: it never writes over what is there.
    now = int(datetime.now(UTC).timestamp())
    for second in range(now - 1, now + 30):
        log.with_name(f"audit.log-{datetime.fromtimestamp(second, UTC):%Y%m%dT%H%M%SZ}-{last}").touch()
    append(writer, 11)
    assert numbers(log) == [*range(10), 11]
    assert kinds(log) == ["log_opened"]
