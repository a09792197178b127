"""The official conformance suite finds no fault in the gateway as a client that it does not find in the SDK's own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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
def test_no_scored_scenario_fails_that_the_own_client_of_the_sdk_passes(revision: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(run_client_suite, revision, way, tmp_path / way) for way in ("alone", "through")]
        alone, through = (run.result() for run in runs)
    assert len(alone) == len(through) == SCENARIOS[revision]
    assert _faults(through) == _faults(alone) == set()
