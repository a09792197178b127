"""What a report says: every finding with its place, the counts of all, and one exit code."""

from __future__ import annotations

import json
from pathlib import Path

from aegis_audit.checks.findings import Findings
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.level import Level
from aegis_audit.report import MAX_FINDINGS
from aegis_audit.verify import verify
from support.auditor import audit
from support.logs import offsets, small_log, write


def test_a_finding_names_file_line_offset_number_expected_and_found(tmp_path: Path) -> None:
    lines = small_log(2)
    path = write(tmp_path / "audit.log", [*lines[:2], lines[2][:15] + b"0" * 64 + lines[2][79:], *lines[3:]])
    outcome = audit("verify", "--format", "json", path)
    (finding,) = outcome.json["findings"]
    assert finding == {
        "id": "AEG001",
        "code": "hash_mismatch",
        "verdict": "tampered",
        "title": FindingCode.HASH_MISMATCH.title,
        "path": str(path),
        "line": 3,
        "offset": offsets(lines)[2],
        "seq": 2,
        "expected": lines[2][15:79].decode(),
        "found": "0" * 64,
        "acknowledged": None,
    }
    assert (outcome.status, outcome.json["exit_code"], outcome.json["verdict"]) == (1, 1, "tampered")


def test_every_finding_is_reported_and_not_only_the_first(tmp_path: Path) -> None:
    lines = small_log(8)
    for at in (3, 7, 11):
        lines[at] = lines[at].replace(b"files", b"other")
    path = write(tmp_path / "audit.log", [*lines[:5], *lines[6:9], b"null\n", *lines[9:15], lines[14], *lines[15:]])
    report = verify([str(path)])
    findings = [(finding.code, finding.place.line) for finding in report.findings if not finding.code.is_note]
    assert findings == [
        (FindingCode.HASH_MISMATCH, 4),
        (FindingCode.MISSING_RANGE, 6),
        (FindingCode.HASH_MISMATCH, 7),
        (FindingCode.NOT_JSON, 9),
        (FindingCode.HASH_MISMATCH, 12),
        (FindingCode.DUPLICATED, 16),
    ]


def test_damage_names_the_range_of_entries_that_it_has_cost(tmp_path: Path) -> None:
    lines = small_log(4)
    hole = bytes(sum(map(len, lines[3:6])) - 1) + b"\n"
    report = verify([str(write(tmp_path / "audit.log", [*lines[:3], hole, *lines[6:]]))])
    (finding,) = (finding for finding in report.findings if not finding.code.is_note)
    assert (finding.code, finding.place.line, finding.place.seq) == (FindingCode.NUL_BYTES, 4, 3)
    assert "entries 3 to 5 cannot be read" in finding.found


def test_findings_beyond_the_bound_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "audit.log", [*small_log(1), *[b"null\n"] * 3000])
    report = verify([str(path)])
    assert report.counts[FindingCode.NOT_JSON] == report.total == 3000
    assert len(report.findings) == MAX_FINDINGS
    assert report.to_json()["findings_left_off"] == 2000


def test_a_valid_log_says_what_its_level_does_not_show_and_how_much_it_leaves_uncovered(tmp_path: Path) -> None:
    path = write(tmp_path / "audit.log", small_log(2))
    outcome = audit("verify", "--format", "json", path)
    assert outcome.json["not_shown"] == Level.A0.not_shown
    (log,) = outcome.json["logs"]
    assert (log["assurance"], log["uncovered"], log["sessions"], log["entries"]) == ("A0", 5, 1, 5)
    text = " ".join(audit("verify", path).stdout.split())
    assert Level.A0.not_shown in text
    assert "5 entries" in text


def test_a_log_rewritten_with_all_its_hashes_is_valid_at_this_level(tmp_path: Path) -> None:
    """The floor that the level has, and that every output owns up to."""
    forged = small_log(2, session_id="ab" * 16)
    assert verify([str(write(tmp_path / "audit.log", forged))]).verdict.exit_code == 0
    assert verify([str(write(tmp_path / "audit.log", forged[:-1]))]).verdict.exit_code == 0


def test_quiet_prints_nothing(tmp_path: Path) -> None:
    valid, invalid = write(tmp_path / "a.log", small_log()), write(tmp_path / "b.log", small_log()[::-1])
    outcomes = [audit("verify", "--quiet", path) for path in (valid, invalid)]
    assert [(outcome.status, outcome.stdout, outcome.stderr) for outcome in outcomes] == [(0, "", ""), (1, "", "")]
    assert json.loads(audit("verify", "--format", "json", invalid).stdout)["exit_code"] == 1


def test_a_flood_of_notes_leaves_room_for_a_finding_and_stands_behind_it() -> None:
    found = Findings()
    for number in range(2 * MAX_FINDINGS):
        found.add(Finding(FindingCode.CLOCK_STEP, Place("a.log", number + 1)))
    found.add(Finding(FindingCode.BROKEN_LINK, Place("z.log", 7)))
    kept = found.kept()
    assert kept[0].code is FindingCode.BROKEN_LINK
    assert len(kept) == 1 + MAX_FINDINGS
