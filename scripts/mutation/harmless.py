"""The mutants that no test notices and that do no harm, each with the reason why."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LIST: Final = Path(__file__).with_name("harmless.toml")


def load() -> dict[str, str]:
    """Return the reason for each mutant, by its name."""
    groups = tomllib.loads(LIST.read_text(encoding="utf-8")).get("group", [])
    return {name: group["why"] for group in groups for name in group["mutants"]}


def stale(listed: Iterable[str], existing: Iterable[str]) -> list[str]:
    """Return what is listed and is no mutant, because the code is another one by now."""
    return sorted({*listed} - {*existing})
