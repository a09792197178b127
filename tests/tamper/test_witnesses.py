"""Checkpoints that witnesses have cosigned, by a policy that names them: level A4."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from support.auditor import Outcome, audit
from support.cosigned import WHEN, WITNESSES, cosign, policy_of
from support.logs import ORIGIN, write
from support.signed import LOG_KEY, SignedBuilder, epoch_key, note_in, signed_log

W1, W2, W3 = WITNESSES
POLICY: Final = policy_of(LOG_KEY.verifier, 2, W1, W2, W3)


@pytest.fixture
def log(tmp_path: Path) -> SignedBuilder:
    log = signed_log(2)
    write(tmp_path / "audit.log", log.lines)
    return log


def judged(home: Path, note: str, policy: str, *options: str) -> Outcome:
    (home / "anchor").write_text(note, encoding="utf-8")
    (home / "policy").write_text(policy, encoding="utf-8")
    given = ("--anchor", home / "anchor", "--witness-policy", home / "policy")
    return audit("verify", "--format", "json", *given, *options, home / "audit.log")


def test_a_quorum_of_cosignatures_reaches_the_highest_level_and_is_named(log: SignedBuilder, tmp_path: Path) -> None:
    note = cosign(note_in(log.lines[-1]), W3, W1)
    outcome = judged(tmp_path, note, POLICY, "--require", "a4")
    assert (outcome.status, outcome.json["assurance"]) == (0, "A4")
    (anchor,) = outcome.json["anchors"]
    assert anchor == {
        "path": str(tmp_path / "anchor"),
        "origin": ORIGIN,
        "size": 6,
        "root": anchor["root"],
        "is_outside": True,
        "standing": "held",
        "cosigned": [{"witness": W1.name, "time": WHEN}, {"witness": W3.name, "time": WHEN}],
        "is_witnessed": True,
        "stamped_at": None,
        "stamped_by": None,
        "stamp_problem": "",
    }
    shown = audit("verify", "--anchor", tmp_path / "anchor", "--witness-policy", tmp_path / "policy", tmp_path)
    assert f"of 6 entries: held; cosigned by {W1.name}, {W3.name}, which is the quorum\n" in shown.stdout
    assert "by key " + str(LOG_KEY.verifier) + ", named by the witness policy\n" in shown.stdout


def test_less_than_a_quorum_is_not_enough_and_the_output_says_who_is_there(log: SignedBuilder, tmp_path: Path) -> None:
    outcome = judged(tmp_path, cosign(note_in(log.lines[-1]), W1), POLICY, "--require", "a4")
    assert (outcome.status, [one["id"] for one in outcome.json["findings"]]) == (5, ["AEG303"])
    shown = audit("verify", "--anchor", tmp_path / "anchor", "--witness-policy", tmp_path / "policy", tmp_path)
    assert f"held; cosigned by {W1.name}, which is not the quorum\n" in shown.stdout


def test_groups_within_groups_are_counted(log: SignedBuilder, tmp_path: Path) -> None:
    lines = [f"witness {name} {one.key} https://{name}.example/\n" for name, one in zip("abc", WITNESSES, strict=True)]
    policy = "".join(["# two of us, and c\n", *lines, "group us any a b\n", "group both all us c\n", "quorum both\n"])
    note = note_in(log.lines[-1])
    for cosigners, level in (((W1, W2), "A3"), ((W1, W3), "A4"), ((W3,), "A3"), (WITNESSES, "A4")):
        assert judged(tmp_path, cosign(note, *cosigners), policy).json["assurance"] == level


def test_a_policy_without_witnesses_and_one_of_another_log_witness_nothing(log: SignedBuilder, tmp_path: Path) -> None:
    note = cosign(note_in(log.lines[-1]), *WITNESSES)
    assert judged(tmp_path, note, "quorum none\n").json["assurance"] == "A3"
    foreign = policy_of(epoch_key(0, origin="other.example/aegis").verifier, 2, *WITNESSES)
    assert judged(tmp_path, note, foreign).json["assurance"] == "A3"


def test_the_key_of_a_log_vouches_for_no_log_of_another_name(log: SignedBuilder, tmp_path: Path) -> None:
    other = epoch_key(0, origin="other.example/aegis")
    log.checkpoint(log.log_key, log.epoch_keys[-1], other)
    write(tmp_path / "audit.log", log.lines)
    note = cosign(note_in(log.lines[-1]), *WITNESSES)
    for key, level in ((other.verifier, "A3"), (LOG_KEY.verifier, "A4")):
        assert judged(tmp_path, note, policy_of(key, 2, *WITNESSES)).json["assurance"] == level


def test_a_cosignature_over_other_bytes_is_a_forgery(log: SignedBuilder, tmp_path: Path) -> None:
    text, lines = cosign(note_in(log.lines[-1]), W1, W2), cosign(note_in(log.lines[3]), W1, W2).splitlines()
    copied = note_in(log.lines[-1]) + "".join(f"{line}\n" for line in lines[-2:])
    outcome = judged(tmp_path, copied, POLICY)
    assert (outcome.status, outcome.json["findings"][0]["id"]) == (1, "AEG012")
    assert judged(tmp_path, text, POLICY).status == 0


def test_the_cosigned_checkpoint_in_the_sidecar_counts_without_any_anchor(log: SignedBuilder, tmp_path: Path) -> None:
    (tmp_path / "audit.tlog").mkdir()
    (tmp_path / "audit.tlog" / "cosigned").write_text(cosign(note_in(log.lines[-1]), W1, W2), encoding="utf-8")
    (tmp_path / "policy").write_text(POLICY, encoding="utf-8")
    options = ("verify", "--format", "json", "--witness-policy", tmp_path / "policy", tmp_path)
    assert audit(*options, "--require", "a4").json["assurance"] == "A4"
    assert audit(*options, "--require", "a4", "--no-sidecar").status == 5
    assert audit("verify", "--format", "json", tmp_path).json["assurance"] == "A0"


def test_a_cosigned_checkpoint_that_comes_after_the_verification_of_its_entries_counts(
    log: SignedBuilder, tmp_path: Path
) -> None:
    options = ("--state", str(tmp_path / "state"))
    assert judged(tmp_path, note_in(log.lines[-1]), POLICY, *options).json["assurance"] == "A3"
    note = cosign(note_in(log.lines[3]), W1, W2)
    log.call(9)
    log.checkpoint()
    write(tmp_path / "audit.log", log.lines)
    outcome = judged(tmp_path, note, POLICY, *options, "--require", "a4")
    assert (outcome.status, outcome.json["assurance"], outcome.json["entries"]) == (0, "A4", len(log.lines))
    log.call(10)
    log.checkpoint()
    write(tmp_path / "audit.log", log.lines)
    outcome = judged(tmp_path, note, POLICY, *options, "--require", "a4")
    assert (outcome.status, outcome.json["assurance"], outcome.json["entries"]) == (0, "A4", 4)


@pytest.mark.parametrize(
    ("policy", "mistake"),
    [("quorum nobody\n", "line 1: no line above defines 'nobody'"), ("", "there is no quorum line")],
)
def test_a_policy_with_a_mistake_is_wrong_usage(tmp_path: Path, log: SignedBuilder, policy: str, mistake: str) -> None:
    outcome = judged(tmp_path, note_in(log.lines[-1]), policy)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert mistake in outcome.stderr
    assert audit("verify", "--witness-policy", tmp_path / "absent", tmp_path).status == 2
