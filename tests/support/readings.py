"""What other parsers could make of a line: those that are lenient where JSON or its readers disagree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

Pairs = list[tuple[str, Any]]


def readings(line: bytes) -> Iterator[dict[str, Any]]:
    """Yield every message that some parser may find in a line."""
    for piece in _pieces(line):
        for hook in _HOOKS:
            try:
                value = json.loads(piece, object_pairs_hook=hook, strict=False)
            except (ValueError, RecursionError):
                continue
            messages = cast("list[Any]", value) if isinstance(value, list) else [value]
            yield from (message for message in messages if isinstance(message, dict))


def _pieces(line: bytes) -> Iterator[str]:
    """Yield what a line may be cut into by readers with another idea of its end, or of its encoding."""
    for errors in ("replace", "ignore"):
        text = line.decode("utf-8-sig", errors)
        yield text
        yield from text.splitlines()
        yield from text.replace("\\n", "\n").splitlines()
        yield from text.split("\0")


def _first_wins(pairs: Pairs) -> dict[str, Any]:
    return dict(reversed(pairs))


def _any_case(pairs: Pairs) -> dict[str, Any]:
    return {key.casefold(): value for key, value in pairs}


def _any_case_first_wins(pairs: Pairs) -> dict[str, Any]:
    return _any_case([*reversed(pairs)])


_HOOKS: Final[tuple[Callable[[Pairs], dict[str, Any]], ...]] = (dict, _first_wins, _any_case, _any_case_first_wins)
