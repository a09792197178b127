"""A break that a person has acknowledged: recorded and signed by the gateway, and accepted by the auditor on demand."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from aegis_audit.segment import Segment
from support.auditor import Outcome, audit
from support.commands import Done, run
from support.gateway import Stage
from support.journals import append, entries, journal, kinds, log_of


def _acknowledge(home: Path, log: Path, *words: str) -> Done:
    command = ("acknowledge", "--audit-log", str(log), "--by", "alice", "--note", "a disk has failed")
    return run(home, "audit", *command, "--format", "json", *words)


def _verify(home: Path, log: Path, *options: str) -> Outcome:
    (public,) = (home / "data" / "aegis-mcp" / "keys").rglob("public")
    return audit("verify", "--format", "json", "--key", public, *options, log.parent)


def _found(outcome: Outcome) -> tuple[int, list[str]]:
    return outcome.status, [one["id"] for one in outcome.json["findings"] if one["verdict"] != "note"]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return a log of three segments."""
    made = Stage(tmp_path)
    for number in range(3):
        with made.wrap() as host:
            host.initialize()
            host.call("echo", {"n": number})
        if number < 2:
            assert run(tmp_path / "home", "audit", "rotate", "--audit-log", str(made.log)).status == 0
    return made


def _segments(stage: Stage) -> list[Path]:
    paths = [path for path in stage.log.parent.iterdir() if path.is_file()]
    return sorted(paths, key=lambda path: entries(path)[0].seq)


def _lose_the_second(stage: Stage) -> str:
    lost = _segments(stage)[1]
    seqs = [entry.seq for entry in entries(lost)]
    lost.unlink()
    return f"{seqs[0]}-{seqs[-1]}"


def test_a_lost_segment_stops_nobody_for_ever_and_stays_visible(tmp_path: Path, stage: Stage) -> None:
    home, missing = tmp_path / "home", _lose_the_second(stage)
    assert _found(_verify(home, stage.log, "--accept-acknowledged")) == (4, ["AEG201"])
    done = _acknowledge(home, stage.log, "--missing", missing)
    first, last = (int(word) for word in missing.split("-"))
    follows = entries(_segments(stage)[0])[-1].entry_hash
    said = {"signed": True, "missing": [[first, last]], "follows": [follows]}
    assert (done.status, {name: done.json[name] for name in said}) == (0, said)
    assert _found(_verify(home, stage.log, "--accept-acknowledged", "--require", "a1")) == (0, ["AEG201"])
    assert _found(_verify(home, stage.log)) == (4, ["AEG201"])
    with stage.wrap() as host:
        host.initialize()
        host.call("echo", {"n": 9})
    outcome = _verify(home, stage.log, "--accept-acknowledged")
    assert _found(outcome) == (0, ["AEG201"])
    (record,) = (one["acknowledged"] for one in outcome.json["findings"] if one["id"] == "AEG201")
    assert (record["seq"], record["by"], record["note"]) == (done.json["seq"], "alice", "a disk has failed")


def test_a_gap_in_the_segment_that_is_written_to_counts_as_well(tmp_path: Path, stage: Stage) -> None:
    lines = stage.log.read_bytes().splitlines(keepends=True)
    gone = entries(stage.log)[2].seq
    stage.log.write_bytes(b"".join(lines[:2] + lines[3:]))
    done = _acknowledge(tmp_path / "home", stage.log, "--missing", str(gone))
    assert (done.status, done.json["signed"]) == (0, True)
    assert _found(_verify(tmp_path / "home", stage.log, "--accept-acknowledged")) == (0, ["AEG201"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "say what is missing, with --missing, --torn or --lost"),
        (("--missing", "0"), "entry 0 is there: name what `aegis-audit verify` names as missing, and no more"),
        (("--missing", "BEFORE-AFTER"), "is there: name what `aegis-audit verify` names as missing, and no more"),
        (("--torn", "ab" * 32), "no segment ends in a torn line with the hash abab"),
        (("--torn", "AB" * 32), "is no SHA-256 in hex"),
        (("--lost", "1"), "entry 1 records no loss"),
        (("--lost", "99999"), "entry 99999 records no loss"),
    ],
)
def test_what_is_there_cannot_be_acknowledged_as_missing(
    tmp_path: Path, stage: Stage, words: tuple[str, ...], why: str
) -> None:
    first, last = (int(word) for word in _lose_the_second(stage).split("-"))
    given = [word.replace("BEFORE", str(first - 1)).replace("AFTER", str(last)) for word in words]
    done = _acknowledge(tmp_path / "home", stage.log, *given)
    assert done.status == 2
    assert why in done.stdout + done.stderr
    assert "break_acknowledged" not in kinds(*_segments(stage))


def test_a_line_that_was_torn_before_a_rotation_is_acknowledged_by_its_hash(tmp_path: Path) -> None:
    log, home = log_of(tmp_path), tmp_path / "home"
    append(journal(tmp_path), 1)
    head = log.parent / "audit.tlog" / "head"
    before = head.read_bytes()
    append(journal(tmp_path), 2)
    head.write_bytes(before)
    head.with_name("tail").unlink()  # or the line would be written again, and nothing would be missing
    os.truncate(log, log.stat().st_size - 50)
    old = log.rename(log.with_suffix(".log.1"))
    append(journal(tmp_path), 3)
    torn = hashlib.sha256([*Segment(str(old)).lines()][-1].raw).hexdigest()
    assert _acknowledge(home, log, "--torn", torn).status == 0
    outcome = _verify(home, log, "--accept-acknowledged")
    assert _found(outcome) == (0, ["AEG202"])
    assert _found(_verify(home, log)) == (4, ["AEG202"])


def test_a_log_that_was_cut_is_acknowledged_with_what_the_gateway_has_recorded(tmp_path: Path, stage: Stage) -> None:
    home, lines = tmp_path / "home", stage.log.read_bytes().splitlines(keepends=True)
    (stage.log.parent / "audit.tlog" / "tail").unlink()
    os.truncate(stage.log, sum(map(len, lines[:-3])))
    with stage.wrap() as host:
        host.initialize()
    (loss,) = (one for one in _verify(home, stage.log).json["findings"] if one["id"] == "AEG204")
    first, last = [int(word) for word in loss["found"].split() if word.isdigit()]
    assert _acknowledge(home, stage.log, "--missing", f"{first}-{last}").status == 0
    assert _found(_verify(home, stage.log, "--accept-acknowledged")) == (0, ["AEG204"])


def test_without_signatures_the_record_is_made_and_does_not_count(tmp_path: Path) -> None:
    log, home = log_of(tmp_path), tmp_path / "home"
    append(journal(tmp_path), 1, 2, 3)
    log.rename(log.with_suffix(".log.1"))
    append(journal(tmp_path), 4)
    log.rename(log.with_suffix(".log.2"))
    append(journal(tmp_path), 5)
    lost = [entry.seq for entry in entries(log.with_suffix(".log.2"))]
    log.with_suffix(".log.2").unlink()
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\naudit: {signatures: off}\n", encoding="utf-8")
    done = _acknowledge(home, log, "--policy", str(policy), "--missing", f"{lost[0]}-{lost[-1]}")
    assert (done.status, done.json["signed"]) == (0, False)
    outcome = audit("verify", "--format", "json", "--accept-acknowledged", log.parent)
    assert _found(outcome) == (4, ["AEG201"])
    assert outcome.json["findings"][0]["acknowledged"]["problem"] == "no checkpoint that counts covers it"
