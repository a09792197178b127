"""A checkpoint that was kept outside of the log: the log must go on from it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.note import sign
from support.auditor import Outcome, audit
from support.logs import ORIGIN, small_log, write
from support.signed import LOG_KEY, SignedBuilder, epoch_key, note_in, signed_log, tree_of


def judged(log: Path, lines: Sequence[bytes], anchor: str, *options: str) -> Outcome:
    (log.parent / "anchor").write_text(anchor, encoding="utf-8")
    write(log, lines)
    return audit("verify", "--format", "json", "--anchor", log.parent / "anchor", *options, log)


def ids(outcome: Outcome) -> tuple[int, list[str]]:
    return outcome.status, [one["id"] for one in outcome.json["findings"] if one["verdict"] != "note"]


def forged(note: str) -> str:
    """Return a note whose last signature does not verify."""
    name, _, coded = note.rstrip("\n").rpartition(" ")
    spoilt = bytearray(base64.b64decode(coded))
    spoilt[-1] ^= 1
    return f"{name} {base64.b64encode(spoilt).decode('ascii')}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def test_every_checkpoint_of_a_log_anchors_it_up_to_there(path: Path) -> None:
    lines = signed_log(2, 2).lines
    checkpoints = [at for at, line in enumerate(lines) if b'"event_type":"checkpoint"' in line]
    for at in checkpoints:
        outcome = judged(path, lines, note_in(lines[at]), "--require", "a3", "--key", str(LOG_KEY.verifier))
        assert ids(outcome) == (0, [])
        assert (outcome.json["assurance"], outcome.json["logs"][0]["uncovered"]) == ("A3", len(lines) - at)


def test_what_comes_behind_an_anchor_has_to_be_signed_by_a_key_that_counts_if_a_level_is_demanded(path: Path) -> None:
    lines = signed_log(2).lines
    anchor = note_in(lines[3])
    assert ids(judged(path, lines, anchor)) == (0, [])
    assert ids(judged(path, lines, anchor, "--require", "a3")) == (4, ["AEG208"])
    assert ids(judged(path, lines, anchor, "--require", "a3", "--max-uncovered", "9")) == (0, [])
    assert ids(judged(path, lines[:4], anchor, "--require", "a3")) == (0, [])


def test_what_nobody_who_counts_has_signed_makes_no_anchored_log_young(path: Path) -> None:
    log = signed_log(2)
    log.now = datetime.now(UTC)
    log.checkpoint()
    fresh = (note_in(log.lines[6]), "--require", "a3", "--max-age", "1h")
    key = ("--key", str(LOG_KEY.verifier))
    for options, latest in (((), "none that a key that counts has signed"), (key, "2026-11-24T03:31:51.130456Z")):
        outcome = judged(path, log.lines, *fresh, *options)
        assert (ids(outcome), outcome.json["findings"][0]["found"]) == ((4, ["AEG207"]), latest)
    log.checkpoint()
    assert ids(judged(path, log.lines, *fresh)) == (4, ["AEG207"])
    assert ids(judged(path, log.lines, *fresh, *key)) == (0, [])


def test_an_anchor_covers_the_log_that_it_is_of_and_what_is_demanded_may_be_less(path: Path) -> None:
    lines = signed_log(2).lines
    anchor = note_in(lines[3])
    key = ("--key", str(LOG_KEY.verifier), "--require", "a1", "--max-uncovered", "1")
    assert ids(judged(path, lines, anchor, *key)) == (0, [])
    write(path.parent / "other.log", small_log(2, origin="other.example/aegis"))
    options = ("--require", "a3", "--max-uncovered", "9", str(path.parent / "other.log"))
    outcome = judged(path, lines, anchor, *options)
    assert ids(outcome) == (5, ["AEG303"])
    assert [one["assurance"] for one in outcome.json["logs"]] == ["A3", "A0"]


def test_a_log_that_ends_before_its_anchor_was_rolled_back_and_one_that_is_empty_is_incomplete(path: Path) -> None:
    lines = signed_log(2).lines
    anchor = note_in(lines[-1])
    for kept in (1, len(lines) - 2):
        assert ids(judged(path, lines[:kept], anchor)) == (1, ["AEG009"])
    assert ids(judged(path, lines[:-1], anchor)) == (0, [])
    assert ids(judged(path, [], anchor)) == (4, ["AEG205", "AEG301"])


def test_another_history_and_another_log_contradict_the_anchor(path: Path) -> None:
    anchor = note_in(signed_log(2).lines[-1])
    other = SignedBuilder(session_id="ab" * 16)
    other.open_log()
    for number in range(4):
        other.call(number)
        other.checkpoint()
    outcome = judged(path, other.lines, anchor)
    assert (ids(outcome), outcome.json["assurance"]) == ((1, ["AEG011"]), "A0")
    assert ids(judged(path, small_log(5, origin="other.example/aegis"), anchor)) == (1, ["AEG010"])


def test_of_two_logs_that_are_known_one_that_is_not_there_is_missed_and_not_called_exchanged(path: Path) -> None:
    lines, other = signed_log(2).lines, SignedBuilder(origin="other.example/aegis")
    other.open_log()
    other.checkpoint()
    kept = path.with_name("kept")
    kept.write_text(note_in(other.lines[-1]), encoding="utf-8")
    assert ids(judged(path, lines, note_in(lines[-1]))) == (0, [])
    assert ids(judged(path, lines, note_in(lines[-1]), "--anchor", str(kept))) == (4, ["AEG205"])
    assert ids(judged(path, small_log(origin="a.example/b"), note_in(lines[-1]), "--anchor", str(kept))) == (
        1,
        ["AEG010", "AEG010"],
    )
    head = audit("head", write(path, lines)).stdout.strip()
    assert ids(audit("verify", "--format", "json", "--expect-head", head, "--anchor", kept, path)) == (4, ["AEG205"])


def test_an_anchor_has_to_be_signed_by_whoever_was_in_office(path: Path) -> None:
    log = signed_log(1, 1)
    forged = signed_log(1, 1)
    forged.checkpoint(forged.log_key, epoch_key(0))
    log.call(5)
    forged_note = note_in(forged.lines[-1])
    assert ids(judged(path, log.lines, forged_note)) == (1, ["AEG013"])


def test_the_signature_of_an_anchor_has_to_verify(path: Path) -> None:
    lines = signed_log(2).lines
    assert ids(judged(path, lines, forged(note_in(lines[-1])))) == (1, ["AEG012"])


def test_a_copy_of_a_segment_beside_it_takes_nothing_from_the_judgment_of_an_anchor(path: Path) -> None:
    log = signed_log(1)
    first = log.rotate()
    log.call(3)
    anchor = note_in(log.checkpoint())
    log.call(4)
    copy = write(path.with_name("copy.log"), log.lines)
    outcome = judged(path, [*first, *log.lines], anchor, str(copy))
    assert (ids(outcome), outcome.json["logs"][0]["uncovered"]) == ((0, []), 3)
    assert ids(judged(path, [*first, *log.lines], forged(anchor), str(copy))) == (1, ["AEG012"])


def test_evidence_that_does_not_say_to_which_log_it_belongs_may_belong_to_that_of_the_anchor(path: Path) -> None:
    lines = signed_log(2).lines
    anchor = note_in(lines[3])
    assert ids(judged(path, lines[1:], anchor)) == (4, ["AEG205"])
    assert ids(judged(path, lines[1:3], anchor)) == (4, ["AEG205"])
    assert ids(judged(path, lines[1:2], anchor)) == (1, ["AEG009"])


def test_an_anchor_is_held_against_what_is_new_and_what_was_verified_before_is_not_read_again(path: Path) -> None:
    lines = signed_log(4).lines
    options = ("--state", str(path.with_name("state")))
    old, new, newest = note_in(lines[3]), note_in(lines[6]), note_in(lines[12])
    assert ids(judged(path, lines[:7], old, *options)) == (0, [])
    for anchor in (old, new):
        assert ids(judged(path, lines[:9], anchor, *options)) == (0, [])
    assert ids(judged(path, lines[:10], newest, *options)) == (1, ["AEG009"])
    assert ids(judged(path, lines, newest, *options)) == (0, [])


def test_an_anchor_is_found_in_whatever_order_the_segments_stand_and_at_the_start_of_one(path: Path) -> None:
    log = signed_log(1)
    border = SignedBuilder()
    border.tree = log.tree
    anchors = [note_in(border.checkpoint())]
    first = log.rotate()
    log.call(3)
    anchors.append(note_in(log.checkpoint()))
    for anchor in anchors:
        assert ids(judged(path, log.lines, anchor)) == (0, [])
        for lines in ([*first, *log.lines], [*log.lines, *first]):
            outcome = judged(path, lines, anchor)
            assert (ids(outcome), outcome.json["assurance"]) == ((0, []), "A3")


def test_an_anchor_from_before_the_first_segment_that_is_kept_cannot_be_compared(path: Path) -> None:
    log = signed_log(2)
    anchor = note_in(log.lines[-1])
    log.rotate()
    log.rotate()
    log.call(3)
    log.checkpoint()
    assert ids(judged(path, log.lines, anchor)) == (4, ["AEG205"])


@pytest.mark.parametrize("content", ["", "nonsense", "a\n1\n", "\x00", "\ufeff" + note_in(signed_log(1).lines[-1])])
def test_what_is_no_checkpoint_is_refused(path: Path, content: str) -> None:
    outcome = judged(path, small_log(), content)
    assert (outcome.status, outcome.stderr) == (6, f"aegis-audit: {outcome.json['error']}\n")
    assert outcome.json["error"].startswith("checkpoint ")
    assert audit("verify", "--anchor", path.with_name("absent"), path).status == 6


def test_an_anchor_from_before_the_last_verification_is_compared_as_well(path: Path) -> None:
    lines, other = signed_log(3).lines, SignedBuilder(session_id="ab" * 16)
    other.open_log()
    other.call(1)
    state = ("--state", str(path.with_name("state")))
    assert ids(judged(path, lines[:-3], note_in(lines[6]), *state)) == (0, [])
    assert ids(judged(path, lines, note_in(other.checkpoint()), *state)) == (1, ["AEG011"])
    outcome = judged(path, lines, note_in(lines[6]), *state)
    assert (ids(outcome), outcome.json["entries"]) == ((0, []), 4)
    outcome = judged(path, lines, note_in(lines[3]), *state)
    assert (ids(outcome), outcome.json["entries"]) == ((0, []), len(lines))


def test_an_anchor_of_any_size_is_compared_whatever_was_verified_before(path: Path) -> None:
    log = signed_log(2)
    state = ("--state", str(path.with_name("state")))
    assert ids(judged(path, log.lines, note_in(log.lines[3]), *state)) == (0, [])
    size = len(log.lines)
    log.call(9)
    for at in range(1, len(log.lines) + 1):
        for root, found in ((tree_of(log.lines[:at]).root(), ""), (bytes(32), "AEG011")):
            anchor = str(sign(Checkpoint(ORIGIN, at, root).text, [LOG_KEY, epoch_key(0)]))
            expected = found if at <= size else "AEG009"
            outcome = judged(path, log.lines[:size], anchor, *state)
            assert ids(outcome) == (int(bool(expected)), [expected] if expected else [])
    for at in range(1, len(log.lines) + 1):
        anchor = str(sign(Checkpoint(ORIGIN, at, bytes(32)).text, [LOG_KEY, epoch_key(0)]))
        assert ids(judged(path, log.lines, anchor, *state)) == (1, ["AEG011"])
