"""What YAML versions, people and parsers could read in two ways is refused, with a message that says what to write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp.errors import ConfigError, Mistake, PolicyError
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import JsonScalar, OneOf

RULE = "version: 1\nrules:\n- {id: a, effect: allow, match: "
TWO_WAYS = "is not read alike everywhere; write it as in JSON, or put it into quotes"
NO_ALIAS = "expected alphabetic or numeric character"
UNWRITABLE = "the text has a control character, or one that is not in Unicode"

MISTAKES: list[tuple[str, list[tuple[int, int, str]]]] = [
    ("version: true", [(1, 10, "the version must be 1")]),
    ("version: 1.0", [(1, 10, "the version must be 1")]),
    ("version: 0x1", [(1, 10, "the version must be 1")]),
    ("version: 1\ntrust_annotations: yes", [(2, 20, "this must be true or false")]),
    ("version: 1\naudit: {deadline: 0:30}", [(2, 19, "this must be a number of seconds, more than 0 and at most 60")]),
    *(
        (RULE + f"{{arguments: {{p: {{equals: {value}}}}}}}}}", [(3, 58, f"'{value}' {TWO_WAYS}")])
        for value in ("0777", "0x1F", "1_000", "1:30", "+1", ".5", "yes", "Off", "TRUE", "~", ".nan", "-.inf")
    ),
    (RULE + "{tool: *}}", [(3, 41, f"{NO_ALIAS}, but found '}}'; a text that begins with * needs quotes")]),
    (RULE + "{tool: *x}}", [(3, 40, "anchors and aliases are not accepted; a text that begins so needs quotes")]),
    (RULE + "{tool: &x y}}", [(3, 40, "anchors and aliases are not accepted; a text that begins so needs quotes")]),
    (RULE + "{tool: !x y}}", [(3, 40, "tags are not accepted; a text that begins with ! needs quotes")]),
    ("version: 1\nrules:\n\t- {}", [(3, 1, "found character '\\t' that cannot start any token; indent with spaces")]),
    (
        "version: 1\nrules: @x",
        [(2, 8, "found character '@' that cannot start any token; a text that begins so needs quotes")],
    ),
    ("version: 1\n---\nversion: 1", [(2, 1, "but found another document")]),
    ("version: 1\nrules:", [(2, 7, "this must be a list; leave the key out, or write []")]),
    ('version: 1\nrules: "\\UFFFFFFFF"', [(2, 1, "after this place: a number that is too large")]),
    ("version: 1\nrules: \x07", [(2, 8, "a character that YAML does not have")]),
    ("version: 1\nx: " + "[" * 40 + "]" * 40, [(2, 35, "nested deeper than 32")]),
    (RULE + '{tool: "a\\u0000b"}}', [(3, 40, UNWRITABLE)]),
    (RULE + '{tool: "a\\ud800b"}}', [(3, 40, UNWRITABLE)]),
    (RULE + '{arguments: {p: {within: "/a\\0b"}}}}', [(3, 58, UNWRITABLE)]),
    (RULE + "{arguments: {p: {within: 5}}}}", [(3, 58, "YAML reads '5' as no text; put it into quotes")]),
    (
        RULE + '{arguments: {p: {within: ""}}}}',
        [(3, 58, "'' is not absolute; a host starts the gateway in any directory")],
    ),
    (RULE + '{arguments: {p: {in: ["a\\eb"]}}}}', [(3, 55, UNWRITABLE)]),
    ('version: 1\nupstreams: {a: {command: ["x\\0"]}}', [(2, 27, UNWRITABLE)]),
    (RULE + "{tool: 'a[b'}}", [(3, 40, "'a[b' has a [ without ]; the character itself is [[]")]),
    (RULE + "{tool: '[!]'}}", [(3, 40, "'[!]' has a [ without ]; the character itself is [[]")]),
    (RULE + "{tool: '[z-a]'}}", [(3, 40, "'[z-a]' has a range that ends before it begins")]),
    (RULE + "{tool: t, uri: u}}", [(3, 33, "no request has tool and uri at once")]),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES, ids=range(len(MISTAKES)))
def test_what_could_be_read_in_two_ways_is_a_mistake(text: str, expected: list[tuple[int, int, str]]) -> None:
    with pytest.raises(PolicyError) as caught:
        loader.load(text.encode(), "p.yaml")
    assert caught.value.mistakes == tuple(Mistake(*mistake) for mistake in expected)


def test_bytes_that_are_not_utf_8_are_named_at_their_place() -> None:
    with pytest.raises(PolicyError) as caught:
        loader.load("version: 1\nä: ".encode() + b"\xff", "p.yaml")
    assert caught.value.mistakes == (Mistake(2, 4, "the file is not UTF-8"),)


@pytest.mark.parametrize("pattern", ["[[]", "[]]", "[!]]", "[a-]", "[!a-z]x*", "?"])
def test_a_pattern_with_a_set_is_accepted(pattern: str) -> None:
    loader.load((RULE + f"{{tool: '{pattern}'}}}}").encode(), "p.yaml")


def test_values_are_those_of_json() -> None:
    text = RULE + "{arguments: {p: {in: [1, -2, 0.5, 1e3, 1.5E-2, true, null, word, '1', 2026-11-24]}}}}"
    (rule,) = loader.load(text.encode(), "p.yaml").rules
    expected: tuple[JsonScalar, ...] = (1, -2, 0.5, 1000.0, 0.015, True, None, "word", "1", "2026-11-24")
    assert repr(rule.match.arguments[0].matchers) == repr((OneOf(expected),))


def test_only_the_first_hundred_mistakes_are_named() -> None:
    text = "version: 1\nrules:\n" + "- 1\n" * 500
    with pytest.raises(PolicyError) as caught:
        loader.load(text.encode(), "p.yaml")
    assert len(caught.value.mistakes) == 101
    assert caught.value.mistakes[-1].message == "400 more mistakes from here on"


def test_more_rules_than_can_be_compared_quickly_are_a_mistake() -> None:
    text = "version: 1\nrules:\n" + "".join(
        f"- {{id: r{i}, match: {{tool: t{i}}}, effect: deny}}\n" for i in range(2001)
    )
    with pytest.raises(PolicyError) as caught:
        loader.load(text.encode(), "p.yaml")
    assert caught.value.mistakes == (Mistake(2003, 3, "more than 2000 rules"),)


def test_more_patterns_than_can_be_compared_quickly_are_a_mistake() -> None:
    names = ", ".join(f"t{i}" for i in range(1001))
    with pytest.raises(PolicyError) as caught:
        loader.load(f"version: 1\nupstreams: {{s: {{access: {{read: [{names}]}}}}}}\n".encode(), "p.yaml")
    column = 1 + len("upstreams: {s: {access: {read: [") + names.index("t1000")
    assert caught.value.mistakes == (Mistake(2, column, "more than 1000 patterns in one list"),)


def test_a_file_that_is_not_there_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"does not exist; give the path of a policy file with --policy or AEGIS_POLICY"
    ):
        loader.read(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        loader.read(Path("~nobody-of-this-name/p.yaml"))


def test_the_name_of_a_file_is_shown_printable(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"p\n\xff\x1b.yaml")
    path.write_bytes(b"version: 1")
    assert loader.read(path).source == rf"{tmp_path}/p\n\udcff\x1b.yaml"


def _mistakes_in(text: str) -> tuple[Mistake, ...]:
    try:
        loader.load(text.encode(), "p.yaml")
    except PolicyError as exc:
        return exc.mistakes
    return ()


FRAGMENTS = (
    *(
        "version: 1\n",
        "rules:",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        ", ",
        "\n",
        "  ",
        "'",
        '"',
        "? ",
        "| ",
        "> ",
        "#",
        "--- ",
        "...",
    ),
    *(
        "id: a",
        "effect: allow",
        "match: ",
        "tool: ",
        "arguments: ",
        "within: ",
        "equals: ",
        "in: ",
        "glob: ",
        "access: ",
    ),
    *(
        "upstreams: ",
        "command: ",
        "env: ",
        "audit: ",
        "deadline: ",
        "read",
        "~",
        "/",
        "*",
        "&a",
        "!t",
        "${env:",
        "\\0",
        "\\ud800",
    ),
    *(
        "0777",
        "1_0",
        "1:2",
        "0x_",
        "1e999",
        ".inf",
        "yes",
        "null",
        "2026-99-99",
        "9" * 5000,
        "<<",
        "%YAML 1.1\n",
        "\t",
        "\u2028",
    ),
)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))
def test_what_resembles_a_policy_is_understood_or_refused_at_a_place(text: str) -> None:
    assert all(mistake.line > 0 and mistake.column > 0 and mistake.message for mistake in _mistakes_in(text))
