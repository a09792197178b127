"""What each matcher takes for a yes, a no, and for something that nobody can tell; and what effects make of that."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_mcp.decision import Access, AccessFrom, Decision, Effect, Request, Secrets
from aegis_mcp.policy import loader
from aegis_mcp.policy.evaluation import decide, is_hopeless, limits_of
from aegis_mcp.policy.model import Glob, Limit, Match, PinMode, Policy, Results

# A rule that allows needs a yes, one that denies no more than the absence of a no: both together tell all three apart.
YES, NO, UNKNOWN = "yes", "no", "unknown"


def policy(text: str) -> Policy:
    """Return the policy of these lines."""
    return loader.load(f"version: 1\n{text}".encode(), "p.yaml")


def truth(matcher: str, arguments: dict[str, Any], argument: str = "a") -> str:
    """Return what a matcher on an argument says, as the effects show it."""
    request = Request("s", "tools/call", tool="t", arguments=arguments)
    match = f"{{arguments: {{{argument}: {{{matcher}}}}}}}"
    allows = decide(policy(f"rules: [{{id: r, match: {match}, effect: allow}}]"), request).rule == "r"
    denies = decide(policy(f"rules: [{{id: r, match: {match}, effect: deny}}]"), request).rule == "r"
    assert denies or not allows
    return YES if allows else UNKNOWN if denies else NO


@pytest.mark.parametrize(
    ("matcher", "value", "expected"),
    [
        ("regex: 'a+'", "aa", YES),
        ("regex: 'a+'", "baa", NO),
        ("regex: '.*key.*'", "one\nkey\ntwo", YES),
        ("regex: 'a+'", 1, UNKNOWN),
        ("regex: 'a+'", ["a", "aa"], YES),
        ("regex: 'a+'", ["a", "b"], UNKNOWN),
        ("regex: '(a|a)*b'", "a" * 50_000, NO),
        ("host: example.org", "https://example.org", YES),
        ("host: example.org", "https://EXAMPLE.ORG.:8443/x?y#z", YES),
        ("host: example.org", "https://evil.example/example.org", NO),
        ("host: '*.example.org'", "wss://a.example.org/", YES),
        ("host: '*.example.org'", "https://example.org", NO),
        ("host: example.org", "https://example.org@evil.example/", UNKNOWN),
        ("host: example.org", "https://example.org\\\\@evil.example/", UNKNOWN),
        ("host: example.org", "https://%65xample.org/", UNKNOWN),
        ("host: example.org", "https://\u0430.example/", UNKNOWN),
        ("host: example.org", " https://example.org/", UNKNOWN),
        ("host: example.org", "https://example.org/\n", UNKNOWN),
        ("host: example.org", "//example.org/", UNKNOWN),
        ("host: example.org", "https:example.org", UNKNOWN),
        ("host: '::1'", "ws://[::1]:80/", YES),
        ("host: '::1'", "ws://[0:0::1]/", UNKNOWN),
        ("host: '127.*'", "ws://127.0.0.1./", YES),
        ("host: '127.*'", "ws://128.0.0.1/", NO),
        ("host: '127.*'", "ws://a.127/", UNKNOWN),
        ("host: '127.*'", "ws://127.1/", UNKNOWN),
        ("host: '127.*'", "ws://2130706433/", UNKNOWN),
        ("host: '127.*'", "ws://0X7f.1/", UNKNOWN),
        ("host: '127.*'", "ws://0177.0.0.1/", UNKNOWN),
        ("host: '127.*'", "ws://[::ffff:127.0.0.1]/", UNKNOWN),
        ("host: localhost", "http://localhost../", UNKNOWN),
        ("host: example.org", None, UNKNOWN),
        ("max_length: 3", "abc", YES),
        ("max_length: 3", "abcd", NO),
        ("max_length: 3", 12, UNKNOWN),
        ("range: {min: 1, max: 3}", 1, YES),
        ("range: {min: 1, max: 3}", 3.5, NO),
        ("range: {min: 1}", 10**30, YES),
        ("range: {max: 1}", True, UNKNOWN),
        ("range: {max: 1}", "0", UNKNOWN),
        ("equals: 1", 1.0, YES),
        ("equals: true", True, YES),
        ("equals: true", False, NO),
        ("equals: true", None, NO),
        ("equals: true", "true", UNKNOWN),
        ("equals: true", 1, UNKNOWN),
        ("equals: main", "['main'", NO),
        ("equals: null", "x", NO),
        ("in: [1, null]", "1", UNKNOWN),
        ("in: [1, 'on']", 2, NO),
        ("equals: main", ' ["x", "main"]', UNKNOWN),
        ("equals: main", '["x", {"main": 1}]', NO),
        ("glob: '/w/*'", '["/w/x"]', UNKNOWN),
        ("glob: '[[]*'", '["/w/x"]', YES),
        ("regex: a", "[" * 100_000, NO),
        ("equals: main", str([0] * 10_000), NO),
        ("equals: main", str([0] * 10_001), UNKNOWN),
        ("equals: main", "[" * 262_145, UNKNOWN),
        ("absent: true", "x", NO),
        ("absent: true", [], NO),
        ("absent: true", None, UNKNOWN),
    ],
)
def test_a_matcher_tells_yes_no_and_unknown_apart(matcher: str, value: object, expected: str) -> None:
    assert truth(matcher, {"a": value}) == expected


@pytest.mark.parametrize("matcher", ["regex: '.*'", "host: '*'", "max_length: 9", "range: {min: 0}"])
def test_what_is_not_given_has_no_value(matcher: str) -> None:
    assert truth(matcher, {}) == NO


def test_absent_is_what_is_not_given() -> None:
    assert truth("absent: true", {"b": 1}) == YES


@pytest.mark.parametrize("others", [{"A": 1}, {"a": 1, "A": 1}, {"a": 1, "A": 2}])
@pytest.mark.parametrize("matcher", ["equals: 1", "absent: true"])
def test_an_argument_whose_name_differs_only_in_case_leaves_open_which_is_meant(
    matcher: str, others: dict[str, Any]
) -> None:
    assert truth(matcher, others) == UNKNOWN


def test_names_are_compared_without_case_all_the_way_down() -> None:
    nested = {"a": [{"path": "/x", "\u017fize": 1}], "B": 1}
    rules = policy("rules: [{id: r, match: {arguments: {/a/0/size: {equals: 1}}}, effect: deny}]")
    assert decide(rules, Request("s", "tools/call", tool="t", arguments=nested)).rule == "r"
    assert decide(rules, Request("s", "tools/call", tool="t", arguments={"a": [{"s": 1}]})).rule == "defaults.write"


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [("/a/0/path", UNKNOWN), ("/b/path", NO), ("/c/path", NO), ("/d", NO)],
)
def test_a_text_on_the_way_to_an_argument_may_be_json_to_a_server(pointer: str, expected: str) -> None:
    arguments = {"a": '[{"path": "x"}]', "b": 1, "c": [{"path": "x"}], "d": '{"path": "x"}'}
    assert truth("equals: x", arguments, pointer) == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:///w/x", YES),
        ("file:///w/a%20b/", YES),
        ("file:///w/a/../b", YES),
        ("file:///w/../etc/passwd", UNKNOWN),
        ("file:///w/%2e%2E/etc/passwd", UNKNOWN),
        ("file:///w/..%2fetc/passwd", UNKNOWN),
        ("file:///w/..", UNKNOWN),
        ("FILE:///w/x", UNKNOWN),
        ("file://localhost/w/x", UNKNOWN),
        ("file:/w/x", UNKNOWN),
        ("file:////w/x", UNKNOWN),
        ("file:///./w/x", UNKNOWN),
        ("file:///%77/x", UNKNOWN),
        ("file:///my%20own/x", UNKNOWN),
        ("file:///m%C3%BC/x", UNKNOWN),
        ("file:///other/x", NO),
        ("memo:x", NO),
        ("no uri", NO),
        ("test://a//b", YES),
        ("file:///w/a?b=//c#..", YES),
        ("file:///w/a\\b", YES),
        ("file:///w/..\\etc/passwd", UNKNOWN),
        ("file:///w/..%5Cetc/passwd", UNKNOWN),
        ("file:///w/.\t./etc/passwd", UNKNOWN),
        ("file:///w/?/../../etc/passwd", UNKNOWN),
        ("file:///w/#/%2E%2E/../etc/passwd", UNKNOWN),
        ("file:///other\\..\\w\\x", UNKNOWN),
        (" file:///w/x", UNKNOWN),
        ("file:///\nw/x", UNKNOWN),
        ("file://example.org/w/x", UNKNOWN),
        ("/w/x", UNKNOWN),
        ("notes://open/x", YES),
        ("notes://open/../shut/x", UNKNOWN),
        ("notes://shut/../open/x", UNKNOWN),
        ("file:///w//../x", UNKNOWN),
        ("file:///w/a\\b/../../x", UNKNOWN),
        ("file:w/x", UNKNOWN),
        ("file:///w/" + "x" * 16_384, UNKNOWN),
    ],
)
def test_a_uri_fits_only_if_it_does_so_in_every_spelling(uri: str, expected: str) -> None:
    request = Request("s", "resources/read", uri=uri)
    match = "{uri: ['file:///w/*', 'file:///my own/*', 'file:///m\u00fc/*', 'test://a//b', 'notes://open/*']}"
    defaults = "defaults: {read: ask}\n"
    allows = decide(policy(f"{defaults}rules: [{{id: r, match: {match}, effect: allow}}]"), request).rule == "r"
    denies = decide(policy(f"{defaults}rules: [{{id: r, match: {match}, effect: deny}}]"), request).rule == "r"
    assert (YES if allows else UNKNOWN if denies else NO) == expected


@pytest.mark.parametrize(
    ("effect", "path", "expected"),
    [
        ("allow", "/w/x", ("allow", "r")),
        ("monitor", "/w/x", ("monitor", "r")),
        ("ask", "/w/x", ("ask", "r")),
        ("deny", "/w/x", ("deny", "r")),
        ("allow", 7, ("deny", "defaults.write")),
        ("monitor", 7, ("deny", "defaults.write")),
        ("ask", 7, ("deny", "r")),
        ("deny", 7, ("deny", "r")),
    ],
)
def test_an_argument_that_nobody_can_judge_is_never_a_way_past_a_rule(
    effect: str, path: object, expected: tuple[str, str]
) -> None:
    rules = policy(f"rules: [{{id: r, match: {{arguments: {{p: {{glob: '/w/*'}}}}}}, effect: {effect}}}]")
    decision = decide(rules, Request("s", "tools/call", tool="t", arguments={"p": path}))
    assert (decision.effect.value, decision.rule) == expected


def test_a_default_may_ask_or_watch() -> None:
    rules = policy("defaults: {read: monitor, write: ask, client_request: ask}")
    assert decide(rules, Request("s", "resources/read", uri="x")) == Decision(
        Effect.MONITOR,
        "defaults.read",
        "reads pass, and are recorded as what would be denied, unless a rule says otherwise",
        Access.READ,
        AccessFrom.DEFAULT,
    )
    assert decide(rules, Request("s", "tools/call", tool="t")).effect is Effect.ASK
    assert decide(rules, Request("s", "roots/list", is_from_upstream=True)).effect is Effect.ASK


def test_every_section_has_its_value() -> None:
    rules = policy(
        "limits: [{match: {access: write}, rate: 30/minute}]\n"
        "results: {max_bytes: 4MiB, secrets: redact}\npins: require\nask: {timeout: 9}\n"
        "rules: [{id: r, match: {tool: t}, effect: allow, secrets: refuse}]"
    )
    assert rules.limits == (Limit(Match(access=frozenset({Access.WRITE})), 30, 60, "30/minute", 2),)
    assert rules.results == Results(4 * 1024 * 1024, Secrets.REDACT)
    assert (rules.pins, rules.ask_seconds) == (PinMode.REQUIRE, 9.0)
    assert decide(rules, Request("s", "tools/call", tool="t")).secrets is Secrets.REFUSE


def test_what_says_nothing_has_its_default() -> None:
    rules = policy("")
    assert (rules.limits, rules.results, rules.pins, rules.ask_seconds) == ((), Results(), PinMode.FIRST_USE, 50.0)


def test_a_limit_counts_what_it_speaks_about_and_what_nobody_can_judge() -> None:
    rules = policy(
        "limits:\n- {match: {tool: 'w*'}, rate: 1/second}\n- {match: {arguments: {a: {max_length: 1}}}, rate: 9/day}"
    )
    asked = [
        limits_of(rules, Request("s", "tools/call", tool=tool, arguments=arguments), Access.WRITE)
        for tool, arguments in CALLS
    ]
    assert asked == [[0], [0, 1], [], [1]]
    assert rules.limits[0].match.tool == (Glob("w*"),)


CALLS: list[tuple[str, dict[str, object]]] = [("write", {"a": "xx"}), ("w", {"a": 1}), ("r", {}), ("r", {"a": "x"})]

HIDING = policy(
    """upstreams: {s: {access: {read: [r]}}}
rules:
- {id: deny-some, match: {tool: d, arguments: {a: {equals: 1}}}, effect: deny}
- {id: some, match: {tool: [s, d], arguments: {a: {equals: 2}}}, effect: allow}
- {id: asked, match: {tool: q}, effect: ask}
- {id: never, match: {tool: r}, effect: deny}
- {id: one-file, match: {uri: 'file:///x'}, effect: allow}
- {id: no-file, match: {method: resources/read}, effect: deny}
- {id: no-prompt, match: {prompt: p}, effect: deny}
"""
)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request("s", "tools/call", tool="s"), False),
        (Request("s", "tools/call", tool="d"), False),
        (Request("s", "tools/call", tool="q"), False),
        (Request("s", "tools/call", tool="r"), True),
        (Request("s", "tools/call", tool="other"), True),
        (Request("s", "resources/read", uri="file:///x"), False),
        (Request("s", "resources/read", uri="file:///y"), True),
        (Request("s", "resources/read"), False),
        (Request("s", "prompts/get", prompt="p"), True),
        (Request("s", "prompts/get", prompt="o"), False),
    ],
)
def test_what_is_denied_whatever_its_arguments_is_hopeless(request_: Request, expected: bool) -> None:
    assert is_hopeless(HIDING, request_) is expected
