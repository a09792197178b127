"""The readers of single values in a policy file; each notes what is wrong and goes on with its best guess."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final, TypeVar

from aegis_mcp.policy.located import Listing, Located, Mapping, Mistakes, Scalar
from aegis_mcp.policy.model import Glob, Globs, JsonScalar

E = TypeVar("E", bound=Enum)

MAX_PATTERNS: Final = 1_000
"""Patterns of one list; each is compared with those of the lists before it."""

_SET: Final = re.compile(r"\[!?+.[^]]*\]", re.DOTALL)
_RANGE: Final = re.compile(r"(.)-(.)", re.DOTALL)
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\ud800-\udfff]")  # one class takes long to compile


class Fields:
    """Reads values of a document, and collects its mistakes."""

    def __init__(self, mistakes: Mistakes) -> None:
        self._mistakes = mistakes

    def note(self, where: Located, message: str) -> None:
        """Note a mistake at this place."""
        self._mistakes.note(where, message)

    def globs(self, where: Located) -> Globs:
        """Read one pattern, or a list of some."""
        patterns = self.one_or_more(where)
        if len(patterns) > MAX_PATTERNS:
            self.note(patterns[MAX_PATTERNS], f"more than {MAX_PATTERNS} patterns in one list")
        return tuple(self.glob(one) for one in patterns[:MAX_PATTERNS])

    def glob(self, where: Located) -> Glob:
        """Read one pattern."""
        text = self.text(where)
        if "[" in _SET.sub("", text):
            self.note(where, f"{text[:60]!r} has a [ without ]; the character itself is [[]")
        elif any(first > last for chars in _SET.findall(text) for first, last in _RANGE.findall(chars[1:-1])):
            self.note(where, f"{text[:60]!r} has a range that ends before it begins")
        return Glob(text)

    def one_or_more(self, where: Located) -> tuple[Located, ...]:
        """Return the items of a list that must not be empty, or the one value in its place."""
        if not isinstance(where, Listing):
            return (where,)
        if not where.items:
            self.note(where, "the list is empty")
        return where.items

    def items(self, where: Located | None) -> tuple[Located, ...]:
        """Return the items of a list, none where there is no such section."""
        if where is None or isinstance(where, Listing):
            return where.items if where else ()
        is_nothing = isinstance(where, Scalar) and where.value is None
        remedy = "; leave the key out, or write []" if is_nothing else ""
        self.note(where, f"this must be a list{remedy}")
        return ()

    def named(self, where: Located | None) -> Iterator[tuple[str, Located, Located]]:
        """Yield name, place of the name, and value of each member; a name that stands here twice is a mistake."""
        if where is None:
            return
        if not isinstance(where, Mapping):
            self.note(where, "this must be a mapping of names to values")
            return
        seen: set[str] = set()
        for name_at, value in where.members:
            name = self.text(name_at)
            if name in seen:
                self.note(name_at, f"{name!r} stands here twice")
                continue
            seen.add(name)
            yield name, name_at, value

    def members(self, where: Located | None, known: Iterable[str]) -> dict[str, Located]:
        """Return the members of a section whose names are known; others are mistakes."""
        names = list(known)
        members: dict[str, Located] = {}
        for name, at, value in self.named(where):
            if name in names:
                members[name] = value
            else:
                self.note(at, f"`{name[:60]}` is not known here; {_hint(name, names)}")
        return members

    def choice(self, where: Located | None, choices: type[E], otherwise: E) -> E:
        """Read one of the values of an enumeration."""
        if where is None:
            return otherwise
        text = where.text if isinstance(where, Scalar) else ""
        values = [str(choice.value) for choice in choices]
        if text in values:
            return choices(text)
        self.note(where, f"this must be one of {', '.join(values)}")
        return otherwise

    def flag(self, where: Located | None) -> bool:
        """Read true or false."""
        if where is None:
            return False
        if not (isinstance(where, Scalar) and isinstance(where.value, bool) and where.is_unambiguous):
            self.note(where, "this must be true or false")
            return False
        return where.value

    def seconds(self, where: Located | None, otherwise: float, most: int = 60) -> float:
        """Read a number of seconds, more than 0 and at most `most`."""
        if where is None:
            return otherwise
        value = self.number(where)
        if value is None or not 0 < value <= most:
            self.note(where, f"this must be a number of seconds, more than 0 and at most {most}")
            return otherwise
        return float(value)

    def number(self, where: Located) -> int | float | None:
        """Return a number that everybody reads alike, None for anything else, which is not noted yet."""
        value = where.value if isinstance(where, Scalar) and where.is_unambiguous else None
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def text(self, where: Located) -> str:
        """Read a text."""
        if isinstance(where, Scalar) and isinstance(where.value, str):
            if _CONTROL.search(where.value):
                self.note(where, "the text has a control character, or one that is not in Unicode")
            return where.value
        if isinstance(where, Scalar):
            self.note(where, f"YAML reads {where.text!r:.60} as no text; put it into quotes")
        else:
            self.note(where, "this must be a text")
        return ""

    def scalar(self, where: Located) -> JsonScalar:
        """Read a single value as JSON has it."""
        if not isinstance(where, Scalar):
            self.note(where, "this must be a single value")
            return None
        if isinstance(where.value, str):
            return self.text(where)
        if not where.is_unambiguous or (isinstance(where.value, float) and not math.isfinite(where.value)):
            message = f"{where.text[:60]!r} is not read alike everywhere; write it as in JSON, or put it into quotes"
            self.note(where, message)
        return where.value

    def is_one(self, where: Scalar) -> bool:
        """Tell whether this is the number 1 to everybody."""
        return where.text == "1" and where.value == 1


def _hint(name: str, names: list[str]) -> str:
    import difflib  # noqa: PLC0415 - only a mistake pays for it

    close = difflib.get_close_matches(name, names, 1)
    return f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(names)}"
