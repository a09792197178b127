"""Whether a rule can ever decide: one that an earlier rule wholly covers cannot.

A rule is called covered only where that is certain; two patterns that are hard to compare are taken to differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aegis_mcp.method import MethodClass, classify
from aegis_mcp.policy.model import Glob, Globs, Match, Rule

_TOOL_CALL = (Glob("tools/call"),)


class Earlier:
    """The rules so far, found by how the first pattern of their tools begins and by what they ask of arguments.

    So thousands take no minutes.
    """

    def __init__(self) -> None:
        self._rules: dict[str | None, list[tuple[frozenset[str], Rule]]] = {}

    def add(self, rule: Rule) -> None:
        """Take the next rule."""
        demands = _demands(rule)
        for begin in {_beginning(glob) for glob in rule.match.tool} if rule.match.tool else (None,):
            self._rules.setdefault(begin, []).append((demands, rule))

    def covering(self, rule: Rule) -> Rule | None:
        """Return a rule that decides whatever this one could decide, None if there is none."""
        begins: list[str | None] = [None]
        if rule.match.tool:
            text = rule.match.tool[0].text
            begins += [text[:end] for end in range(len(text) + 1)]
        candidates = (candidate for begin in begins for candidate in self._rules.get(begin, ()))
        own = _demands(rule)
        return next((earlier for demands, earlier in candidates if demands <= own and covers(earlier, rule)), None)


def covers(earlier: Rule, later: Rule) -> bool:
    """Tell whether every request that the later rule applies to is one that the earlier applies to."""
    wide, narrow = earlier.match, later.match
    return (
        _covers(wide.tool, narrow.tool)
        and _covers(wide.server, narrow.server)
        and _covers(wide.uri, narrow.uri)
        and _covers(wide.prompt, narrow.prompt)
        and _covers_methods(wide, narrow)
        and (wide.access is None or (narrow.access is not None and narrow.access <= wide.access))
        and _covers_arguments(earlier, later)
    )


def shadowed(globs: Iterable[Glob], before: Sequence[Glob]) -> Glob | None:
    """Return the first pattern that fits nothing which the patterns before it do not fit already."""
    return next((glob for glob in globs if any(_is_wider(wide, glob) for wide in before)), None)


def _covers_methods(wide: Match, narrow: Match) -> bool:
    methods = narrow.method or (_TOOL_CALL if narrow.tool else None)
    if wide.method is not None or narrow.method is None:
        return _covers(wide.method, methods)
    # Without `method` a rule leaves housekeeping alone, so that a rule which names housekeeping still decides there.
    return all(glob.is_literal and classify(glob.text) is not MethodClass.HOUSEKEEPING for glob in narrow.method)


def _covers_arguments(earlier: Rule, later: Rule) -> bool:
    if not earlier.match.arguments:
        return True
    # What cannot be judged is left over by a rule that lets pass, and taken by a rule that denies or asks.
    leaves_some = earlier.effect.is_lenient and not later.effect.is_lenient
    return not leaves_some and _demands(earlier) <= _demands(later)


def _demands(rule: Rule) -> frozenset[str]:
    """Return what a rule asks of arguments, each as it is spelled: `1` and `true` are equal in Python, and not here."""
    return frozenset(map(repr, rule.match.arguments))


def _covers(wide: Globs | None, narrow: Globs | None) -> bool:
    if wide is None:
        return True
    return narrow is not None and all(any(_is_wider(one, other) for one in wide) for other in narrow)


def _is_wider(wide: Glob, narrow: Glob) -> bool:
    """Tell whether a pattern fits all that another fits.

    A pattern without `?` and `[` takes the `*` and `?` of another for any text, which only a `*` of its own can cover.
    """
    if wide.text in {"*", narrow.text}:
        return True
    is_comparable = narrow.is_literal or not ({"?", "["} & {*wide.text} or "[" in narrow.text)
    return is_comparable and wide.matches(narrow.text)


def _beginning(glob: Glob) -> str:
    """Return the text before the first wildcard: whatever the pattern covers begins so."""
    return glob.text[: min((at for wildcard in "*?[" if (at := glob.text.find(wildcard)) >= 0), default=None)]
