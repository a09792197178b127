"""A rule that can never decide is a mistake; a rule that can decide is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp.decision import Effect
from aegis_mcp.errors import Mistake, PolicyError
from aegis_mcp.policy import loader
from aegis_mcp.policy.coverage import covers
from aegis_mcp.policy.model import Glob, Match, Rule


def _load(first: str, second: str) -> None:
    loader.load(f"version: 1\nrules:\n- {{id: a, {first}}}\n- {{id: b, {second}}}".encode(), "p.yaml")


UNREACHABLE = [
    ("match: {tool: x}, effect: allow", "match: {tool: x}, effect: deny"),
    ("match: {tool: '*'}, effect: deny", "match: {tool: x, access: read}, effect: allow"),
    ("match: {server: '*'}, effect: deny", "match: {server: f, tool: x}, effect: allow"),
    ("match: {tool: 'get_*'}, effect: deny", "match: {tool: get_issue}, effect: allow"),
    ("match: {tool: 'get_*'}, effect: deny", "match: {tool: 'get_*_comment?'}, effect: allow"),
    ("match: {tool: '*_x'}, effect: deny", "match: {tool: 'a_*_x'}, effect: allow"),
    ("match: {tool: 'x[ab]'}, effect: deny", "match: {tool: [xa, xb]}, effect: allow"),
    ("match: {tool: [a, b, 'c*']}, effect: deny", "match: {tool: [b, cd]}, effect: allow"),
    ("match: {method: 'tools/*'}, effect: deny", "match: {tool: x}, effect: allow"),
    ("match: {server: f}, effect: deny", "match: {server: f, method: resources/read}, effect: allow"),
    ("match: {server: f}, effect: deny", "match: {server: f, prompt: p}, effect: allow"),
    ("match: {access: [read, write]}, effect: deny", "match: {access: write, uri: 'x*'}, effect: allow"),
    (
        "match: {tool: 't*', arguments: {p: {glob: a}}}, effect: deny",
        "match: {tool: tx, arguments: {p: {glob: a}, q: {equals: 1}}}, effect: allow",
    ),
    (
        "match: {arguments: {p: {glob: a}}}, effect: allow",
        "match: {tool: tx, arguments: {p: {glob: a}}}, effect: allow",
    ),
]

REACHABLE = [
    ("match: {tool: x}, effect: allow", "match: {tool: 'x*'}, effect: deny"),
    ("match: {tool: x}, effect: allow", "match: {tool: [x, y]}, effect: deny"),
    ("match: {tool: x, server: f}, effect: allow", "match: {tool: x}, effect: deny"),
    ("match: {tool: x, access: read}, effect: allow", "match: {tool: x}, effect: deny"),
    ("match: {tool: 'a?'}, effect: allow", "match: {tool: 'a*'}, effect: deny"),
    ("match: {tool: '*a]*'}, effect: allow", "match: {tool: 'x[a]y'}, effect: deny"),
    ("match: {tool: '[!a]'}, effect: allow", "match: {tool: '?'}, effect: deny"),
    ("match: {tool: '*'}, effect: allow", "match: {method: resources/read}, effect: deny"),
    ("match: {uri: '*'}, effect: allow", "match: {access: read}, effect: deny"),
    # Housekeeping listens only to rules that name methods.
    ("match: {server: f}, effect: allow", "match: {server: f, method: tools/list}, effect: deny"),
    ("match: {server: f}, effect: allow", "match: {server: f, method: '*'}, effect: deny"),
    # In JSON a number is no truth value.
    (
        "match: {tool: x, arguments: {p: {equals: 1}}}, effect: deny",
        "match: {tool: x, arguments: {p: {equals: true}}}, effect: deny",
    ),
    (
        "match: {tool: x, arguments: {p: {in: [0, a]}}}, effect: deny",
        "match: {tool: x, arguments: {p: {in: [false, a]}}}, effect: deny",
    ),
    # What cannot be judged, such as a relative path, passes the first and is caught by the second.
    (
        "match: {tool: x, arguments: {p: {within: /a}}}, effect: allow",
        "match: {tool: x, arguments: {p: {within: /a}}}, effect: deny",
    ),
    (
        "match: {tool: x, arguments: {p: {glob: a}, q: {glob: b}}}, effect: allow",
        "match: {tool: x, arguments: {p: {glob: a}}}, effect: allow",
    ),
]


@pytest.mark.parametrize(("first", "second"), UNREACHABLE)
def test_a_rule_that_an_earlier_one_wholly_covers_is_a_mistake(first: str, second: str) -> None:
    with pytest.raises(PolicyError) as caught:
        _load(first, second)
    message = "the rule 'b' can never apply: 'a' in line 3 decides before it"
    assert caught.value.mistakes == (Mistake(4, 3, message),)


@pytest.mark.parametrize(("first", "second"), REACHABLE)
def test_a_rule_that_has_something_left_to_decide_is_no_mistake(first: str, second: str) -> None:
    _load(first, second)


PATTERNS = st.text("ab*?[]!", min_size=1, max_size=5)


@given(PATTERNS, PATTERNS, st.text("ab", max_size=5))
def test_a_covered_pattern_fits_nothing_that_the_wider_one_does_not(wide: str, narrow: str, name: str) -> None:
    earlier = Rule("a", Match(tool=(Glob(wide),)), Effect.DENY, "", 1)
    later = Rule("b", Match(tool=(Glob(narrow),)), Effect.DENY, "", 2)
    if covers(earlier, later) and Glob(narrow).matches(name):
        assert Glob(wide).matches(name)


def test_a_classification_that_is_never_reached_is_a_mistake() -> None:
    text = b"version: 1\nupstreams:\n  f:\n    access:\n      write: ['get_*', '*_x']\n      read: [list, get_a]"
    with pytest.raises(PolicyError) as caught:
        loader.load(text, "p.yaml")
    message = "'get_a' is never reached: a pattern above it fits first"
    assert caught.value.mistakes == (Mistake(6, 7, message),)
