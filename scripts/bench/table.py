"""Figures with their bars, for a person or for a program."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NOTHING = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """What the figure in the column `of` should reach: at most `most`, or at least `least`."""

    of: str
    most: float | None = None
    least: float | None = None
    aim: float | None = None

    def is_met_by(self, value: float) -> bool:
        """Tell whether a value reaches the bar."""
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def __str__(self) -> str:
        limit = f"<= {self.most:,g}" if self.most is not None else f">= {self.least:,g}"
        return limit if self.aim is None else f"{limit} (aim {self.aim:,g})"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: a value for each column that has one, and the bar if there is one."""

    name: str
    unit: str
    values: Mapping[str, float]
    bar: Bar | None = None

    @property
    def verdict(self) -> str:
        """Say whether the bar is met; empty without a bar or a value."""
        if not self.bar or self.bar.of not in self.values:
            return _NOTHING
        return "met" if self.bar.is_met_by(self.values[self.bar.of]) else "not met"


def parser(description: str) -> argparse.ArgumentParser:
    """Return the options that every benchmark has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--quick", action="store_true", help="a run of seconds that shows that it works")
    options.add_argument("--format", choices=("text", "json"), default="text")
    return options


def show(form: str, facts: Mapping[str, str], figures: Sequence[Figure]) -> None:
    """Print figures on stdout, as `text` or `json`."""
    print(_as_json(facts, figures) if form == "json" else _as_text(facts, figures))


def _as_text(facts: Mapping[str, str], figures: Sequence[Figure]) -> str:
    columns = list(dict.fromkeys(column for figure in figures for column in figure.values))
    rows = [["", *columns, "bar", ""], *(_row(figure, columns) for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    return "\n".join([*lines, "", *(_line(row, widths) for row in rows)])


def _row(figure: Figure, columns: Sequence[str]) -> list[str]:
    values = [_number(figure.values[column]) if column in figure.values else _NOTHING for column in columns]
    name = f"{figure.name}, {figure.unit}" if figure.unit else figure.name
    return [name, *values, str(figure.bar or _NOTHING), figure.verdict]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    verdict, width = others.pop()
    cells = [first[0].ljust(first[1]), *(cell.rjust(size) for cell, size in others), verdict.ljust(width)]
    return "  ".join(cells).rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def _as_json(facts: Mapping[str, str], figures: Sequence[Figure]) -> str:
    return json.dumps({"machine": dict(facts), "figures": [_as_object(figure) for figure in figures]}, indent=2)


def _as_object(figure: Figure) -> dict[str, object]:
    described: dict[str, object] = {"name": figure.name, "unit": figure.unit, "values": dict(figure.values)}
    if figure.bar:
        limits = {"most": figure.bar.most, "least": figure.bar.least, "aim": figure.bar.aim}
        bar = {"of": figure.bar.of} | {name: limit for name, limit in limits.items() if limit is not None}
        described["bar"] = bar | ({"is_met": figure.verdict == "met"} if figure.verdict else {})
    return described
