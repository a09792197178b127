"""The official conformance suite finds with the gateway in front of a server exactly what it finds without."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.conformance import EVERYTHING, Checks, run_suite
from support.gateway import Stage
from support.loaded import program
from support.remote import listening

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

EVERYTHING_IS_ALLOWED = """\
version: 1
defaults: {read: allow, write: allow, client_request: allow}
audit: {durability: flush}
"""
SCENARIOS = {"2025-11-25": 33, "2026-07-28": 50}
# What fails is of HTTP, for which the bridge is no model: headers, and that it serves one era on one address.
FAILURES = {
    "2025-11-25": set[tuple[str, str]](),
    "2026-07-28": {
        ("server-stateless", "sep-2575-http-server-method-not-found-404-initialize"),
        ("tasks-request-headers", "sep-2663-server-rejects-mismatched-mcp-name-on-tasks-get"),
        ("http-custom-header-server-validation", "sep-2243-server-reject-invalid-param-chars"),
        ("http-custom-header-server-validation", "sep-2243-server-reject-param-mismatch"),
        ("http-custom-header-server-validation", "sep-2243-server-validate-param-match"),
    },
}


def _failures(found: Checks) -> set[tuple[str, str]]:
    return {(scenario, check["id"]) for (scenario, _), check in found.items() if check["status"] == "FAILURE"}


@pytest.mark.parametrize("revision", SCENARIOS)
def test_every_check_of_the_suite_ends_the_same_with_and_without_the_gateway(revision: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=EVERYTHING_IS_ALLOWED)
    everything = program(EVERYTHING)
    commands = {"alone": everything, "through": stage.command(*everything, name="everything")}
    with ThreadPoolExecutor() as pool:
        runs = {
            name: pool.submit(run_suite, revision, command, stage.environment, tmp_path / name)
            for name, command in commands.items()
        }
    alone, through = (runs[name].result() for name in ("alone", "through"))
    assert through == alone
    assert len({scenario for scenario, _ in alone}) == SCENARIOS[revision]
    assert _failures(alone) == FAILURES[revision]
    assert stage.verify().returncode == 0
    assert len(stage.requests()) > SCENARIOS[revision]


def _without_words(found: Checks) -> Checks:
    """Return checks without what a server has said to a request that it refuses: over HTTP it says other things."""
    return {
        key: {name: value for name, value in check.items() if name != "errorMessage"} for key, check in found.items()
    }


@pytest.mark.parametrize("revision", SCENARIOS)
def test_every_check_of_the_suite_ends_the_same_with_a_remote_server(revision: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=EVERYTHING_IS_ALLOWED)
    everything = program(EVERYTHING)
    with listening(*everything, "--http") as url, ThreadPoolExecutor() as pool:
        commands = {"alone": everything, "url": stage.command_at("everything", "--url", url)}
        runs = [
            pool.submit(run_suite, revision, command, stage.environment, tmp_path / name)
            for name, command in commands.items()
        ]
        alone, through = (_without_words(run.result()) for run in runs)
    assert through == alone
    assert len({scenario for scenario, _ in alone}) == SCENARIOS[revision]
    assert stage.verify().returncode == 0
