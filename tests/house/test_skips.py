"""A run that forbids skips fails on each of them, so that green means that everything ran."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.house import ROOT

SKIPPING = {
    "by its mark": "@pytest.mark.skip(reason='because')\ndef test_it(): ...",
    "by itself": "def test_it(): pytest.skip('because')",
    "as a module": "pytest.skip('because', allow_module_level=True)",
}


def _run(directory: Path, code: str, *, forbid: str) -> tuple[int, str]:
    (directory / "test_skipping.py").write_text(f"import pytest\n{code}\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "AEGIS_FORBID_SKIPS": forbid}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "--rootdir", str(directory), str(directory)]
    done = subprocess.run(
        command, env=environment, cwd=directory, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("code", SKIPPING.values(), ids=SKIPPING)
def test_a_skip_fails_where_skips_are_forbidden(tmp_path: Path, code: str) -> None:
    status, output = _run(tmp_path, code, forbid="1")
    assert status in {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}
    assert "no test may be skipped here" in output
    assert "because" in output


def test_a_skip_is_no_failure_elsewhere(tmp_path: Path) -> None:
    assert _run(tmp_path, SKIPPING["by itself"], forbid="")[0] == pytest.ExitCode.OK
