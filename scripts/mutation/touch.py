"""Which lines of the package something runs."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

Lines = dict[str, list[int]]
"""The lines that were run, by the path of the file below the directory of the package."""

_CALLS: Final = 200
"""After so many calls a function is taken for run as a whole: to note its lines makes it slow."""


def touched(package: Path, run: Callable[[], object]) -> Lines:
    """Return the lines of the files below the directory `package` that are run by a call of `run`."""
    prefix = f"{package}/"
    lines: defaultdict[str, set[int]] = defaultdict(set)
    calls: Counter[CodeType] = Counter()

    def enter(frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(prefix):
            return None
        calls[code] += 1
        if calls[code] < _CALLS:
            return note
        if calls[code] == _CALLS:
            lines[code.co_filename].update(line for _, _, line in code.co_lines() if line)
        return None

    def note(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            lines[frame.f_code.co_filename].add(frame.f_lineno)
        return note

    sys.settrace(enter)
    try:
        run()
    finally:
        sys.settrace(None)
    return {str(Path(path).relative_to(package)): sorted(numbers) for path, numbers in lines.items()}
