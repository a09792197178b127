"""A head that was kept elsewhere, in a release log: the log must hold it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from support.auditor import audit
from support.logs import ORIGIN, rotated_log, small_log, write
from support.signed import signed_log


def judged(path: Path, lines: Sequence[bytes], *heads: str) -> tuple[int, list[str]]:
    options = [option for head in heads for option in ("--expect-head", head)]
    outcome = audit("verify", "--format", "json", *options, write(path, lines))
    return outcome.status, [one["id"] for one in outcome.json["findings"] if one["verdict"] != "note"]


def test_a_log_that_holds_the_head_is_valid_and_may_have_grown(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    heads = [audit("head", write(path, small_log(calls))).stdout for calls in (1, 2)]
    assert judged(path, small_log(2), *heads) == (0, [])
    assert judged(path, small_log(4), *heads) == (0, [])


def test_a_log_that_was_cut_rewritten_or_exchanged_is_tampering(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    head = audit("head", write(path, small_log(2))).stdout
    assert judged(path, small_log(2)[:-1], head) == (1, ["AEG009"])
    assert judged(path, small_log(3, session_id="ab" * 16), head) == (1, ["AEG008"])
    assert judged(path, small_log(3, origin="other.example/aegis"), head) == (1, ["AEG010"])
    assert judged(path, [], head) == (4, ["AEG205", "AEG301"])


def test_a_segment_that_begins_behind_the_head_holds_it_by_its_link_or_not_at_all(tmp_path: Path) -> None:
    first, second = rotated_log(2, 2)
    path = tmp_path / "audit.log"
    head = audit("head", write(path, first)).stdout
    assert judged(path, second, head) == (0, [])
    early = audit("head", write(path, first[:-1])).stdout
    assert judged(path, second, early) == (4, ["AEG205"])
    assert judged(path, second[1:], audit("head", write(path, second[:3])).stdout) == (0, [])
    edited = second[0].replace(first[-1][15:79], b"e" * 64)
    assert judged(path, [edited, *second[1:]], head) == (1, ["AEG001", "AEG205"])


def test_a_signed_segment_that_begins_behind_the_head_holds_it_by_its_tree_or_not_at_all(tmp_path: Path) -> None:
    log = signed_log(2)
    path = tmp_path / "audit.log"
    early, late = (audit("head", write(path, log.lines[:count])).stdout for count in (4, None))
    log.rotate()
    log.call(3)
    assert judged(path, log.lines, late) == (0, [])
    assert judged(path, log.lines, early) == (4, ["AEG205"])


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", f"{ORIGIN} 0 - {'ab' * 32}", f"{ORIGIN} 5 x {'ab' * 32}", f"\ufeff{ORIGIN} 3 - {'ab' * 32}"],
)
def test_what_is_no_head_is_wrong_usage(tmp_path: Path, line: str) -> None:
    assert audit("verify", "--expect-head", line, write(tmp_path / "audit.log", small_log())).status == 2


def test_a_head_that_names_another_root_is_contradicted(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    origin, size, root, entry_hash = audit("head", write(path, small_log(2))).stdout.split()
    other = audit("head", write(path, small_log(1))).stdout.split()[2]
    assert judged(path, small_log(3), f"{origin} {size} {root} {entry_hash}") == (0, [])
    assert judged(path, small_log(3), f"{origin} {size} {other} {entry_hash}") == (1, ["AEG008"])
    options = ("verify", "--format", "json", "--state", tmp_path / "state", path)
    write(path, small_log(1))
    assert audit(*options).status == 0
    write(path, small_log(3))
    assert audit(*options, "--expect-head", f"{origin} {size} {other} {entry_hash}").status == 1


def test_a_head_of_one_of_two_logs_is_compared_with_that_one_alone(tmp_path: Path) -> None:
    head = audit("head", write(tmp_path / "one.log", small_log(2))).stdout
    write(tmp_path / "other.log", small_log(2, origin="other.example/aegis"))
    outcome = audit("verify", "--expect-head", head, tmp_path / "one.log", tmp_path / "other.log")
    assert (outcome.status, outcome.stderr) == (0, "")


def test_a_head_from_before_the_last_verification_is_compared_as_well(tmp_path: Path) -> None:
    path, options = tmp_path / "audit.log", ("verify", "--format", "json", "--state", tmp_path / "state")
    head = audit("head", write(path, small_log(1))).stdout
    other = audit("head", write(path, small_log(1, session_id="ab" * 16))).stdout
    write(path, small_log(2))
    assert audit(*options, path).status == 0
    write(path, small_log(3))
    assert audit(*options, "--expect-head", other, path).status == 1
    assert audit(*options, "--expect-head", head, path).status == 0
    late = audit("head", path).stdout
    assert audit(*options, "--expect-head", head, "--expect-head", late, path).status == 0


def test_a_head_from_before_the_last_verification_is_compared_with_each_of_two_logs(tmp_path: Path) -> None:
    origins = ORIGIN, "other.example/aegis"
    paths = [tmp_path / f"{number}.log" for number in range(2)]
    options = ("verify", "--format", "json", "--state", tmp_path / "state")
    for origin, path in zip(origins, paths, strict=True):
        write(path, small_log(3, origin=origin))
    assert audit(*options, *paths).status == 0
    for origin in origins:
        for other, expected in (({}, 0), ({"session_id": "ab" * 16}, 1)):
            head = audit("head", write(tmp_path / "head.log", small_log(1, origin=origin, **other))).stdout
            assert audit(*options, "--expect-head", head, *paths).status == expected
