"""The second verifier, `scripts/validate_audit_log.py`, as a command and as a module."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, Final

SCRIPT: Final = Path(__file__).parents[2] / "scripts" / "validate_audit_log.py"


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    """Run the script as an auditor does."""
    command = (sys.executable, "-I", str(SCRIPT), "--path", str(path))
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def is_valid(data: bytes) -> bool:
    """Ask the same code without a process for each answer."""
    script: Any = _module()
    segment = script.Segment()
    try:
        for line in BytesIO(data):
            segment.add(line[: script.MAX_LINE + 1])
        segment.finish()
    except (script.InvalidError, ValueError, TypeError, KeyError, AttributeError):
        return False
    return True


@cache
def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("validate_audit_log", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
