"""What the match of a rule may ask for, read from a policy file."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aegis_mcp.decision import Access
from aegis_mcp.policy.fields import Fields
from aegis_mcp.policy.located import Located, Mapping, Scalar
from aegis_mcp.policy.model import (
    Absent,
    Argument,
    GlobMatch,
    Globs,
    HostMatch,
    InRange,
    Match,
    Matcher,
    MaxLength,
    OneOf,
    RegexMatch,
    Within,
)

_HOST: Final = r"[a-z0-9*?._:-]+"


class Conditions(Fields):
    """Reads matches and what they ask of arguments."""

    def match(self, where: Located) -> Match:
        """Read what a rule or a limit speaks about."""
        given = self.members(where, ("server", "method", "tool", "uri", "prompt", "access", "arguments"))
        if not given:
            self.note(where, 'the match is empty; to match everything say `server: "*"`')
        globs = {
            name: self.globs(given[name]) for name in ("server", "method", "tool", "uri", "prompt") if name in given
        }
        if len(subjects := [name for name in ("tool", "uri", "prompt") if name in given]) > 1:
            self.note(where, f"no request has {' and '.join(subjects)} at once")
        access = (
            frozenset(self.choice(one, Access, Access.WRITE) for one in self.one_or_more(given["access"]))
            if "access" in given
            else None
        )
        arguments = tuple(self._argument(*named) for named in self.named(given.get("arguments")))
        return Match(**globs, access=access, arguments=arguments)

    def _argument(self, name: str, at: Located, where: Located) -> Argument:
        readers: dict[str, Callable[[Located], Matcher]] = {
            "equals": lambda value: OneOf((self.scalar(value),)),
            "in": lambda value: OneOf(tuple(self.scalar(item) for item in self.items(value))),
            "glob": lambda value: GlobMatch(self.globs(value)),
            "within": lambda value: Within(tuple(self._directory(one) for one in self.one_or_more(value))),
            "regex": self._regex,
            "host": lambda value: HostMatch(self._hosts(value)),
            "max_length": self._max_length,
            "range": self._range,
            "absent": self._absent,
        }
        if not isinstance(where, Mapping):
            self.note(where, f"say how {name!r} is compared: {', '.join(readers)}")
            return Argument((), ())
        given = self.members(where, readers)
        if not given:
            self.note(where, f"nothing is asked of the argument {name!r}")
        if "absent" in given and len(given) > 1:
            self.note(where, f"{name!r} cannot be absent and have a value as well")
        matchers = tuple(readers[matcher](value) for matcher, value in given.items())
        return Argument(self._pointer(name, at), matchers)

    def _pointer(self, name: str, at: Located) -> tuple[str, ...]:
        if not name.startswith("/"):
            return (name,)
        if re.search(r"~(?![01])", name):
            self.note(at, f"{name!r} is no JSON pointer: after ~ comes 0 or 1 (RFC 6901)")
        return tuple(token.replace("~1", "/").replace("~0", "~") for token in name[1:].split("/"))

    def _directory(self, where: Located) -> str:
        text = self.text(where)
        if not isinstance(where, Scalar) or not isinstance(where.value, str):
            return ""
        path = Path(text)
        try:
            path = path.expanduser()
        except RuntimeError:
            self.note(where, f"there is no home directory for {text!r}")
        if not path.is_absolute():
            self.note(where, f"{text!r} is not absolute; a host starts the gateway in any directory")
        try:
            return os.path.realpath(path)
        except ValueError:
            return ""  # a text that no path can hold, which is noted already

    def _regex(self, where: Located) -> Matcher:
        text = self.text(where)
        try:
            return RegexMatch(text)
        except ValueError as exc:
            self.note(where, f"{text[:60]!r} is no regular expression that RE2 knows: {exc}")
            return RegexMatch("")

    def _hosts(self, where: Located) -> Globs:
        for one in self.one_or_more(where):
            if not re.fullmatch(_HOST, self.text(one)):
                self.note(one, "this must be a host in lower case, without scheme and brackets; * and ? are wildcards")
        return self.globs(where)

    def _max_length(self, where: Located) -> Matcher:
        value = self.number(where)
        if not isinstance(value, int) or value < 0:
            self.note(where, "this must be a number of characters, 0 or more")
            return MaxLength(0)
        return MaxLength(value)

    def _range(self, where: Located) -> Matcher:
        given = self.members(where, ("min", "max"))
        if isinstance(where, Mapping) and not given:
            self.note(where, "the range needs a min, a max or both")
        least, most = (self._bound(given.get(name)) for name in ("min", "max"))
        if least is not None and most is not None and least > most:
            self.note(where, "the range ends before it begins")
        return InRange(least, most)

    def _bound(self, where: Located | None) -> int | float | None:
        if where is None:
            return None
        value = self.number(where)
        if value is None or not math.isfinite(value):
            self.note(where, "this must be a number, written as in JSON")
        return value

    def _absent(self, where: Located) -> Matcher:
        if not self.flag(where):
            self.note(where, "this must be true; an argument that must be there is matched by its value")
        return Absent()
