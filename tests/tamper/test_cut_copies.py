"""A copy that was made while somebody wrote may end within a line: nothing is missing if that is whole elsewhere.

logrotate makes such copies with `copytruncate`: who reads does not see a whole write at once. What the copy has missed,
the gateway writes again into the segment that comes next.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Final

import pytest

from support.auditor import Outcome, audit
from support.logs import LogBuilder, small_log, write
from support.signed import LOG_KEY, SignedBuilder

VALID: Final = 0
INCOMPLETE: Final = 4


class Rotated:
    """A log that was copied and cut twice; `copied` is the second copy, whole, and `live` what was written after it."""

    def __init__(self, log: LogBuilder | None = None) -> None:
        self.log = log = log or LogBuilder()
        log.open_log()
        log.call(0)
        self.first = log.lines
        self.copied = self._cut(self.first)
        log.call(1)
        log.call(2)
        self.copied += log.lines[1:]
        self.live = self._cut(self.copied[:1] + log.lines[1:])
        log.call(3)
        self.live += log.lines[1:]

    def _cut(self, again: list[bytes]) -> list[bytes]:
        first_seq = self.log.head.seq + 1 - len(again)
        self.log.lines = []
        return [self.log.open_segment("truncated", replay=[first_seq, self.log.head.seq]), *again]


@pytest.fixture
def rotated() -> Rotated:
    return Rotated()


def judged(home: Path, *options: str | Path) -> Outcome:
    return audit("verify", "--format", "json", "--no-sidecar", *options, home)


def said(outcome: Outcome) -> list[tuple[str, str, str]]:
    """Return the id, what was expected and what was found of each finding of a line that was cut."""
    findings = ((one["id"], one["expected"], one["found"]) for one in outcome.json["findings"])
    return [one for one in findings if one[0] == "AEG202" or one[2].startswith("its first ")]


@pytest.mark.parametrize(
    "at", [4, 5, 7], ids=["right behind what was written again", "further on", "in the last entry"]
)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_what_a_copy_was_cut_in_is_no_loss_where_it_is_whole_elsewhere(
    tmp_path: Path, rotated: Rotated, at: int, is_compressed: bool
) -> None:
    write(tmp_path / "audit.log.2", rotated.first)
    live = write(tmp_path / "audit.log", rotated.live)
    if is_compressed:
        live.with_name("audit.log.gz").write_bytes(gzip.compress(live.read_bytes()))
        live.unlink()
    before, line = rotated.copied[:at], rotated.copied[at]
    where = f"; the whole of it in {tmp_path / 'audit.log'}{'.gz' if is_compressed else ''}"
    for length in (*range(1, len(line), 23), len(line) - 1):
        copy = write(tmp_path / "audit.log.1", [*before, line[:length]])
        outcome = judged(tmp_path, "--from-genesis")
        assert (outcome.status, said(outcome)) == (
            VALID,
            [("AEG502", f"entry {at}", f"its first {length} bytes{where}")],
        )
        assert outcome.json["counts"].keys() == {"AEG502"}
        alone = audit("verify", "--format", "json", "--no-sidecar", copy)
        assert (alone.status, [one for one, *_ in said(alone)]) == (INCOMPLETE, ["AEG202"])
        shown = audit("inspect", "--format", "json", tmp_path)
        assert (shown.status, [one["seq"] for one in shown.json["entries"]]) == (VALID, list(range(11)))
        assert (shown.json["damaged"], shown.json["findings"]) == (0, [])


@pytest.mark.parametrize("at", [2, 3])
def test_what_was_written_again_is_no_loss_where_a_copy_was_cut_in_it(
    tmp_path: Path, rotated: Rotated, at: int
) -> None:
    first = write(tmp_path / "audit.log.2", rotated.first)
    write(tmp_path / "audit.log", rotated.live)
    write(tmp_path / "audit.log.1", [*rotated.copied[:at], rotated.copied[at][:99]])
    outcome = judged(tmp_path, "--from-genesis")
    assert (outcome.status, said(outcome)) == (
        VALID,
        [("AEG502", f"entry {at - 1}", f"its first 99 bytes; the whole of it in {first}")],
    )


def test_what_is_torn_is_whole_in_a_segment_of_its_own_log_only(tmp_path: Path, rotated: Rotated) -> None:
    other = LogBuilder(origin="archive.example/aegis", session_id="ab" * 16)
    other.open_log()
    write(tmp_path / "0.log", other.lines)
    first = write(tmp_path / "1.log", rotated.first)
    copy = write(tmp_path / "2.log", [*rotated.first[:2], rotated.first[2][:99]])
    outcome = judged(tmp_path)
    assert [one["origin"] for one in outcome.json["logs"]] == ["archive.example/aegis", rotated.log.origin]
    assert (outcome.status, said(outcome)) == (
        VALID,
        [("AEG502", "entry 2", f"its first 99 bytes; the whole of it in {first}")],
    )
    write(copy, [*rotated.first, *rotated.copied[:3], rotated.copied[3][:99]])
    first.unlink()
    assert (judged(tmp_path).status, [one for one, *_ in said(judged(tmp_path))]) == (INCOMPLETE, ["AEG202"])


def test_a_damaged_line_does_not_stand_for_what_was_torn(tmp_path: Path, rotated: Rotated) -> None:
    lines = rotated.first
    write(tmp_path / "1.log", [*lines[:2], lines[2][:99]])
    write(tmp_path / "2.log", [*lines[:2], lines[2][:-2] + b" }\n", lines[2]])
    outcome = judged(tmp_path)
    assert [one for one, *_ in said(outcome)] == ["AEG202"]


def test_what_is_torn_behind_an_entry_that_was_changed_is_damage(tmp_path: Path) -> None:
    lines = small_log(2)
    write(tmp_path / "1.log", lines[:3])
    write(tmp_path / "2.log", [lines[2].replace(b'"status":"ok"', b'"status":"no"'), lines[3][:99]])
    write(tmp_path / "3.log", lines[3:])
    shown = audit("inspect", "--format", "json", tmp_path)
    assert [one["id"] for one in shown.json["findings"]] == ["AEG001", "AEG202"]


def test_what_is_torn_and_is_no_beginning_of_the_entry_is_still_missing(tmp_path: Path, rotated: Rotated) -> None:
    write(tmp_path / "audit.log.2", rotated.first)
    write(tmp_path / "audit.log", rotated.live)
    line = rotated.copied[5]
    for torn in (line[:99] + b"!", rotated.copied[4][:99], rotated.copied[6][:99], b"x"):
        write(tmp_path / "audit.log.1", [*rotated.copied[:5], torn])
        outcome = judged(tmp_path)
        assert (outcome.status, outcome.json["counts"]["AEG202"]) == (INCOMPLETE, 1)
        assert audit("inspect", tmp_path).status == INCOMPLETE


def test_an_entry_of_another_history_does_not_stand_for_what_was_torn(tmp_path: Path) -> None:
    lines = small_log(2)
    other = small_log(2, session_id="ab" * 16)
    write(tmp_path / "1.log", [*lines[:3], lines[3][:1]])
    write(tmp_path / "2.log", other[3:])
    assert judged(tmp_path).json["counts"] == {"AEG002": 1, "AEG202": 1}
    assert audit("inspect", tmp_path).status == INCOMPLETE


def test_what_is_missing_behind_a_copy_that_was_cut_is_missing(tmp_path: Path, rotated: Rotated) -> None:
    write(tmp_path / "1.log", [*rotated.copied[:5], rotated.copied[5][:99]])
    write(tmp_path / "2.log", rotated.live[-2:])
    outcome = judged(tmp_path)
    assert (outcome.status, outcome.json["counts"]) == (INCOMPLETE, {"AEG202": 1, "AEG505": 1})
    write(tmp_path / "3.log", rotated.copied[5:6])
    outcome = judged(tmp_path)
    assert (outcome.status, outcome.json["counts"]) == (INCOMPLETE, {"AEG201": 1, "AEG502": 1})
    (missing,) = (one for one in outcome.json["findings"] if one["id"] == "AEG201")
    assert missing["expected"] == "entries 6 to 8"


def test_a_stream_that_is_gone_does_not_stand_for_what_was_torn(tmp_path: Path, rotated: Rotated) -> None:
    copy = write(tmp_path / "1.log", [*small_log(1), rotated.copied[0][:99]])
    outcome = audit("verify", "--format", "json", copy, "-", stdin=b"".join(rotated.copied[:1]))
    assert (outcome.status, outcome.json["counts"]) == (INCOMPLETE, {"AEG202": 1})


def test_a_compressed_copy_that_was_cut_is_torn_whatever_else_holds_its_entries(
    tmp_path: Path, rotated: Rotated
) -> None:
    home, state = tmp_path / "log", tmp_path / "verified.state"
    home.mkdir()
    whole = write(home / "audit.log", rotated.first)
    assert judged(home, "--state", state).status == VALID
    (home / "audit.log.1.gz").write_bytes(gzip.compress(b"".join(rotated.first[:2]))[:-8])
    torn = [("AEG202", "the end of the gzip stream", "the end of the file")]
    assert said(judged(home)) == torn
    assert said(judged(home, "--state", state)) == torn
    whole.unlink()
    assert said(judged(home, "--state", state)) == torn


def test_what_was_verified_before_is_not_missed_in_a_copy_that_was_cut(tmp_path: Path, rotated: Rotated) -> None:
    home, state = tmp_path / "log", tmp_path / "verified.state"
    home.mkdir()
    write(home / "audit.log.2", rotated.first)
    write(home / "audit.log", rotated.live)
    copy = write(home / "audit.log.1", [*rotated.copied[:5], rotated.copied[5][:99]])
    assert judged(home, "--state", state).status == VALID
    (home / "audit.log.1.gz").write_bytes(gzip.compress(copy.read_bytes()))
    copy.unlink()
    outcome = judged(home, "--state", state)
    assert (outcome.status, said(outcome)) == (
        VALID,
        [("AEG502", "entry 5", "its first 99 bytes; the whole of it was verified before")],
    )


def test_what_is_missing_behind_an_entry_that_was_verified_before_is_missing(tmp_path: Path, rotated: Rotated) -> None:
    home, state = tmp_path / "log", tmp_path / "verified.state"
    home.mkdir()
    whole = write(home / "audit.log", rotated.copied[:6])
    assert judged(home, "--state", state).status == VALID
    whole.unlink()
    write(home / "audit.log.1", [*rotated.copied[:5], rotated.copied[5][:99]])
    write(home / "audit.log", rotated.live[-2:])
    outcome = judged(home, "--state", state)
    missing = [one["expected"] for one in outcome.json["findings"] if one["id"] == "AEG201"]
    assert (outcome.status, missing) == (INCOMPLETE, ["entries 6 to 8"])


def test_an_acknowledged_line_behind_what_was_written_again_hides_no_entries(tmp_path: Path) -> None:
    rotated = Rotated(log := SignedBuilder())
    torn = rotated.copied[4][:99]
    log.security("break_acknowledged", by="alice", note="", torn=[hashlib.sha256(torn).hexdigest()])
    log.checkpoint()
    write(tmp_path / "1.log", [*rotated.first, *rotated.copied[:4], torn])
    write(tmp_path / "2.log", log.lines[-2:])
    outcome = judged(tmp_path, "--accept-acknowledged", "--key", str(LOG_KEY.verifier))
    (finding,) = (one for one in outcome.json["findings"] if one["id"] == "AEG202")
    assert (outcome.status, finding["acknowledged"]["problem"]) == (
        INCOMPLETE,
        "entries behind the torn line are missing as well",
    )
