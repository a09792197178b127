"""Entries of one segment in a row: what is known of them at their end."""

from __future__ import annotations

from aegis_audit.checks.run import Run
from aegis_audit.entry import Entry
from aegis_audit.finding import Place
from support.logs import small_log


def test_of_entries_that_are_taken_together_the_watched_ones_are_known() -> None:
    first, *others = map(Entry.parse, small_log(2))
    hashes = [bytes.fromhex(entry.entry_hash) for entry in others]
    run = Run.begin(first, Place("audit.log"), frozenset({0, 1, 3, 4, 5}))
    run.know(first)
    run.skip(hashes, others[-1].timestamp)
    assert run.known_hashes == {entry.seq: entry.entry_hash for entry in (first, others[0], *others[2:])}
    assert (run.last_seq, run.last_hash, run.entries) == (4, others[-1].entry_hash, 5)


def test_entries_on_both_sides_of_a_gap_are_counted() -> None:
    first, *_, last = map(Entry.parse, small_log(2))
    run = Run.begin(first, Place("audit.log"))
    run.resume(last)
    assert (run.last_seq, run.last_hash, run.last_timestamp, run.entries) == (4, last.entry_hash, last.timestamp, 2)
