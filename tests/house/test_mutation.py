"""The mutants of the verifier that no test notices, in `scripts/mutation/survivors`."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import Any, Final

from support.house import ROOT

LISTS: Final = sorted((ROOT / "scripts" / "mutation" / "survivors").glob("*.toml"))
GROUPS: Final[list[dict[str, Any]]] = [
    group for path in LISTS for group in tomllib.loads(path.read_text(encoding="utf-8"))["group"]
]


def test_each_that_is_listed_as_harmless_exists_and_is_listed_once() -> None:
    command = (sys.executable, ROOT / "scripts" / "mutate.py", "--list")
    existing = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    listed = [name for group in GROUPS for name in group["mutants"]]
    assert len(existing) == len({*existing})
    assert sorted(listed) == sorted({*listed} & {*existing})


def test_a_mutant_is_killed_by_a_test_that_notices_it_and_named_where_none_does() -> None:
    options = ("checks.known", "--only", "check_heads: yield", "--tests", "tests/tamper/test_expected_head.py")
    command = (sys.executable, ROOT / "scripts" / "mutate.py", *options)
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    *missed, count, _ = outcome.stdout.splitlines()
    assert outcome.returncode == 1
    assert [one.partition(": checks.known: ")[2] for one in missed] == [
        f"check_heads: yield comparison.finding(FindingCode.{code})  \u2192  left out"
        for code in ("FALSE_HEAD", "SHORT_OF_HEAD, CRASHED")
    ]
    assert count == "checks.known: 6 mutants: 4 killed, 0 harmless, 2 missed"


def test_each_group_says_why_it_does_no_harm() -> None:
    assert [group for group in GROUPS if len(group["why"].split()) < 5 or not group["mutants"]] == []
