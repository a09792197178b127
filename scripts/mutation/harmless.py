"""The mutants that no test notices and that do no harm, each with the reason why: a file for each room."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LISTS: Final = Path(__file__).with_name("survivors")


def load() -> dict[str, str]:
    """Return the reason for each mutant, by its name."""
    rooms = (tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(LISTS.glob("*.toml")))
    return {name: group["why"] for room in rooms for group in room["group"] for name in group["mutants"]}


def stale(listed: Iterable[str], existing: Iterable[str]) -> list[str]:
    """Return what is listed and is no mutant, because the code is another one by now."""
    return sorted({*listed} - {*existing})
