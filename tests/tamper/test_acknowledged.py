"""Missing entries that a person has acknowledged: what the record of that must be for a verifier to accept it."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.auditor import Outcome, audit
from support.logs import LogBuilder, reseal, write
from support.signed import LOG_KEY, SignedBuilder, epoch_key

# Behind a gap nobody can tell which epoch is in office: there it is the log's own key that counts.
ACCEPT = ("--accept-acknowledged", "--key", str(LOG_KEY.verifier))


class Broken:
    """A signed log of three segments, of which the second, entries `missing`, is lost."""

    def __init__(self) -> None:
        self.log = log = SignedBuilder()
        log.open_log()
        log.call(1)
        self.first = log.rotate()
        log.call(2)
        log.checkpoint()
        self.lost = log.rotate()
        self.missing = [len(self.first), len(self.first) + len(self.lost) - 1]
        self.follows = hash_of(self.first[-1])

    def acknowledge(self, **other: Any) -> None:
        """Append the record of a person, right but for `other`, and sign it."""
        right: dict[str, Any] = {"by": "alice", "note": "the disk was full"}
        right |= {"missing": [self.missing], "follows": [self.follows]}
        self.log.security("break_acknowledged", **(right | other))
        self.log.checkpoint()


def hash_of(line: bytes) -> str:
    return line[15:79].decode("ascii")


def judged(home: Path, segments: Sequence[Sequence[bytes]], *options: str) -> Outcome:
    for path in home.glob("audit.log*"):
        path.unlink()
    for number, lines in enumerate(segments):
        write(home / f"audit.log.{number}", lines)
    return audit("verify", "--format", "json", "--no-sidecar", *options, home)


def found(outcome: Outcome) -> tuple[int, list[tuple[str, str | None]]]:
    """Return the status, and each finding with what is wrong with its acknowledgement."""
    findings = (one for one in outcome.json["findings"] if one["verdict"] != "note")
    return outcome.status, [(one["id"], (one["acknowledged"] or {"problem": None})["problem"]) for one in findings]


@pytest.fixture
def broken() -> Broken:
    return Broken()


def test_a_signed_acknowledgement_is_accepted_where_that_is_asked_for_and_shown_in_any_case(
    tmp_path: Path, broken: Broken
) -> None:
    broken.acknowledge()
    segments = (broken.first, broken.log.lines)
    outcome = judged(tmp_path, segments, *ACCEPT)
    said = {"seq": broken.log.head.seq - 1, "by": "alice", "note": "the disk was full", "problem": ""}
    (finding,) = (one for one in outcome.json["findings"] if one["verdict"] != "note")
    timestamp = finding["acknowledged"].pop("timestamp")
    assert finding["acknowledged"] == said | {"accepted": True}
    assert (outcome.status, outcome.json["verdict"], outcome.json["counts"]["AEG201"]) == (0, "valid", 1)
    outcome = judged(tmp_path, segments, *ACCEPT[1:])
    (finding,) = (one for one in outcome.json["findings"] if one["verdict"] != "note")
    assert finding["acknowledged"] == said | {"accepted": False, "timestamp": timestamp}
    assert (outcome.status, outcome.json["verdict"]) == (4, "incomplete")
    line = f"  acknowledged in entry {said['seq']} at {timestamp} by alice: the disk was full\n"
    shown = audit("verify", *ACCEPT, tmp_path)
    assert shown.stdout.startswith("VALID ")
    assert line + "  accepted\n" in shown.stdout
    shown = audit("verify", *ACCEPT[1:], tmp_path)
    assert shown.stdout.startswith("INCOMPLETE ")
    assert line + "  --accept-acknowledged accepts it\n" in shown.stdout


def test_without_a_key_that_counts_nothing_is_accepted(tmp_path: Path, broken: Broken) -> None:
    broken.acknowledge()
    segments, why = (broken.first, broken.log.lines), "no checkpoint that counts covers it"
    assert found(judged(tmp_path, segments, ACCEPT[0])) == (4, [("AEG201", why)])
    assert f"  which does not count: {why}\n" in audit("verify", ACCEPT[0], tmp_path).stdout
    assert found(judged(tmp_path, segments, ACCEPT[0], "--key", str(epoch_key(0).verifier)))[0] == 4
    assert found(judged(tmp_path, (broken.first, broken.log.lines[:-1]), *ACCEPT)) == (4, [("AEG201", why)])


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ({"missing": [[2, 6]]}, "it names entries 2 to 6"),
        ({"missing": [[3, 5]]}, "it names entries 3 to 5"),
        ({"missing": [[3, 4], [5, 6]]}, "it names entries 5 to 6"),
        ({"follows": ["ab" * 32]}, "another entry came before when it was written"),
        ({"follows": [None]}, "it does not say which entry came before"),
        ({"follows": []}, "it does not say which entry came before"),
        ({"follows": "ab" * 32}, "it does not say which entry came before"),
        ({"missing": [[100, 200]]}, None),
        ({"missing": [[1, 2], [7, 8]]}, None),
        ({"missing": [[1, 2], [7, 7]]}, None),
        ({"missing": [[3.5, 6], ["3", "6"], [6, 3], [3], 6, None]}, None),
        ({"missing": "3-6"}, None),
        ({"missing": []}, None),
    ],
)
def test_what_does_not_name_the_break_as_it_is_is_not_accepted(
    tmp_path: Path, broken: Broken, claim: dict[str, Any], why: str | None
) -> None:
    assert broken.missing == [3, 6]
    broken.acknowledge(**claim)
    assert found(judged(tmp_path, (broken.first, broken.log.lines), *ACCEPT)) == (4, [("AEG201", why)])


def test_a_finding_that_stands_in_no_line_is_not_acknowledged(tmp_path: Path, broken: Broken) -> None:
    broken.acknowledge()
    cut = gzip.compress(b"".join(broken.first))[:-9]
    assert found(judged(tmp_path, ([cut], broken.log.lines), *ACCEPT)) == (4, [("AEG202", None)])


def test_another_entry_in_a_copy_is_not_acknowledged(tmp_path: Path, broken: Broken) -> None:
    broken.acknowledge()
    copy = [*broken.first[:-1], reseal(broken.first[-1].replace(b'"status":"ok"', b'"status":"no"'))]
    assert found(judged(tmp_path, (broken.first, broken.log.lines, copy), *ACCEPT)) == (
        1,
        [("AEG201", "another entry came before when it was written"), ("AEG003", None)],
    )


def test_one_that_counts_is_shown_before_those_that_do_not(tmp_path: Path, broken: Broken) -> None:
    broken.acknowledge(missing=[[2, 6]])
    broken.acknowledge()
    broken.acknowledge(missing=[[3, 5]])
    outcome = judged(tmp_path, (broken.first, broken.log.lines), *ACCEPT)
    assert found(outcome) == (0, [("AEG201", "")])


def test_an_acknowledgement_counts_whatever_the_order_of_the_segments(tmp_path: Path, broken: Broken) -> None:
    broken.log.checkpoint()
    opened = broken.log.rotate()
    broken.acknowledge()
    together = [*broken.log.lines, *opened, *broken.first]
    assert found(judged(tmp_path, [together], *ACCEPT)) == (0, [("AEG201", "")])


def test_what_is_found_beside_an_accepted_break_still_counts(tmp_path: Path, broken: Broken) -> None:
    broken.acknowledge()
    edited = [broken.first[0], broken.first[1].replace(b"notes/", b"votes/"), *broken.first[2:]]
    assert found(judged(tmp_path, (edited, broken.log.lines), *ACCEPT)) == (1, [("AEG001", None), ("AEG201", "")])
    end = LogBuilder(broken.log.head)
    end.call(9)
    holed = [*broken.log.lines, end.lines[1]]
    assert found(judged(tmp_path, (broken.first, holed), *ACCEPT)) == (4, [("AEG201", ""), ("AEG201", None)])


def test_entries_that_the_writer_has_recorded_as_lost_are_acknowledged_in_the_same_way(
    tmp_path: Path, broken: Broken
) -> None:
    broken.log.security("entries_lost", missing=broken.missing, reason="the log was shorter than its head")
    broken.acknowledge()
    segments = (broken.first, broken.log.lines)
    assert found(judged(tmp_path, segments, *ACCEPT)) == (0, [("AEG204", "")])
    assert found(judged(tmp_path, segments)) == (4, [("AEG204", "no checkpoint that counts covers it")])
    # Who has only what came after has nothing before the break that could have been changed.
    assert found(judged(tmp_path, (broken.log.lines,), *ACCEPT)) == (0, [("AEG204", "")])
    brought = judged(tmp_path, (broken.first, broken.lost, broken.log.lines), *ACCEPT)
    assert found(brought) == (4, [("AEG204", "some of these entries are there")])
    brought = judged(tmp_path, (broken.first, [*broken.first, broken.lost[0]], broken.log.lines), *ACCEPT)
    assert found(brought) == (4, [("AEG204", "some of these entries are there")])


def test_a_recorded_loss_is_acknowledged_by_its_entry_where_there_is_no_gap(tmp_path: Path, broken: Broken) -> None:
    broken.log.security("entries_lost", count=7)
    counted = broken.log.head.seq
    broken.log.security("entries_lost", missing=broken.missing, reason="the log was shorter than its head")
    broken.acknowledge(missing=[], lost=[counted, counted + 1])
    segments = (broken.first, broken.lost, broken.log.lines)
    assert found(judged(tmp_path, segments, *ACCEPT)) == (0, [("AEG204", ""), ("AEG204", "")])
    unsigned = [("AEG204", "no checkpoint that counts covers it")] * 2
    assert found(judged(tmp_path, segments, ACCEPT[0])) == (4, unsigned)
    assert found(judged(tmp_path, (*segments[:2], segments[2][:-1]), *ACCEPT)) == (4, unsigned)
    why = "it does not name the entries that are missing"
    assert found(judged(tmp_path, (broken.first, broken.log.lines), *ACCEPT)) == (4, [("AEG204", ""), ("AEG204", why)])


def test_an_acknowledgement_says_nothing_of_what_is_recorded_as_lost_after_it(tmp_path: Path, broken: Broken) -> None:
    broken.acknowledge(missing=[], lost=[["x"], True, "x", broken.log.head.seq + 3], torn=[["x"]])
    broken.log.security("entries_lost", count=7)
    broken.log.checkpoint()
    segments = (broken.first, broken.lost, broken.log.lines)
    assert found(judged(tmp_path, segments, *ACCEPT)) == (4, [("AEG204", None)])


TORN = b'{"entry_hash":"torn'


def test_a_torn_line_is_acknowledged_by_its_hash(tmp_path: Path, broken: Broken) -> None:
    torn = hashlib.sha256(TORN).hexdigest()
    broken.acknowledge(missing=[], torn=[torn])
    segments = ([*broken.first, TORN], broken.lost, broken.log.lines)
    outcome = judged(tmp_path, segments, *ACCEPT)
    assert found(outcome) == (0, [("AEG202", "")])
    assert torn in next(one["found"] for one in outcome.json["findings"] if one["id"] == "AEG202")
    other = ([*broken.first, TORN + b"!"], broken.lost, broken.log.lines)
    assert found(judged(tmp_path, other, *ACCEPT)) == (4, [("AEG202", None)])


def test_a_torn_line_hides_no_entries_that_are_missing_behind_it(tmp_path: Path, broken: Broken) -> None:
    torn = hashlib.sha256(TORN).hexdigest()
    broken.acknowledge(missing=[], torn=[torn])
    segments = ([*broken.first, TORN], broken.log.lines)
    why = "entries behind the torn line are missing as well"
    assert found(judged(tmp_path, segments, *ACCEPT)) == (4, [("AEG202", why)])
    broken.acknowledge(torn=[torn])
    assert found(judged(tmp_path, ([*broken.first, TORN], broken.log.lines), *ACCEPT)) == (0, [("AEG202", "")])
    # A torn line behind the acknowledgement is another one, whatever it looks like.
    for end in (len(broken.log.lines), -1):
        segments = (broken.first, broken.lost, [*broken.log.lines[:end], TORN], broken.log.lines)
        assert found(judged(tmp_path, segments, *ACCEPT)) == (4, [("AEG202", why)])


def test_the_acknowledgement_of_one_log_says_nothing_of_another(tmp_path: Path, broken: Broken) -> None:
    other = Broken()
    other.log = SignedBuilder(origin="other.example/aegis")
    other.log.open_log()
    other.log.call(1)
    first = other.log.rotate()
    other.log.call(2)
    other.log.checkpoint()
    other.log.rotate()
    broken.acknowledge()
    segments = (broken.first, broken.log.lines, first, other.log.lines)
    assert found(judged(tmp_path, segments, *ACCEPT)) == (4, [("AEG201", ""), ("AEG201", None)])
    together = [line for segment in segments for line in segment]
    assert found(judged(tmp_path, [together], *ACCEPT)) == (4, [("AEG201", ""), ("AEG201", None)])
    together = [line for segment in (*segments[2:], *segments[:2]) for line in segment]
    assert found(judged(tmp_path, [together], *ACCEPT)) == (4, [("AEG201", None), ("AEG201", "")])


def test_processes_that_read_for_others_find_the_same(tmp_path: Path, broken: Broken) -> None:
    broken.acknowledge()
    for number in range(3, 90):
        broken.log.call(number)
    broken.log.checkpoint()
    for jobs in ("1", "2"):
        outcome = judged(tmp_path, (broken.first, broken.log.lines), *ACCEPT, "--jobs", jobs)
        assert found(outcome) == (0, [("AEG201", "")])


def test_a_state_is_not_kept_of_a_log_with_an_accepted_break(tmp_path: Path, broken: Broken) -> None:
    # What was verified before is not read again: the next time the break would go unseen, asked for or not.
    broken.acknowledge()
    state = tmp_path / "state"
    segments = (broken.first, broken.log.lines)
    assert judged(tmp_path, segments, *ACCEPT, "--state", str(state)).status == 0
    assert not state.exists()
    assert judged(tmp_path, segments, "--state", str(state)).status == 4


def test_what_was_recorded_is_hostile_text(tmp_path: Path, broken: Broken) -> None:
    broken.acknowledge(by="\x1b[31mmallory", note="x\n\u202ey")
    judged(tmp_path, (broken.first, broken.log.lines))
    shown = audit("verify", *ACCEPT, tmp_path).stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    broken.acknowledge(by=7, note=["x"])
    assert found(judged(tmp_path, (broken.first, broken.log.lines), *ACCEPT)) == (0, [("AEG201", "")])


def test_a_plan_leads_to_the_acknowledgement_and_from_there_to_the_option(tmp_path: Path, broken: Broken) -> None:
    key = ("--key", str(LOG_KEY.verifier))
    torn = [*broken.first[:-1], broken.first[-1][:-9]]
    broken.log.security("entries_lost", count=7)
    lost = broken.log.head.seq
    broken.log.checkpoint()
    judged(tmp_path, (torn, broken.lost, broken.log.lines))
    sha256 = hashlib.sha256(torn[-1]).hexdigest()
    plan = audit("repair", "--plan", "--format", "json", *key, tmp_path)
    acknowledge = "aegis-mcp audit acknowledge {} --note 'WHAT HAPPENED'"
    cut = len(broken.first) - 1
    assert [(one["finding"]["id"], one["command"], one["otherwise"]) for one in plan.json["steps"]] == [
        ("AEG202", f"aegis-audit verify {tmp_path} COPY", acknowledge.format(f"--torn {sha256} --missing {cut}-{cut}")),
        ("AEG204", acknowledge.format(f"--lost {lost}"), None),
    ]
    broken.acknowledge()
    judged(tmp_path, (broken.first, broken.log.lines))
    plan = audit("repair", "--plan", "--format", "json", *key, tmp_path)
    assert plan.json["steps"][0]["otherwise"] == f"aegis-audit verify --accept-acknowledged {tmp_path}"
