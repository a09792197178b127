"""The official conformance suite finds no fault in the gateway as a client."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from support.conformance import Verdicts, run_client_suite

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

SCENARIOS: Final = {"2025-11-25": 18, "2026-07-28": 32}


def _faults(found: Verdicts) -> set[tuple[str, str]]:
    checks = {(scenario, check): status for scenario, checks in found.items() for check, status in checks.items()}
    return {(scenario, check) for (scenario, check), status in checks.items() if status in {"WARNING", "FAILURE"}}


@pytest.mark.parametrize("revision", SCENARIOS)
def test_no_scored_scenario_fails(revision: str, tmp_path: Path) -> None:
    verdicts = run_client_suite(revision, tmp_path / "results")
    assert len(verdicts) == SCENARIOS[revision]
    assert _faults(verdicts) == set()
