"""Whoever runs the checks, by hand, before a commit or in CI, runs the same ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from typing import Any, Final

import pytest
import yaml

from support.house import ROOT

MAKEFILE: Final = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def _load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def _steps(workflow: Any) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_the_hooks_are_the_parts_of_make_lint() -> None:
    (checks,) = re.findall(r"^CHECKS := (.+)$", MAKEFILE, re.MULTILINE)
    (repository,) = _load(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == [f"make {check}" for check in checks.split()]
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}


def test_ci_runs_what_the_readme_names_and_forbids_skips() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = script.read_text(encoding="utf-8").splitlines()[-3:]
    assert commands == ["make lint", "make demo", "AEGIS_FORBID_SKIPS=1 make test"]


def test_every_supported_python_and_system_is_tested() -> None:
    matrix = _load(".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_uses_pinned_actions(workflow: Any) -> None:
    loaded = _load(str(workflow.relative_to(ROOT)))
    assert loaded["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in _steps(loaded) if "uses" in step]
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_no_workflow_lets_a_shell_read_a_value_as_code(workflow: Any) -> None:
    loaded = _load(str(workflow.relative_to(ROOT)))
    assert [step["run"] for step in _steps(loaded) if "${{" in step.get("run", "")] == []


def test_nothing_is_published_for_a_pull_request() -> None:
    jobs = _load(".github/workflows/docker.yml")["jobs"]
    assert set(jobs) == {"lint", "test", "publish"}
    assert jobs["publish"]["if"].startswith("github.event_name != 'pull_request'")
    assert [name for name, job in jobs.items() if job.get("permissions")] == ["publish"]


@pytest.mark.parametrize("target", ["setup", "demo", "test", "lint", "bench", "help"])
def test_make_says_what_it_can_make(target: str) -> None:
    helped = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    assert re.search(rf"^{target} +\S", helped, re.MULTILINE)


def test_an_older_python_is_refused_with_the_remedy() -> None:
    # The recipe's own check, given to an interpreter that claims to be older.
    (check,) = re.findall(r"\$\(PYTHON\) -c '(.+)'$", MAKEFILE, re.MULTILINE)
    old = f"import sys; sys.version_info = (3, 10); {check}"
    done = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr == "Aegis needs Python 3.11 or newer: make PYTHON=/path/to/python3.11\n"


def test_every_test_has_a_time_limit_and_every_warning_is_an_error() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert options["timeout"] == 120
    assert options["filterwarnings"] == ["error"]
