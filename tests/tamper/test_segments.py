"""Several segments: any order, any compression, any name; what is missing is named."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit.chain import Head
from aegis_audit.checks.known import Known
from aegis_audit.checks.scan import MAX_RUNS
from aegis_audit.demand import Demands
from aegis_audit.finding import FindingCode
from aegis_audit.verify import Knowledge, verify
from support.attacker import relink
from support.auditor import audit
from support.logs import COMPRESSIONS, ORIGIN, LogBuilder, overwrite, reseal, rotated_log, small_log, write

SEGMENTS: Final = rotated_log(2, 3, 1)


def written(directory: Path, *numbers: int) -> list[str]:
    """Write segments of one log under names that say nothing of their order, and return the paths."""
    return [str(write(directory / f"{9 - number}.log", SEGMENTS[number])) for number in numbers]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_segments_in_any_order_are_one_chain(tmp_path: Path, order: tuple[int, ...]) -> None:
    report = verify(written(tmp_path, *order), Demands(from_genesis=True))
    assert not report.counts
    assert (report.entries, report.logs[0].first_seq, report.logs[0].last_seq) == (15, 0, 14)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_compressed_segment_is_known_by_its_bytes(tmp_path: Path, compression: str) -> None:
    paths = written(tmp_path, 0, 2)
    compressed = tmp_path / "whatever.log"
    compressed.write_bytes(COMPRESSIONS[compression](b"".join(SEGMENTS[1])))
    outcome = audit("verify", "--from-genesis", "--format", "json", *paths, compressed)
    assert (outcome.status, outcome.json["findings"]) == (0, [])
    assert outcome.json["entries"] == 15


@pytest.mark.parametrize("number", range(3))
def test_each_segment_alone_is_valid_and_says_where_it_begins(tmp_path: Path, number: int) -> None:
    outcome = audit("verify", "--format", "json", *written(tmp_path, number))
    notes = [] if number == 0 else ["AEG501"]
    assert (outcome.status, [finding["id"] for finding in outcome.json["findings"]]) == (0, notes)


def test_a_missing_segment_is_incomplete_and_its_range_is_named(tmp_path: Path) -> None:
    outcome = audit("verify", "--format", "json", *written(tmp_path, 2, 0))
    (finding,) = outcome.json["findings"]
    assert outcome.status == 4
    assert (finding["id"], finding["expected"], finding["seq"]) == ("AEG201", "entries 5 to 11", 5)


def test_what_does_not_link_to_the_segment_before_it_is_tampering(tmp_path: Path) -> None:
    log = small_log(2)
    stranger = reseal(log[3].replace(log[2][15:79], b"e" * 64))
    paths = write(tmp_path / "1.log", log[:3]), write(tmp_path / "2.log", relink([stranger, log[4]], 1))
    for report in (verify(map(str, paths)), verify(map(str, reversed(paths)))):
        assert report.codes == {FindingCode.BROKEN_LINK}


def test_what_is_missing_beside_entries_that_are_recorded_as_lost_is_missed(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    paths = [write(tmp_path / "1.log", log.lines)]
    for last, lost in ((6, [3, 4]), (12, [11, 11])):
        log.head, log.lines = Head(last, log.head.entry_hash), []
        log.security("entries_lost", missing=lost)
        log.call(last)
        paths.append(write(tmp_path / f"{last}.log", log.lines))
    report = verify(map(str, paths))
    missing = [one.expected for one in report.findings if one.code is FindingCode.MISSING_RANGE]
    assert sorted(missing) == ["entries 1 to 2", "entries 10 to 10", "entries 12 to 12", "entries 5 to 6"]


def test_what_one_log_records_as_lost_is_missed_in_another(tmp_path: Path) -> None:
    log = LogBuilder()
    write(tmp_path / "0.log", [log.open_log()])
    log.head = Head(3, log.head.entry_hash)
    write(tmp_path / "1.log", [log.security("entries_lost", missing=[1, 3])])
    other = small_log(2, origin="other.example/aegis")
    write(tmp_path / "2.log", [other[0], other[4]])
    report = verify([str(tmp_path)])
    counts = {code.identifier: count for code, count in report.counts.items() if not code.is_note}
    assert counts == {"AEG201": 1, "AEG204": 1}


def test_what_is_missing_from_one_of_two_logs_is_missed(tmp_path: Path) -> None:
    lines = small_log(2)
    write(tmp_path / "1.log", [*lines[:2], *lines[3:]])
    write(tmp_path / "2.log", small_log(1, origin="other.example/aegis"))
    report = verify([str(tmp_path)])
    assert report.codes == {FindingCode.MISSING_RANGE, FindingCode.SEVERAL_LOGS, FindingCode.UNANSWERED_INTENT}
    assert [log.entries for log in report.logs] == [4, 3]


def test_a_piece_that_does_not_name_its_log_belongs_to_the_one_that_it_is_linked_to(tmp_path: Path) -> None:
    first, second = rotated_log(1, 1)
    write(tmp_path / "other.log", small_log(1, origin="other.example/aegis"))
    for pieces in ((first[:2], first[2:]), (first[1:], second), (first[1:], second[:1], second[1:])):
        for number, piece in enumerate(pieces):
            write(tmp_path / f"{number}.log", piece)
        report = verify([str(tmp_path)])
        assert not [code for code in report.codes if not code.is_note]
        assert [log.entries for log in report.logs] == [sum(map(len, pieces)), 3]


def test_a_piece_belongs_to_the_log_that_goes_on_from_it_whatever_else_claims_to(tmp_path: Path) -> None:
    first, second = rotated_log(2, 2)
    write(tmp_path / "0.log", first[1:])
    write(tmp_path / "1.log", second)
    fork = LogBuilder(Head(len(first) - 1, first[-1][15:79].decode("ascii")))
    write(tmp_path / "2.log", [fork.intent(9)])
    write(tmp_path / "other.log", small_log(1, origin="other.example/aegis"))
    report = verify([str(tmp_path)])
    origins = ["desk.example/aegis", "other.example/aegis", None]
    assert [(log.origin, log.entries) for log in report.logs] == [*zip(origins, (9, 3, 1), strict=True)]


def test_pieces_before_the_one_that_names_the_log_in_a_segment_belong_to_it(tmp_path: Path) -> None:
    first, second = rotated_log(3, 1)
    write(tmp_path / "0.log", [first[1], first[3], *first[5:], *second])
    write(tmp_path / "other.log", small_log(1, origin="other.example/aegis"))
    report = verify([str(tmp_path)])
    assert [(log.origin, log.entries) for log in report.logs] == [("desk.example/aegis", 7), ("other.example/aegis", 3)]
    assert report.counts[FindingCode.MISSING_RANGE] == 2


def test_a_missing_start_is_a_finding_only_where_it_is_demanded(tmp_path: Path) -> None:
    paths = written(tmp_path, 1, 2)
    assert verify(paths).codes == {FindingCode.PARTIAL_LOG}
    assert verify(paths, Demands(from_genesis=True)).codes == {FindingCode.MISSING_START}
    assert audit("verify", "--from-genesis", "--quiet", *paths).status == 4


def test_a_log_that_ends_before_a_time_that_is_demanded_is_too_old(tmp_path: Path) -> None:
    times = [json.loads(segment[-1])["timestamp"] for segment in SEGMENTS]
    for last in range(3):
        report = verify(written(tmp_path, *range(last + 1)), Demands(not_before=times[1]))
        assert [code.identifier for code in report.codes] == (["AEG207"] if last == 0 else [])


def test_more_gaps_than_are_kept_are_found_where_they_are(tmp_path: Path) -> None:
    lines = small_log(MAX_RUNS + 8)
    report = verify([str(write(tmp_path / "audit.log", [*lines[::2], lines[5]]))])
    counts = {code.identifier: count for code, count in report.counts.items() if not code.is_note}
    assert counts == {"AEG004": 1, "AEG201": len(lines) // 2}


def test_an_entry_behind_more_gaps_than_are_kept_is_held_against_what_is_known_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "audit.log", small_log(MAX_RUNS + 8)[::2])
    seq = 2 * MAX_RUNS + 8
    for entry_hash, is_false in ((small_log(MAX_RUNS + 8)[seq][15:79].decode("ascii"), False), ("ab" * 32, True)):
        known = Known(Head(seq, entry_hash), ORIGIN, "elsewhere")
        codes = verify([str(path)], knowledge=Knowledge(heads=(known,))).codes
        assert codes - {FindingCode.UNANSWERED_INTENT, FindingCode.OUTCOME_WITHOUT_INTENT} == (
            {FindingCode.MISSING_RANGE} | ({FindingCode.FALSE_HEAD} if is_false else set[FindingCode]())
        )


def test_segments_put_together_in_any_order_are_one_chain(tmp_path: Path) -> None:
    for order in permutations(range(3)):
        together = write(tmp_path / "all.log", [line for number in order for line in SEGMENTS[number]])
        assert not verify([str(together)]).counts


def test_a_stream_is_read_from_standard_input() -> None:
    stream = b"".join(gzip.compress(b"".join(segment)) for segment in reversed(SEGMENTS))
    outcome = audit("verify", "--format", "json", "-", stdin=stream)
    assert (outcome.status, outcome.json["entries"], outcome.json["findings"]) == (0, 15, [])


def test_a_directory_gives_its_segments_and_nothing_else(tmp_path: Path) -> None:
    for name, segment in zip(("audit.log", "audit.log.2", "audit-20261124.log"), SEGMENTS, strict=True):
        write(tmp_path / name, segment)
    (tmp_path / "README.txt").write_text("the logs of this machine", encoding="utf-8")
    (tmp_path / ".audit.log.swp").write_bytes(b"\x00")
    (tmp_path / "audit.tlog").mkdir()
    write(tmp_path / "audit.tlog" / "tail", [b"not a segment"])
    report = verify([str(tmp_path)])
    assert not report.counts
    assert [Path(one.path).name for one in report.segments] == ["audit-20261124.log", "audit.log", "audit.log.2"]


def test_a_renamed_segment_in_a_directory_is_found_by_its_first_bytes(tmp_path: Path) -> None:
    write(tmp_path / "audit.log", SEGMENTS[0])
    (tmp_path / "old").write_bytes(gzip.compress(b"".join(SEGMENTS[1])))
    assert [one.entries for one in verify([str(tmp_path)]).segments] == [5, 7]


def test_a_glob_is_expanded_and_passes_over_the_sidecar(tmp_path: Path) -> None:
    for name, segment in zip(("audit.log", "audit.log.1", "audit.log.2"), SEGMENTS, strict=True):
        write(tmp_path / name, segment)
    (tmp_path / "audit.tlog").mkdir()
    assert audit("verify", "--quiet", "--from-genesis", f"{tmp_path}/audit*").status == 0


def test_equal_copies_overlap_and_an_edited_copy_is_tampering(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(0)
    common = log.head
    log.call(1)
    original = write(tmp_path / "a.log", log.lines)
    copy = write(tmp_path / "b.log", log.lines[1:4])
    assert verify([str(original), str(copy)]).codes == {FindingCode.OVERLAP}
    other = LogBuilder(common, session_id="ab" * 16)
    other.call(7)
    fork = write(tmp_path / "c.log", [*log.lines[:3], *other.lines])
    assert FindingCode.EQUIVOCATION in verify([str(original), str(fork)]).codes
    assert verify([str(original), str(fork)]).verdict.exit_code == 1


def test_entries_that_stand_in_a_copy_as_well_are_counted_once(tmp_path: Path) -> None:
    lines = small_log(4)
    for name, copied in (("a.log", lines), ("b.log", lines[1:5]), ("c.log", lines[3:5])):
        write(tmp_path / name, copied)
    report = verify([str(tmp_path)])
    assert ([code for code in report.codes if not code.is_note], report.logs[0].entries) == ([], 9)


def test_a_copy_that_cannot_be_compared_because_a_stream_is_gone_is_not_taken_for_one(tmp_path: Path) -> None:
    lines = small_log(4)
    copy = write(tmp_path / "copy.log", lines[1:5])
    outcome = audit("verify", "--format", "json", "-", copy, stdin=b"".join(lines))
    findings = [(one["id"], one["path"], one["expected"]) for one in outcome.json["findings"]]
    assert (outcome.status, findings) == (6, [("AEG401", str(copy), "entries 1 to 4")])


def test_time_that_goes_back_from_one_segment_to_the_next_is_a_note(tmp_path: Path) -> None:
    for back, codes in (
        (timedelta(days=400), {FindingCode.CLOCK_STEP}),
        (timedelta(milliseconds=1), set[FindingCode]()),
    ):
        log = LogBuilder()
        log.open_log()
        first, log.lines = log.lines, []
        log.now -= back
        log.open_segment()
        paths = write(tmp_path / "1.log", first), write(tmp_path / "2.log", log.lines)
        assert verify(map(str, paths)).codes == codes


def test_an_edit_of_what_a_segment_follows_is_one_finding(tmp_path: Path) -> None:
    first, second = rotated_log(1, 1)
    edited = second[0].replace(first[-1][15:79], b"e" * 64)
    paths = write(tmp_path / "1.log", first), write(tmp_path / "2.log", [edited, *second[1:]])
    assert verify(map(str, paths)).codes == {FindingCode.HASH_MISMATCH}


def test_segments_of_two_logs_are_judged_each_on_its_own(tmp_path: Path) -> None:
    ours, theirs = small_log(2), small_log(3, origin="other.example/aegis")
    paths = [str(write(tmp_path / name, lines)) for name, lines in (("a.log", ours), ("b.log", theirs))]
    report = verify(paths)
    assert report.codes == {FindingCode.SEVERAL_LOGS}
    assert [(log.origin, log.entries) for log in report.logs] == [("desk.example/aegis", 5), ("other.example/aegis", 7)]


def test_a_piece_of_another_log_in_the_middle_is_tampering(tmp_path: Path) -> None:
    ours, theirs = small_log(2), small_log(3, origin="other.example/aegis")
    for piece in (theirs[:1], theirs[3:4], theirs[4:6], theirs):
        path = write(tmp_path / "a.log", [*ours[:3], *piece, *ours[3:]])
        assert verify([str(path)]).verdict.exit_code == 1


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_bytes_behind_a_compressed_stream_are_damage_and_a_missing_end_is_a_torn_tail(
    tmp_path: Path, compression: str
) -> None:
    path, data = tmp_path / "audit.log", COMPRESSIONS[compression](b"".join(SEGMENTS[0]))
    path.write_bytes(data + b"appended")
    assert verify([str(path)]).codes == {FindingCode.DAMAGED_COMPRESSION}
    for end in (len(data) - 1, len(data) // 2, 7):
        overwrite(path, data[:end])
        codes = verify([str(path)]).codes
        assert FindingCode.TORN_TAIL in codes
        assert all(code.verdict.exit_code in {0, 4} for code in codes)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_bit_that_changes_in_a_compressed_segment_is_found(tmp_path: Path, compression: str) -> None:
    path, data = tmp_path / "audit.log", COMPRESSIONS[compression](b"".join(SEGMENTS[0]))
    intact = b"".join(SEGMENTS[0])
    for bit in range(0, 8 * len(data), 5):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        overwrite(path, flipped)
        report = verify([str(path)])
        # Some bits of a header say nothing about the content: the time in gzip's, for one.
        assert report.verdict.exit_code != 0 or (report.size, report.entries) == (len(intact), 5)


WHOLE: Final = [line for segment in SEGMENTS for line in segment]
ranges = st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, len(WHOLE))).map(lambda ends: range(*ends))
pieces = st.lists(ranges.filter(bool), min_size=1, max_size=5)


@given(pieces)
def test_pieces_of_a_log_that_overlap_in_any_way_are_valid_unless_something_is_missing(cut: list[range]) -> None:
    with TemporaryDirectory() as name:
        paths = [
            str(write(Path(name) / f"{number}.log", [WHOLE[at] for at in piece])) for number, piece in enumerate(cut)
        ]
        held = {at for piece in cut for at in piece}
        is_whole = held == set(range(min(held), max(held) + 1))
        assert verify(paths).verdict.exit_code == (0 if is_whole else 4)


@given(pieces, st.data())
def test_a_copy_that_was_rewritten_from_some_entry_on_is_tampering_if_another_copy_holds_the_entry(
    cut: list[range], data: st.DataObject
) -> None:
    forged = data.draw(st.sampled_from(cut))
    at = data.draw(st.sampled_from(forged))
    with TemporaryDirectory() as name:
        paths = [
            str(write(Path(name) / f"{number}.log", [WHOLE[at] for at in piece])) for number, piece in enumerate(cut)
        ]
        rewritten = rewrite([WHOLE[at] for at in forged], at - forged.start)
        paths += [str(write(Path(name) / "forged.log", rewritten))]
        assert verify(paths).verdict.exit_code == 1


def rewrite(lines: list[bytes], at: int) -> list[bytes]:
    """Change one line and give it and all behind it the hashes and links that they then need."""
    changed = lines[:at]
    for line in lines[at:]:
        old = lines[len(changed) - 1][15:79] if changed else b""
        new = changed[-1][15:79] if changed else b""
        renewed = line.replace(b'"session_id":"5e', b'"session_id":"6e') if len(changed) == at else line
        changed.append(reseal(renewed.replace(old, new) if old else renewed))
    return changed


def test_each_log_of_several_is_noted_and_reported_on_its_own(tmp_path: Path) -> None:
    logs = [
        small_log(calls, origin=f"{name}.example/aegis", session_id=name * 32)
        for calls, name in ((1, "a"), (2, "b"), (3, "c"))
    ]
    paths = [write(tmp_path / f"{number}.log", lines) for number, lines in enumerate(logs[:2])]
    paths.append(write(tmp_path / "2.log", [*logs[2][4:], *logs[2][:4], *logs[0]]))
    report = verify(map(str, paths))
    assert {code: count for code, count in report.counts.items() if code is FindingCode.SEVERAL_LOGS} == {
        FindingCode.SEVERAL_LOGS: 2
    }
    assert [(log.origin, log.entries, log.sessions) for log in report.logs] == [
        ("a.example/aegis", 3, 2),
        ("b.example/aegis", 5, 1),
        ("c.example/aegis", 7, 2),
    ]
    assert [(one.entries, one.first_seq, one.last_seq) for one in report.segments] == [(3, 0, 2), (5, 0, 4), (10, 0, 6)]


def test_too_few_entries_are_named_where_the_log_begins_or_nowhere_if_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    path = str(write(tmp_path / "audit.log", small_log(1)))
    for paths, place in (([path], path), ([str(tmp_path / "empty")], "")):
        report = verify(paths, Demands(min_records=4, allow_empty=True))
        (finding,) = (one for one in report.findings if not one.code.is_note)
        assert (finding.code, finding.place.path) == (FindingCode.TOO_FEW, place)
