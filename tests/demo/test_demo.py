"""The demonstration does what it says, and says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.host import environment


def test_every_step_of_the_demonstration_holds_and_nothing_is_left_behind(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "aegis_mcp", "demo"],
        capture_output=True,
        encoding="utf-8",
        env=environment(tmp_path / "home", {"TMPDIR": str(tmp_path)}),
        timeout=100,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "FAILED" not in shown.stdout
    assert shown.stdout.count("  ok  ") == 7
    assert "AEG001" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert list(tmp_path.iterdir()) == []
