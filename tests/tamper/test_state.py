"""A verification that goes on from an earlier one reads what is new, and accepts no log that has gone backwards."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aegis_audit.errors import UnusableState
from aegis_audit.state import State, store
from support.auditor import Outcome, audit
from support.journals import append, journal, log_of
from support.logs import LogBuilder, rotated_log, small_log, write
from support.signed import SignedBuilder, epoch_key

VALID = 0
TAMPERED = 1
CORRUPT = 3
INCOMPLETE = 4


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of five entries that a gateway has written, verified once."""
    append(journal(tmp_path), 1, 2, 3, 4)
    assert again(log_of(tmp_path)).status == VALID
    return log_of(tmp_path)


def state_of(log: Path) -> Path:
    return log.parent.parent / "verified.state"


def again(log: Path, *paths: Path) -> Outcome:
    """Verify a log, or a set of segments, from where the last time has ended; the sidecar is left out."""
    return audit("verify", "--no-sidecar", "--format", "json", "--state", state_of(log), *(paths or (log,)))


def verdict(outcome: Outcome) -> tuple[int, list[str]]:
    return outcome.status, [one["id"] for one in outcome.json["findings"] if one["verdict"] != "note"]


def lines_of(log: Path) -> list[bytes]:
    return log.read_bytes().splitlines(keepends=True)


def test_only_what_is_new_is_read_and_the_rest_is_said_to_be_verified_before(log: Path, tmp_path: Path) -> None:
    append(journal(tmp_path), 5, 6)
    outcome = again(log)
    lines = lines_of(log)
    assert verdict(outcome) == (VALID, [])
    assert (outcome.json["entries"], outcome.json["bytes"]) == (3, sum(map(len, lines[4:])))
    (earlier,) = outcome.json["earlier"]
    assert (earlier["first_seq"], earlier["last_seq"]) == (0, 4)
    assert [(one["origin"], one["last_seq"]) for one in outcome.json["logs"]] == [(earlier["origin"], 6)]
    assert outcome.json["findings"] == []
    shown = audit("verify", "--state", state_of(log), log)
    assert f"Not read again: entries 0 to 6 of log {earlier['origin']}, verified at " in shown.stdout


def test_a_place_in_a_log_that_was_gone_on_from_is_named_as_if_it_had_been_read_whole(log: Path) -> None:
    lines = lines_of(log)
    write(log, [*lines, b"junk\n"])
    (finding,) = again(log).json["findings"]
    assert (finding["line"], finding["offset"]) == (6, sum(map(len, lines)))


def test_the_demands_are_met_by_what_was_verified_before(log: Path, tmp_path: Path) -> None:
    append(journal(tmp_path), 5)
    options = ("--no-sidecar", "--quiet", "--state", state_of(log), "--from-genesis", "--min-records")
    assert audit("verify", *options, "6", log).status == VALID
    assert audit("verify", *options, "7", log).status == INCOMPLETE


def test_a_log_without_anything_new_is_valid_again_and_again(log: Path) -> None:
    for _ in range(3):
        assert verdict(again(log)) == (VALID, [])


def test_a_smaller_log_is_never_accepted(log: Path) -> None:
    lines = lines_of(log)
    for kept in range(1, 5):
        write(log, lines[:kept])
        assert verdict(again(log)) == (TAMPERED, ["AEG009"])
    write(log.with_name("other"), lines[:3]).replace(log)
    assert verdict(again(log)) == (TAMPERED, ["AEG009"])
    log.write_bytes(b"")
    assert verdict(again(log)) == (INCOMPLETE, ["AEG205", "AEG301"])
    log.unlink()
    assert verdict(again(log)) == (INCOMPLETE, ["AEG205", "AEG301"])
    write(log, lines)
    assert verdict(again(log)) == (VALID, [])


def test_a_forked_or_another_log_is_never_accepted(log: Path) -> None:
    lines = lines_of(log)
    origin = json.loads(lines[0])["event"]["origin"]
    for calls in (2, 3):
        write(log, small_log(calls, origin=origin))
        assert verdict(again(log)) == (TAMPERED, ["AEG008"])
    write(log, small_log(3))
    assert verdict(again(log)) == (TAMPERED, ["AEG010"])


def test_what_is_not_valid_is_not_remembered(log: Path, tmp_path: Path) -> None:
    before = state_of(log).read_bytes()
    append(journal(tmp_path), 5)
    with log.open("ab") as file:
        file.write(b"torn")
    assert again(log).status == INCOMPLETE
    assert state_of(log).read_bytes() == before
    append(journal(tmp_path), 6)
    assert verdict(again(log)) == (VALID, [])
    assert state_of(log).read_bytes() != before
    assert [one.name for one in tmp_path.iterdir()] == ["logs", "verified.state"] or len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("compress", [False, True])
def test_a_rotation_by_renaming_is_followed(log: Path, tmp_path: Path, compress: bool) -> None:
    append(journal(tmp_path), 5)
    rotated = log.rename(log.with_name("audit.log.1"))
    if compress:
        content = gzip.compress(rotated.read_bytes())
        rotated.unlink()
        rotated = log.with_name("audit.log.1.gz")
        rotated.write_bytes(content)
    append(journal(tmp_path), 6)
    outcome = again(log, log.parent)
    assert verdict(outcome) == (VALID, [])
    append(journal(tmp_path), 7)
    outcome = again(log, log.parent)
    assert verdict(outcome) == (VALID, [])
    assert outcome.json["entries"] == 2
    assert [Path(one["path"]).name for one in outcome.json["segments"]] == ["audit.log"]


def test_a_rotation_by_copying_is_followed(log: Path, tmp_path: Path) -> None:
    append(journal(tmp_path), 5)
    shutil.copy(log, log.with_name("audit.log.1"))
    append(journal(tmp_path), 6)
    os.truncate(log, 0)
    append(journal(tmp_path), 7)
    assert verdict(again(log, log.parent)) == (VALID, [])
    append(journal(tmp_path), 8)
    outcome = again(log, log.parent)
    assert (verdict(outcome), outcome.json["entries"]) == ((VALID, []), 2)


def test_segments_that_are_no_longer_kept_are_not_missed(log: Path, tmp_path: Path) -> None:
    for number in range(5, 9):
        log.rename(log.with_name(f"audit.log.{number}"))
        append(journal(tmp_path), number)
        assert verdict(again(log, log.parent)) == (VALID, [])
    log.with_name("audit.log.5").unlink()
    (log.with_name("audit.log.6.gz")).write_bytes(gzip.compress(log.with_name("audit.log.6").read_bytes()))
    log.with_name("audit.log.6").unlink()
    append(journal(tmp_path), 9)
    assert verdict(again(log, log.parent)) == (VALID, [])


def test_a_stream_is_compared_with_the_state(log: Path, tmp_path: Path) -> None:
    append(journal(tmp_path), 5)
    options = ("verify", "--quiet", "--state", state_of(log), "-")
    lines = lines_of(log)
    assert audit(*options, stdin=b"".join(lines)).status == VALID
    assert audit(*options, stdin=b"".join(lines[:5])).status == TAMPERED


def test_an_entry_that_is_changed_where_the_last_time_ended_is_found(log: Path, tmp_path: Path) -> None:
    append(journal(tmp_path), 5)
    lines = lines_of(log)
    write(log, [*lines[:4], lines[4].replace(b'"number":4', b'"number":9'), *lines[5:]])
    assert verdict(again(log)) == (TAMPERED, ["AEG001"])


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"[" * 100_000, b'{"v":2}', b"\xff", bytes(5 << 20)])
def test_what_is_no_state_is_refused_and_left_alone(log: Path, content: bytes) -> None:
    state_of(log).write_bytes(content)
    outcome = audit("verify", "--state", state_of(log), log)
    assert (outcome.status, outcome.stdout) == (6, "")
    assert outcome.stderr.startswith("aegis-audit: state ")
    assert state_of(log).read_bytes() == content
    answer = audit("verify", "--format", "json", "--state", state_of(log), log)
    assert (answer.status, answer.json) == (
        6,
        {"error": answer.stderr.removeprefix("aegis-audit: ").rstrip("\n"), "exit_code": 6},
    )


def test_a_state_that_cannot_be_read_or_written_is_an_error_and_no_verdict(log: Path, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    for path in (tmp_path / "directory", tmp_path / "absent" / "state"):
        outcome = audit("verify", "--quiet", "--state", path, log)
        assert (outcome.status, outcome.stdout) == (6, "")
        assert outcome.stderr.startswith("aegis-audit: state ")


def test_the_state_is_for_its_owner_alone(log: Path) -> None:
    assert state_of(log).stat().st_mode & 0o777 == 0o600


def test_two_logs_are_remembered_in_one_state(log: Path, tmp_path: Path) -> None:
    other = LogBuilder()
    other.open_log()
    other.call(0)
    path = write(log.with_name("other.log"), other.lines)
    assert verdict(again(log, log, path)) == (VALID, [])
    other.call(1)
    write(path, other.lines)
    append(journal(tmp_path), 5)
    outcome = again(log, log, path)
    assert (verdict(outcome), outcome.json["entries"]) == ((VALID, []), 5)
    write(path, other.lines[:-1])
    assert verdict(again(log, log, path)) == (TAMPERED, ["AEG009"])
    write(path, small_log(origin="another.example/aegis"))
    assert verdict(again(log, log, path)) == (TAMPERED, ["AEG010"])
    path.unlink()
    assert verdict(again(log, log)) == (INCOMPLETE, ["AEG205"])


def test_what_one_log_is_known_to_have_had_is_missed_in_another(log: Path) -> None:
    first, second, third = rotated_log(1, 1, 1)
    paths = [write(log.with_name(name), lines) for name, lines in (("1.log", first), ("3.log", third))]
    write(log, small_log(20, origin="other.example/aegis"))
    state_of(log).unlink()
    assert verdict(again(log)) == (VALID, [])
    assert verdict(again(log, log, *paths)) == (INCOMPLETE, ["AEG201"])
    assert verdict(again(log, log, *paths, write(log.with_name("2.log"), second))) == (VALID, [])


def test_a_log_of_several_segments_is_remembered_from_its_first_entry_on(log: Path) -> None:
    segments = rotated_log(1, 1, 1)
    paths = [write(log.with_name(f"{number}.log"), lines) for number, lines in enumerate(segments[:2])]
    options = ("verify", "--no-sidecar", "--quiet", "--from-genesis", "--state", log.with_name("state"))
    assert audit(*options, *paths).status == VALID
    third = write(log.with_name("2.log"), segments[2])
    assert audit(*options, *paths, third).status == VALID
    assert audit(*options, third).status == VALID


def test_entries_that_were_verified_before_are_counted_from_the_first_one_that_was(log: Path) -> None:
    _, second, third = rotated_log(1, 1, 1)
    options = ("verify", "--no-sidecar", "--quiet", "--state", log.with_name("state"), "--min-records")
    path = write(log.with_name("1.log"), second)
    assert audit(*options, str(len(second) + 1), path).status == INCOMPLETE
    assert audit(*options, str(len(second)), path).status == VALID
    count, more = len(second) + len(third), write(log.with_name("2.log"), third)
    assert audit(*options, str(count + 1), path, more).status == INCOMPLETE
    assert audit(*options, str(count), path, more).status == VALID


def test_of_two_logs_each_is_held_to_what_the_last_verification_knew_of_its_own_tree(tmp_path: Path) -> None:
    logs = [SignedBuilder(origin=f"{name}.example/aegis") for name in ("one", "two")]
    paths = [tmp_path / f"{number}.log" for number in range(2)]
    options = ("verify", "--no-sidecar", "--format", "json", "--state", tmp_path / "state")
    for number, (log, path) in enumerate(zip(logs, paths, strict=True)):
        log.open_log()
        for call in range(number + 1):
            log.call(call)
        log.checkpoint()
        write(path, log.lines)
    assert verdict(audit(*options, *paths)) == (VALID, [])
    for log, path in zip(logs, paths, strict=True):
        log.call(9)
        write(path, [*log.lines, log.checkpoint(root=bytes(32))])
        assert verdict(audit(*options, *paths)) == (TAMPERED, ["AEG011"])
        write(path, log.lines[:-1])
    assert verdict(audit(*options, *paths)) == (VALID, [])


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_is_read_again_from_the_opening_of_a_segment_on_stays_signed(tmp_path: Path, is_whole: bool) -> None:
    log = SignedBuilder()
    log.open_log()
    log.call(0)
    first = log.rotate()
    log.hand_over()
    log.call(1)
    log.checkpoint()
    directory = tmp_path / "logs"
    directory.mkdir()
    if is_whole:
        write(directory / "audit.log.2", first)
    path = write(directory / "audit.log", log.lines)
    key, level = (log.roots.epoch_key, "a2") if is_whole else (log.roots.log_key, "a1")
    options = ("verify", "--no-sidecar", "--format", "json", "--state", tmp_path / "state", "--require", level)
    for _ in range(2):
        assert verdict(audit(*options, "--key", str(key), directory)) == (VALID, [])
    (directory / "audit.log.1.gz").write_bytes(gzip.compress(b"".join(log.rotate())))
    path.unlink()
    write(path, log.lines)
    for _ in range(2):
        assert verdict(audit(*options, "--key", str(key), directory)) == (VALID, [])
    log.hand_over()
    log.checkpoint()
    write(path, [*log.lines, log.checkpoint(log.log_key, epoch_key(0))])
    # Who has to sign in which epoch is known from the start of the log.
    outcome = audit(*options, "--key", str(key), directory)
    assert verdict(outcome) == ((TAMPERED, ["AEG013"]) if is_whole else (VALID, []))


def handed_over(directory: Path) -> tuple[SignedBuilder, Path]:
    """Write the first segment of a log into a directory of its own; the next one begins with a handover."""
    log = SignedBuilder()
    log.open_log()
    log.call(0)
    directory.mkdir()
    write(directory / "audit.log.1", log.rotate())
    log.hand_over()
    return log, directory


def test_a_segment_that_is_written_again_whole_behind_an_earlier_verification_accuses_nobody(tmp_path: Path) -> None:
    log, directory = handed_over(tmp_path / "logs")
    log.call(1)
    log.checkpoint()
    path, start = write(directory / "audit.log", log.lines), log.head.seq + 1 - len(log.lines)
    options = ("verify", "--no-sidecar", "--format", "json", "--state", tmp_path / "state", "--require", "a2")
    options += ("--key", str(log.roots.epoch_key), directory)
    assert verdict(audit(*options)) == (VALID, [])
    log.hand_over()
    second, log.lines = log.lines, []
    write(directory / "audit.log.2", second)
    opening = log.open_segment("truncated", replay=[start, log.head.seq])
    log.hand_over()
    write(path, [opening, *second, *log.lines[1:]])
    for _ in range(2):
        assert verdict(audit(*options)) == (VALID, [])
    log.hand_over()
    write(path, [opening, *second, *log.lines[1:]])
    assert verdict(audit(*options)) == (VALID, [])


def test_of_a_segment_that_is_there_twice_the_epochs_are_remembered(tmp_path: Path) -> None:
    log, directory = handed_over(tmp_path / "logs")
    for name in ("2.log", "copy.log"):
        write(directory / name, log.lines)
    options = ("verify", "--no-sidecar", "--format", "json", "--state", tmp_path / "state", directory)
    assert verdict(audit(*options)) == (VALID, [])
    log.call(1)
    write(directory / "2.log", [*log.lines, log.checkpoint(log.log_key, epoch_key(0))])
    assert verdict(audit(*options)) == (TAMPERED, ["AEG013"])


def test_how_old_the_last_signed_entry_is_is_known_from_an_earlier_verification(tmp_path: Path) -> None:
    log = SignedBuilder()
    log.now = datetime.now(UTC) - timedelta(hours=2)
    log.open_log()
    log.call(0)
    log.checkpoint()
    path = write(tmp_path / "audit.log", log.lines)
    options = ("verify", "--no-sidecar", "--format", "json", "--state", tmp_path / "state", "--require", "a2")
    options += ("--key", str(log.roots.epoch_key), "--max-age")
    assert verdict(audit(*options, "3h", path)) == (VALID, [])
    log.now += timedelta(hours=2)
    log.open_segment()
    write(path, log.lines)
    assert verdict(audit(*options, "1h", path)) == (INCOMPLETE, ["AEG207"])
    for _ in range(2):
        assert verdict(audit(*options, "3h", path)) == (VALID, [])
    assert verdict(audit(*options, "1h", path)) == (INCOMPLETE, ["AEG207"])
    log.checkpoint()
    write(path, log.lines)
    assert verdict(audit(*options, "1h", path)) == (VALID, [])


def test_the_entry_behind_the_last_one_that_was_verified_is_missed(log: Path, tmp_path: Path) -> None:
    append(journal(tmp_path), 5, 6)
    lines = lines_of(log)
    write(log, [*lines[:5], *lines[6:]])
    assert verdict(again(log)) == (INCOMPLETE, ["AEG201"])
    write(log, lines)
    assert verdict(again(log)) == (VALID, [])


def test_a_segment_that_was_verified_and_is_no_longer_kept_is_not_missed_between_others(log: Path) -> None:
    segments = rotated_log(1, 1, 1)
    paths = [write(log.with_name(f"{number}.log"), lines) for number, lines in enumerate(segments)]
    options = ("verify", "--no-sidecar", "--format", "json", "--state", log.with_name("state"))
    assert verdict(audit(*options, *paths[:2])) == (VALID, [])
    copy = write(log.with_name("copy.log"), segments[0])
    assert verdict(audit(*options, copy, paths[2])) == (VALID, [])


def test_what_comes_behind_a_segment_that_was_verified_before_and_is_not_the_last_one_is_found(log: Path) -> None:
    segments = rotated_log(2, 1)
    paths = [write(log.with_name(f"{number}.log"), lines) for number, lines in enumerate(segments)]
    options = ("verify", "--no-sidecar", "--format", "json", "--state", log.with_name("state"))
    assert verdict(audit(*options, *paths)) == (VALID, [])
    write(paths[0], [*segments[0], b"junk\n"])
    assert verdict(audit(*options, *paths)) == (CORRUPT, ["AEG102"])


def test_what_is_changed_in_a_file_that_has_become_smaller_is_found(log: Path) -> None:
    lines = lines_of(log)
    write(log, [lines[0], lines[1].replace(b'"number":1', b'"number":9'), *lines[3:]])
    assert verdict(again(log)) == (TAMPERED, ["AEG001"])


def test_an_entry_in_the_place_of_the_last_one_that_was_verified_does_not_stand_for_it(log: Path) -> None:
    other = LogBuilder()
    other.open_log()
    for number in range(6):
        other.security("gateway_started", number=number)
    assert len({len(line) for line in other.lines[1:]}) == 1
    options = ("verify", "--no-sidecar", "--format", "json", "--state", log.with_name("state"))
    assert verdict(audit(*options, write(log, other.lines[:-1]))) == (VALID, [])
    write(log, [other.lines[0], other.lines[1].replace(b'"number":0', b'"number":9'), *other.lines[3:]])
    os.utime(log, ns=(1, 1))
    assert verdict(audit(*options, log)) == (TAMPERED, ["AEG001"])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("v",), 2),
        (("verified_at",), "yesterday"),
        (("logs", 0, "seq"), "4"),
        (("logs", 0, "entry_hash"), 4),
        (("logs", 0, "origin"), 4),
        (("logs", 0, "signed"), []),
        (("segments", 0, "line"), None),
        (("segments", 0, "entry_hash"), None),
    ],
)
def test_a_state_in_which_a_value_is_of_another_form_is_refused(
    log: Path, place: tuple[str | int, ...], value: object
) -> None:
    state = json.loads(state_of(log).read_text(encoding="utf-8"))
    assert state["v"] == 1
    *way, last = place
    part = state
    for step in way:
        part = part[step]
    part[last] = value
    state_of(log).write_text(json.dumps(state), encoding="utf-8")
    outcome = again(log)
    assert (outcome.status, outcome.json["exit_code"]) == (6, 6)
    assert outcome.stderr.endswith("it is not a state that `verify --state` has written\n")


def test_a_state_that_cannot_take_the_place_of_another_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "directory" / "file").mkdir(parents=True)
    with pytest.raises(UnusableState, match="directory"):
        store(tmp_path / "directory", State("2026-11-24T03:31:51.123456Z", (), ()))
    assert [one.name for one in tmp_path.iterdir()] == ["directory"]


def test_a_state_says_in_nanoseconds_when_it_was_made() -> None:
    assert State("1970-01-01T00:01:02.500000Z", (), ()).nanoseconds == 62 * 10**9
