"""The locks hold exact versions with hashes, and they are what the distributions ask for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.house import ROOT

LOCKS: Final = ("requirements.lock", "requirements-dev.lock")
SERVERS: Final = sorted((ROOT / "tests" / "servers").glob("*.lock"))
PROJECTS: Final = ("aegis_audit/pyproject.toml", "aegis_mcp/pyproject.toml")
_LINE: Final = re.compile(r"[a-z0-9-]+==[^\s;]+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")


def _locked(lock: str) -> dict[str, Requirement]:
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line.rstrip("\\ ")) for line in lines if not line.startswith(" ")]
    return {pin.name: pin for pin in pins}


def _unmet(needs: list[Requirement], lock: str) -> list[str]:
    """Return what a lock does not have in a version that is asked for."""
    locked = _locked(lock)
    versions = {name: next(iter(pin.specifier)).version for name, pin in locked.items()}
    return [str(need) for need in needs if versions.get(canonicalize_name(need.name), "0") not in need.specifier]


@pytest.mark.parametrize("lock", [*LOCKS, *(str(lock.relative_to(ROOT)) for lock in SERVERS)])
def test_a_lock_has_exact_versions_with_hashes_and_nothing_else(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if not _LINE.fullmatch(line)] == []
    assert re.findall(r"^\S+==.*\n(?!    --hash)", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("project", PROJECTS)
def test_a_lock_has_everything_that_a_distribution_needs(project: str, lock: str) -> None:
    needs = tomllib.loads((ROOT / project).read_text(encoding="utf-8"))["project"]["dependencies"]
    assert _unmet([need for need in map(Requirement, needs) if need.name != "aegis-mcp-audit"], lock) == []


@pytest.mark.parametrize("project", PROJECTS)
def test_the_lock_for_development_has_what_builds_a_distribution(project: str) -> None:
    needs = tomllib.loads((ROOT / project).read_text(encoding="utf-8"))["build-system"]["requires"]
    assert _unmet([Requirement(need) for need in needs], "requirements-dev.lock") == []


def test_the_lock_for_development_has_everything_that_is_asked_for_it() -> None:
    lines = (ROOT / "requirements-dev.in").read_text(encoding="utf-8").splitlines()
    assert _unmet([Requirement(line) for line in lines if not line.startswith("#")], "requirements-dev.lock") == []


@pytest.mark.parametrize("lock", SERVERS, ids=lambda lock: lock.stem)
def test_the_lock_of_a_published_server_has_the_version_that_is_asked_for(lock: Path) -> None:
    asked = lock.with_suffix(".in").read_text(encoding="utf-8").splitlines()
    assert _unmet([Requirement(line) for line in asked], str(lock.relative_to(ROOT))) == []


def test_what_runs_is_locked_to_the_same_bytes_in_both() -> None:
    run, development = ((ROOT / lock).read_text(encoding="utf-8") for lock in LOCKS)
    assert {block for block in re.split(r"\n(?=\S)", run.strip()) if block not in development} == set()
