"""Rotated segments of the real gateway: one chain in any order, a gap where one is missing, each whole alone."""

from __future__ import annotations

import gzip
import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from aegis_mcp.lock import release, try_hold
from support.gateway import Stage
from support.processes import wait_until

SEGMENTS = 3


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, list[Path]]:
    """Return three segments that one gateway wrote, the middle one compressed."""
    stage = Stage(tmp_path_factory.mktemp("rotated"))
    paths = [stage.log.with_name(f"segment-{name}") for name in ("b", "c", "a")]
    with stage.wrap() as host:
        host.initialize()
        for path in paths:
            for number in range(5):
                host.call("echo", {"number": number})
            # What is written to a file since the last look at its path is written again, if it was renamed meanwhile.
            wait_until(lambda: _is_left(stage.log))
            stage.log.rename(path)
    paths[1].with_suffix(".gz").write_bytes(gzip.compress(paths[1].read_bytes()))
    paths[1].unlink()
    return stage, [paths[0], paths[1].with_suffix(".gz"), paths[2], stage.log]


def _is_left(log: Path) -> bool:
    """Tell whether nobody keeps the lock of a log."""
    if (descriptor := try_hold(log.with_suffix(".tlog") / "lock")) is None:
        return False
    release(descriptor)
    return True


def _verify(stage: Stage, *paths: Path) -> dict[str, Any]:
    verified = stage.verify(*paths)
    report = json.loads(verified.stdout)
    assert report["exit_code"] == verified.returncode
    return report


def test_all_segments_in_any_order_are_one_chain(segments: tuple[Stage, list[Path]]) -> None:
    stage, paths = segments
    for order in permutations(paths):
        assert _verify(stage, *order)["exit_code"] == 0
    assert _verify(stage, stage.log.parent)["exit_code"] == 0


def test_a_missing_segment_is_a_gap_that_names_its_range(segments: tuple[Stage, list[Path]]) -> None:
    stage, paths = segments
    whole = _verify(stage, *paths)
    middle = next(one for one in whole["segments"] if one["path"].endswith(".gz"))
    report = _verify(stage, paths[0], *paths[2:])
    assert report["exit_code"] == 4
    (gap,) = [finding for finding in report["findings"] if finding["id"] == "AEG201"]
    assert str(middle["first_seq"]) in json.dumps(gap)
    assert str(middle["last_seq"]) in json.dumps(gap)


def test_each_segment_alone_is_valid_and_says_where_it_begins(segments: tuple[Stage, list[Path]]) -> None:
    stage, paths = segments
    for path in paths:
        report = _verify(stage, path)
        assert report["exit_code"] == 0
        assert ("AEG501" in json.dumps(report)) == (path is not paths[0])


def test_from_genesis_demands_the_first_segment(segments: tuple[Stage, list[Path]]) -> None:
    stage, paths = segments
    assert stage.verify(*paths[1:]).returncode == 0
    assert stage.verify(Path("--from-genesis"), *paths[1:]).returncode == 4
    assert stage.verify(Path("--from-genesis"), *paths).returncode == 0
